"""Every command that a page shows is run, in the page's order, in a folder that holds what the page speaks of.

README.md and docs/tutorial.md are walked by `test_newcomer.py` and `test_tutorial.py`. Here the rest is: every line
behind a prompt, as it stands there, and every example of the commands' help that no page shows. A new line is walked
without anybody having to say so, and the test fails where it does not do as the page says. `OTHERWISE` holds the
exceptions, each with its reason: what needs more than this machine is run to its clear error, and what would take
minutes is made smaller.
"""

import datetime as dt
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tomli_w
from documented import PAGES, ROOT, console, examples, write_prices
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.core.home import home
from alfred.lake.fetch import FetchSettings
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.web import WebSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "lake"))
sys.path.insert(0, str(Path(__file__).parents[1] / "language"))
from filing_texts import QUARTER
from model_server import GOOD, PATH, said
from service import Service, serving

WALKED_ELSEWHERE = {"README.md": "test_newcomer.py", "tutorial.md": "test_tutorial.py"}
HELP = ROOT / "docs" / "cli.md"
USAGE = re.compile(r" [\[{].*$")
"""What generated usage says behind the command, such as `alfred run [OPTIONS] {study}`."""
RUN = re.compile(r"\b(study|demo)-[0-9a-f]{4,10}\b")
"""An example of a run's name."""
MODEL_SERVER = "127.0.0.1:11434"
NOWHERE = "http://127.0.0.1:9"
IMPATIENT = WebSettings(tries=1, silence_s=5, try_s=5, total_s=5)
STUDY = """
name = "study"
seeds = [0]
[data]
since = "2004-01-02"
until = "2020-12-31"
[universe]
training = ["AAPL", "AMD", "BAC", "JPM"]
evaluation = ["GE", "JNJ", "KO", "WMT"]
[panel]
features = ["Close_diff_MA_*", "momentum_12_1", "realised_volatility"]
[splits]
test_first = "2013-03-31"
test_quarters = 8
valid_quarters = 8
min_train_quarters = 12
[train]
epochs = 2
[[analysts]]
name = "ridge"
[[analysts]]
name = "vanilla.small.tanh"
[evaluation]
draws = 100
[manager]
seeds = [0]
learning = { steps = 5, batch = 8 }
"""


@dataclass(frozen=True)
class Otherwise:
    """How a line is walked that is not simply run as it stands.

    Attributes:
        why: in a few words.
        instead: the line that is run in its place; or
        more: words put behind it.
        before, after: what the reader does beside it.
        code: how it ends here.
        says: what its error says.
        elsewhere: the test that runs it, as it is another program's or does not end.
    """

    why: str
    instead: str = ""
    more: str = ""
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    code: int = 0
    says: str = ""
    elsewhere: str = ""


def edited(path: str, **changes: Any) -> Callable[[], None]:
    """The reader edits a file: values, and tables that keep what is not named."""

    def edit() -> None:
        form = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        _merge(form, changes)
        Path(path).write_text(tomli_w.dumps(form), encoding="utf-8")

    return edit


def _merge(form: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(form.get(name), dict):
            _merge(form[name], value)
        else:
            form[name] = value


def settings(*changes: str) -> str:
    """Words that change a study."""
    return " ".join(f"--set {shlex.quote(change)}" for change in changes)


LARGE = "--model vanilla.medium --size 1024 --loss huber-sign --label PM"
NO_WEB = "asks a service of the web, and tests never leave this machine"
SMALL_NOTES = settings("seeds=[0]", "train.epochs=3", "evaluation.draws=100", "splits.valid_quarters=4")
SMALL_GRID: dict[str, Any] = {
    "seeds": [0],
    "universe": {"scan": {"evaluation_start": "GE", "n": 4}},
    "train": {"epochs": 1},
    "splits": {"test_quarters": 30},
    "analysts": [{"name": "ridge", "quarters": 12}, {"name": "vanilla.medium.tanh", "quarters": 12, "size": 16}],
    "evaluation": {"draws": 100},
}
SMALL_SWEEP: dict[str, Any] = {
    "folds": 1,
    "space": [{"analyst.name": ["ridge"], "analyst.quarters": [1, 4]}],
    "workers": {"number": 1},
    "study": {"evaluation": {"draws": 100}, "panel": {"features": ["momentum_12_1", "Close_diff_MA_*"]}},
}
SMALL_DEMO = settings(
    "universe.training=['SY0001','SY0005','SY0009','SY0012']",
    "universe.evaluation=['SY0002','SY0004','SY0014','SY0018']",
    "panel.features=['momentum_12_1','realised_volatility']",
    "seeds=[0]",
    "train.epochs=1",
)


def write_small_market() -> None:
    """An invented market of 24 companies in place of the default one of 300."""
    lake = Lake(home().lake)
    for name, rows in generate(SyntheticSettings(symbols=24)).tables.items():
        lake.write(name, rows)


def promote() -> None:
    """A run's analyst becomes the champion."""
    ok(f"alfred models promote {latest('study')}/ridge")


OTHERWISE: dict[str, dict[str, Otherwise]] = {
    "analysts.md": {
        f"alfred {verb} --tickers baskets.json {LARGE}": Otherwise(
            "10 million parameters, 60 epochs", more="--epochs 1"
        )
        for verb in ("train", "evaluate")
    },
    "cli.md": {
        "alfred train --model lstm.small.extractors --quarters 12 --epochs 30 --seed 3": Otherwise(
            "takes a minute as it is", more="--epochs 1"
        ),
        "alfred experiments --family demo --html experiments.html": Otherwise(
            "there is no demo here", before=lambda: ok("alfred run study.toml --set name=demo --set seeds=[1]")
        ),
        "alfred compare demo-3f9a1c demo-77ab02": Otherwise(
            "there is one run of either name", instead="alfred compare demo study"
        ),
        "alfred compare latest demo-3f9a1c --out comparison.html": Otherwise(
            "the demo is the latest", instead="alfred compare study demo --out comparison.html"
        ),
        "alfred notes --set data.provider=csvfile --set universe.scan.training_start=AAPL": Otherwise(
            "takes minutes as it is",
            before=lambda: ok("alfred data fetch csvfile --path prices.parquet"),
            more=SMALL_NOTES,
        ),
        "alfred digest --digester endpoint --symbols @sp500 --since 2024-01-01 --budget-usd 5": Otherwise(
            "the index' members are wanted", before=lambda: ok("alfred data fetch constituents")
        ),
        "alfred ui --port 8080": Otherwise("does not end by itself", elsewhere="docs/test_newcomer.py"),
        "alfred models show champion": Otherwise("none is promoted yet", before=promote),
        "alfred models import mongodb://localhost/alfred --study study.toml": Otherwise(
            "wants a MongoDB", elsewhere="experiments/test_mongodb.py"
        ),
        "alfred data fetch fred --symbols 10year,^VIX,DGS30": Otherwise(NO_WEB, code=2, says="fred.stlouisfed.org"),
    },
    "data.md": {
        "alfred data fetch yahoo --symbols @sp500 --since 2004-01-01": Otherwise(
            f"{NO_WEB}; 500 times in vain",
            instead="alfred data fetch yahoo --symbols AAPL --since 2004-01-01",
            code=2,
            says="AAPL",
        ),
        "alfred data fetch fred": Otherwise(NO_WEB, code=2, says="fred.stlouisfed.org"),
    },
    "data-edgar.md": {
        "alfred data fetch edgar --symbols AAPL,MSFT --since 2015-01-01": Otherwise(NO_WEB, code=2, says="sec.gov"),
    },
    "experiments.md": {
        "alfred run grid.toml": Otherwise("takes 38 minutes as it is", before=edited("grid.toml", **SMALL_GRID)),
    },
    "honesty.md": {
        "ALFRED_TRACKING_URI=https://name:password@tracking.example.org alfred run study.toml": Otherwise(
            NO_WEB, code=2, says="tracking.example.org"
        ),
    },
    "language.md": {
        "alfred data fetch edgar --symbols AAPL --since 2018-01-01": Otherwise(NO_WEB, code=2, says="ALFRED_CONTACT"),
    },
    "models.md": {
        "ALFRED_SERVER_BACKEND=postgresql://alfred:PASSWORD@localhost/alfred alfred server --host 0.0.0.0 --allow "
        "lab.local:5000": Otherwise("wants a database of the reader's; test_postgres.py has one", code=2),
    },
    "notes.md": {
        "alfred notes": Otherwise("takes minutes as it is", more=SMALL_NOTES),
    },
    "sweeps.md": {
        "alfred init sweep.toml --study sweep": Otherwise(
            "takes minutes as it is", after=edited("sweep.toml", **SMALL_SWEEP)
        ),
        "ray start --head": Otherwise("a program of Ray's", elsewhere="experiments/test_sweep_ray.py"),
        "alfred sweep sweep.toml --ray auto": Otherwise(
            "no cluster is there; test_sweep_ray.py has one",
            before=edited("sweep.toml", study={"seeds": [1]}),
            code=2,
            says="no Ray cluster answers at auto",
        ),
    },
    "synthetic.md": {
        "alfred demo --market synthetic": Otherwise(
            "takes a minute as it is",
            before=write_small_market,
            more=SMALL_DEMO,
        ),
    },
}


def run(line: str) -> tuple[int, str]:
    """A line of a console, in this process: the exit code, and what was said."""
    words = shlex.split(line)
    with pytest.MonkeyPatch.context() as patch:
        while re.match(r"[A-Z_]+=", words[0]):
            patch.setenv(*words.pop(0).split("=", 1))
        assert words[0] == "alfred", f"not a command of alfred's: {line}"
        into = words.index(">") if ">" in words else len(words)
        done = CliRunner().invoke(app, words[1:into])
    for file in words[into + 1 :]:
        Path(file).write_text(done.stdout, encoding="utf-8")
    return done.exit_code, done.output


def latest(name: str) -> str:
    """The latest run of a name."""
    return max(home().runs.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime).name


def ok(*lines: str) -> None:
    for line in lines:
        code, said_then = run(line)
        assert code == 0, f"{line}\n{said_then}"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose lake and finished stages are copied for each page; tracking data know their own place."""
    folder = tmp_path_factory.mktemp("walks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ALFRED_HOME", str(folder / "alfred-home"))
        Path("study.toml").write_text(STUDY, encoding="utf-8")
        ok("alfred run study.toml")
    return folder / "alfred-home"


@pytest.fixture
def place(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages speak of: a study and its run, baskets, prices, holdings, articles, a table from elsewhere."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("alfred.lake.fetch.FetchSettings", lambda: FetchSettings(web=IMPATIENT))
    monkeypatch.chdir(tmp_path)
    for part in ("lake", "stages"):
        shutil.copytree(begun / part, tmp_path / "alfred-home" / part)
    Path("study.toml").write_text(STUDY, encoding="utf-8")
    Path("held.csv").write_text("symbol,shares\nGE,50\nKO,30\ncash,20000\n", encoding="utf-8")
    write_prices(tmp_path / "prices", None, dt.date(1990, 1, 2), dt.date(2018, 12, 31))
    _one_table(tmp_path / "prices", tmp_path / "prices.parquet")
    Path("prices/SIVB.csv").write_text(
        "date,high,low,close\n2023-03-09,177.7,100.0,106.0\n2023-03-10,39.4,99.0,39.4\n", encoding="utf-8"
    )
    _write_table()
    _write_articles()
    ok(
        "alfred run study.toml",
        "alfred scan --start AAPL --n 4 --as-of 2003-12-31 --save baskets.json",
        "alfred scan --start GE --n 4 --as-of 2003-12-31 --exclude baskets.json --save baskets.json",
    )
    return tmp_path


def _one_table(folder: Path, path: Path) -> None:
    files = sorted(folder.glob("*.csv"))
    frames = [pl.read_csv(file, try_parse_dates=True).with_columns(symbol=pl.lit(file.stem)) for file in files]
    pl.concat(frames).write_parquet(path)


def _write_table() -> None:
    """A panel from elsewhere, and predictions of its later half."""
    rng = np.random.default_rng(4)
    days = (np.datetime64("2005-04", "M") + 3 * np.arange(24)).astype("datetime64[D]") - 1
    rows = pl.DataFrame({"date": np.repeat(days, 12), "symbol": [f"N{at}" for at in range(12)] * 24}).with_columns(
        PM=pl.Series(0.1 * rng.standard_normal(288)),
        value=pl.Series(rng.standard_normal(288)),
        known_at=pl.col("date").cast(pl.Datetime("us", "UTC")),
    )
    rows = rows.filter(~((pl.col("symbol") == "N3") & (pl.col("date") > days[15])))
    rows = rows.with_columns(PM=pl.when(pl.col("date") < days[-1]).then("PM"))
    rows.write_parquet("table.parquet")
    rows.drop("known_at").write_csv("table.csv")
    rows.select("date", "symbol").with_columns(
        prediction=pl.Series(0.01 * rng.standard_normal(len(rows))),
        split=pl.when(pl.col("date") < days[10]).then(pl.lit("train")).otherwise(pl.lit("test")),
    ).filter((pl.col("date") < days[9]) | (pl.col("date") >= days[10])).write_parquet("p.parquet")


def _write_articles() -> None:
    """Two reports of a company, and news of two."""
    reports = [dt.datetime(2020, month, 4, 21, tzinfo=dt.UTC) for month in (5, 8)]
    news = [dt.datetime(2024, 5, day, 12, tzinfo=dt.UTC) for day in (6, 7)]
    Lake(home().lake).write(
        "articles",
        pl.DataFrame(
            {
                "article_id": ["0001/q.htm", "0002/q.htm", "n1", "n2"],
                "symbol": ["AAPL", "AAPL", "AAPL", "MSFT"],
                "published_at": reports + news,
                "known_at": reports + news,
                "title": [f"AAPL 10-Q {one.date()}" for one in reports] + ["Outlook raised"] * 2,
                "text": [QUARTER, QUARTER.replace("fell", "rose")] + [GOOD["quotations"][0]] * 2,
                "publisher": ["SEC", "SEC", "wire", "wire"],
                "source": ["edgar", "edgar", "wire", "wire"],
            }
        ),
    )


@pytest.fixture
def model() -> Iterator[Service]:
    """A server on loopback that speaks the OpenAI protocol."""
    with serving() as service:
        service.on(PATH, said(GOOD))
        yield service


def lines_of(page: Path) -> list[str]:
    """What is walked on a page."""
    if page != HELP:
        return console(page)
    shown = {line for other in PAGES for line in console(other)}
    return [line for line in dict.fromkeys(examples(page)) if line not in shown]


def test_every_exception_is_of_a_line_that_is_there() -> None:
    lines = {page.name: set(lines_of(page)) for page in PAGES}
    gone = [(page, line) for page, of_page in OTHERWISE.items() for line in of_page if line not in lines[page]]
    assert gone == []
    told = [how.elsewhere for of_page in OTHERWISE.values() for how in of_page.values() if how.elsewhere]
    files = [*told, *(f"docs/{name}" for name in WALKED_ELSEWHERE.values())]
    assert [name for name in files if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if lines_of(page) and page.name not in WALKED_ELSEWHERE], ids=lambda page: page.name
)
@pytest.mark.usefixtures("place")
def test_the_commands_of_a_page_do_as_it_says(page: Path, model: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_LLM_URL", f"{model.url}/v1")
    monkeypatch.setenv("ALFRED_LLM_MODEL", "tiny")
    for line in lines_of(page):
        how = OTHERWISE.get(page.name, {}).get(line, Otherwise("as it stands"))
        if how.elsewhere:
            continue
        if how.before:
            how.before()
        if line.startswith("export "):
            for word in shlex.split(line)[1:]:
                monkeypatch.setenv(*word.replace(MODEL_SERVER, model.url.removeprefix("http://")).split("=", 1))
            continue
        words = RUN.sub(lambda found: latest(found.group(1)), line)
        code, told = run(how.instead or (words if not how.more else f"{words} {how.more}"))
        assert code == how.code, f"{line}\n{told}"
        assert how.says in told, f"{line}\n{told}"
        assert "defect of Alfred" not in told
        if how.after:
            how.after()


@pytest.mark.parametrize("line", [USAGE.sub("", line) for line in console(HELP)])
def test_the_program_tells_how_a_command_is_used(line: str) -> None:
    code, told = run(f"{line} --help")
    assert code == 0
    assert "Usage:" in told
