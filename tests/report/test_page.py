import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
import report_run as made

from alfred.backtest.contracts import TradeAnalysis
from alfred.core.errors import DataError
from alfred.experiments.record import LeftOut, RunRecord, dump_record, load_record
from alfred.report import render, write_report
from alfred.report.format import DASH
from alfred.report.shell import told

HOSTILE = "<script>alert('x')</script>&\"@s0%{x}"
MINUS = "\u2212"
VOID = {"meta", "link", "br", "wbr", "input", "img", "hr", "line", "path", "circle"}


class Reader(HTMLParser):
    """Collects what the page says and loads, and which elements were left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            if name in {"src", "srcset", "href", "action", "data", "poster"}:
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"script", "style", "title"} & set(self.open):
            self.said.append(data.strip())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(made.write_run(tmp_path_factory.mktemp("page") / "run"))


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


def _page_of(folder: Path, record: RunRecord) -> str:
    return render(made.write_run(folder, record))


def test_the_file_stands_whole_in_the_folder(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run")
    path = write_report(folder)
    assert path == folder / "report.html"
    assert path.read_text(encoding="utf-8") == render(folder)
    assert not list(folder.glob("*.partial"))
    assert path.stat().st_size < 8_000_000


def test_the_verdict_comes_first_then_the_question_then_the_warnings(reader: Reader) -> None:
    record = made.make_record()
    verdict = record.verdict.replace("(-", f"({MINUS}")
    assert verdict != record.verdict
    main = reader.said[reader.said.index(verdict) :]
    before = reader.said[: reader.said.index(verdict)]
    assert before[0] == "Skip to the verdict"
    assert set(before[1:]) == {
        "Alfred", "Data", "Analysts", "Learning", "Quarters", "Calibration", "Features", "Accounts", "Trials",
        "Ledger", "Audit", "Run",
    }  # fmt: skip
    places = [main.index(text) for text in (record.question, *record.warnings, "Rank IC")]
    assert places == sorted(places)


def test_every_analyst_and_portfolio_is_named(page: str) -> None:
    without_breaks = page.replace("<wbr>", "").replace("\u00a0", " ")
    for name in (*made.ANALYSTS, *made.portfolio_names()):
        assert f'<th scope=row class="">{name}' in without_breaks
    for card in made.make_record().scorecards:
        assert told(card.verdict) in page


def test_cards_state_the_best_beside_what_it_has_to_beat(page: str) -> None:
    record = made.make_record()
    best = max(record.scorecards[1:], key=lambda card: card.figure("rank_ic").value or 0)
    value = best.figure("rank_ic").value
    assert value is not None
    cards = page[page.index('class="cards"') : page.index('class="imprint"')]
    assert f"{value:+.3f}".replace("-", MINUS) in cards
    assert best.analyst in cards
    assert "always up: 58.3% on the same rows" in cards
    equal = next(portfolio for portfolio in record.portfolios if portfolio.name == "1/N").statistics
    assert f"{equal.annual_return:.1%}".replace("-", MINUS) in cards
    assert "highest of 4 analysts" in cards


def test_figures_carry_interval_and_difference_to_naive(page: str) -> None:
    figure = made.make_record().scorecards[2].figure("mae")
    interval = figure.over_quarters
    assert interval is not None
    row = page[page.index('<th scope=row class="">ridge<small>') :].split("</tr>", maxsplit=1)[0]
    assert f"{figure.value:.4f}<small>{interval.lower:.4f} to {interval.upper:.4f}</small>" in row
    assert f"Δ {figure.difference:+.4f}".replace("-", MINUS) in row


def test_nothing_is_loaded_from_the_network(page: str, reader: Reader) -> None:
    assert reader.loads
    assert all(address.startswith("#") or address == "data:," for address in reader.loads)
    css = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1


def test_the_page_is_well_formed(reader: Reader) -> None:
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.handlers == []


def test_figures_are_what_plotly_accepts(page: str) -> None:
    figures = made.page_json(page, "figures")
    assert set(figures) == {
        "plot-folds", "plot-ic", "plot-accuracy", "plot-learning-0", "plot-learning-1", "plot-quarters",
        "plot-reliability", "plot-coverage", "plot-coverage-years", "plot-accounts",
        "plot-attribution-cash", "plot-attribution-equal",
    }  # fmt: skip
    for key, figure in figures.items():
        assert f'id="{key}" role="img" aria-label="' in page
        plain = json.loads(re.sub(r'"@[a-z0-9]+(/[\d.]+)?"', '"#123456"', json.dumps(figure)))
        go.Figure(data=plain["data"], layout=plain["layout"])  # validates every property


def test_curves_are_light_and_keep_what_is_said_about_them(page: str) -> None:
    figures = made.page_json(page, "figures")
    lines = [trace for trace in figures["plot-accounts"]["data"] if trace.get("yaxis") == "y2"]
    deepest = made.accounts().group_by("portfolio").agg(pl.col("drawdown").min())
    assert len(lines) == len(made.portfolio_names())
    for trace in lines:
        assert len(trace["x"]) <= 1_500
        expected = deepest.filter(pl.col("portfolio") == trace["name"])["drawdown"][0]
        assert min(trace["y"]) == pytest.approx(expected, abs=1e-4)


def test_the_ledger_keeps_every_line(page: str) -> None:
    book = made.page_json(page, "ledger-data")
    table = made.ledger()
    assert book["portfolios"] == [f"{analyst} · {strategy}" for analyst, strategy in made.TRADED]
    assert {len(column) for column in book["columns"].values()} == {table.height}
    first = table.row(0, named=True)
    assert book["actions"][book["columns"]["action"][0]] == first["action"]
    assert book["symbols"][book["columns"]["symbol"][0]] == first["symbol"]
    assert book["columns"]["price"][0] == pytest.approx(first["price"], abs=1e-4)


def test_a_trade_that_makes_most_of_a_result_is_called_out(page: str) -> None:
    assert told("One trade makes most of vanilla.small.tanh · magnitude-choice") in page
    assert told("RRC 2020-03-31 to 2021-03-31 (+487.1%) is 61.0% of all its gains.") in page
    assert "One trade makes most of ridge" not in page


def test_a_strategy_that_is_a_benchmark_in_disguise_is_told(tmp_path: Path, page: str) -> None:
    record = made.make_record()
    equal = next(portfolio for portfolio in record.portfolios if portfolio.name == "1/N")
    first = replace(record.portfolios[0], statistics=equal.statistics)
    text = _page_of(tmp_path / "run", replace(record, portfolios=(first, *record.portfolios[1:])))
    assert told("The same account as 1/N, so no evidence of anything: ridge · simple.") in text
    assert "the same account as 1/N; highest of 5 strategies" in text
    assert "same account as" not in page


def test_ruin_is_said_plainly(tmp_path: Path) -> None:
    record = made.make_record()
    first = record.portfolios[0]
    ruined = replace(first, statistics=replace(first.statistics, ruined_on="2009-03-09"))
    folder = made.write_run(tmp_path / "run", replace(record, portfolios=(ruined, *record.portfolios[1:])))
    dead = (pl.col("portfolio") == first.name) & (pl.col("date") >= pl.date(2009, 3, 9))
    accounts = made.accounts().with_columns(
        pl.when(dead).then(0.0).otherwise("value").alias("value"),
        pl.when(dead).then(-1.0).otherwise("drawdown").alias("drawdown"),
    )
    accounts.write_parquet(folder / "accounts.parquet")
    text = render(folder)
    assert told("ridge · simple was ruined on 2009-03-09: nothing was left, and the account stays at zero.") in text
    traces = made.page_json(text, "figures")["plot-accounts"]["data"]
    value = next(trace for trace in traces if trace["name"] == first.name)
    assert value["y"][-1] is None  # a logarithmic axis has no zero
    cross = next(trace for trace in traces if trace["mode"] == "markers")
    assert cross["x"][0] < "2009-03-09"


def _hostile(record: RunRecord) -> RunRecord:
    card, portfolio = record.scorecards[1], record.portfolios[0]
    return replace(
        record,
        study=HOSTILE,
        verdict=HOSTILE,
        warnings=(HOSTILE,),
        training_basket=(HOSTILE,),
        scorecards=(replace(card, analyst=HOSTILE, verdict=HOSTILE),),
        portfolios=(replace(portfolio, name=HOSTILE, analyst=HOSTILE, strategy=HOSTILE),),
        efficiency=(replace(record.efficiency[1], analyst=HOSTILE),),
        data=replace(record.data, provider=HOSTILE, missing=(LeftOut(HOSTILE, HOSTILE),)),
        environment={HOSTILE: HOSTILE},
        settings={HOSTILE: HOSTILE},
    )


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run", _hostile(made.make_record()))
    for name, column in (
        ("quarters", "analyst"),
        ("curves", "analyst"),
        ("accounts", "portfolio"),
        ("ledger", "symbol"),
    ):
        frame = getattr(made, name)().with_columns(pl.lit(HOSTILE).alias(column))
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "study.toml").write_text(HOSTILE, encoding="utf-8")
    text = render(folder)
    assert "<script>alert" not in text
    reader = Reader(text)
    assert reader.said.count(HOSTILE) >= 5
    assert reader.tags["script"] == 5
    assert made.page_json(text, "ledger-data")["symbols"] == [HOSTILE]
    names = [trace["name"] for trace in made.page_json(text, "figures")["plot-accounts"]["data"]]
    assert all("<" not in name and "&lt;script&gt;" in name for name in names)


def _without(record: RunRecord) -> Iterator[tuple[str, RunRecord, str]]:
    yield "scorecards", replace(record, scorecards=()), "This run evaluated no analysts."
    yield "portfolios", replace(record, portfolios=()), "No account was run."
    yield "folds", replace(record, folds=()), "No folds were recorded."
    yield "efficiency", replace(record, efficiency=(), timings=(), warnings=()), "Run it again"
    yield "naive alone", replace(record, scorecards=record.scorecards[:1]), "The forecast to beat"
    naked = replace(record.scorecards[1], calibration=(), figures=())
    yield "no figures", replace(record, scorecards=(naked,)), "No calibration was recorded."


@pytest.mark.parametrize("case", list(_without(made.make_record())), ids=lambda case: case[0])
def test_an_absent_piece_is_said_and_breaks_nothing(tmp_path: Path, case: tuple[str, RunRecord, str]) -> None:
    _, record, sentence = case
    text = _page_of(tmp_path / "run", record)
    assert sentence in text
    assert Reader(text).open == []


def test_empty_tables_are_said(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run")
    for name in ("quarters", "curves", "accounts", "ledger"):
        getattr(made, name)().clear().write_parquet(folder / f"{name}.parquet")
    text = render(folder)
    for sentence in (
        "No analyst of this run learns in epochs, so there are no curves.",
        "No analyst of this run has a rank IC in any quarter.",
        "No account was run.",
        "No strategy traded, so the ledger is empty.",
    ):
        assert sentence in text


def test_absent_numbers_become_a_dash_with_its_reason(tmp_path: Path) -> None:
    record = made.make_record()
    card = record.scorecards[1]
    blank = replace(
        card.figure("r2"), value=None, over_quarters=None, over_seeds=None, difference=None,
        difference_over_quarters=None, note="undefined, because the label is constant",
    )  # fmt: skip
    figures = tuple(blank if figure.name == "r2" else figure for figure in card.figures)
    text = _page_of(tmp_path / "run", replace(record, scorecards=(replace(card, figures=figures),)))
    assert 'data-sort="" title="undefined, because the label is constant">' + DASH in text


def test_not_a_number_in_the_tables_becomes_null(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run")
    nan = pl.lit(float("nan"))
    made.ledger().with_columns(reading=nan).write_parquet(folder / "ledger.parquet")
    made.curves().with_columns(valid_loss=nan).write_parquet(folder / "curves.parquet")
    made.quarters().with_columns(rank_ic=nan).write_parquet(folder / "quarters.parquet")
    text = render(folder)
    assert set(made.page_json(text, "ledger-data")["columns"]["reading"]) == {None}
    assert "No analyst of this run has a rank IC in any quarter." in text
    assert "NaN" not in json.dumps(made.page_json(text, "figures"))


def test_three_hundred_symbols_fold_away(tmp_path: Path) -> None:
    names = tuple(f"SYM{at}" for at in range(300))
    text = _page_of(tmp_path / "run", replace(made.make_record(), evaluation_basket=names))
    assert "<summary>260 more</summary>" in text
    assert all(f"<li>{name}</li>" in text for name in names)


def test_no_completed_trade_has_no_win_rate(tmp_path: Path) -> None:
    record = made.make_record()
    none = TradeAnalysis(0, 0, 0, 3, 0.0, 0.0, 0.0, "", 0.0, 0.0)
    first = replace(record.portfolios[0], trades=none)
    text = _page_of(tmp_path / "run", replace(record, portfolios=(first,)))
    assert text.count('title="no completed trade">' + DASH) == 6


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "run.json").unlink(), "run.json is absent"),
        (
            lambda folder: (folder / "run.json").write_text('{"study": "old"}'),
            "cannot be read by this version",
        ),
        (lambda folder: (folder / "accounts.parquet").unlink(), "holds no accounts.parquet; delete "),
        (
            lambda folder: made.curves().drop("best").write_parquet(folder / "curves.parquet"),
            "lacks best; delete ",
        ),
    ],
    ids=["no record", "old record", "no table", "old table"],
)
def test_an_unusable_folder_is_refused_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    folder = made.write_run(tmp_path / "run")
    spoil(folder)
    with pytest.raises(DataError, match=re.escape(sentence)):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_study_that_is_no_text_spoils_no_report(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run")
    (folder / "study.toml").write_bytes(b"name = '\xff\xfe'")
    assert "name = &#39;\ufffd" in render(folder)


def test_the_record_survives_its_file(tmp_path: Path) -> None:
    record = made.make_record()
    folder = made.write_run(tmp_path / "run", record)
    assert dump_record(load_record(folder)) == dump_record(record)
