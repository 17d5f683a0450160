"""Recommendations from a finished run, and nothing of what came after their date in them."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from managed_run import managed_run
from recommended import entry_of
from typer.testing import CliRunner

from alfred.cli.main import app
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments import recommending
from alfred.experiments.counting import count
from alfred.experiments.market import read_market
from alfred.experiments.recommendations import LEDGER, read
from alfred.experiments.recommending import Wish, known_until, read_holdings, recommendation_of
from alfred.experiments.record import load_frame
from alfred.experiments.scenes import Source, read_source
from alfred.experiments.scoring import scores
from alfred.experiments.study import DataSettings
from alfred.experiments.tracking import tracking
from alfred.experiments.trials import TrialLedger
from alfred.experiments.vault import SEALED
from alfred.lake.store import Lake
from alfred.manager.contracts import PolicyDescription

DATE = "2012-09-28"
WISH = Wish(DATE, capital_usd=100_000.0)
AT_ONCE = dt.datetime(2012, 9, 28, 21, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.getbasetemp() / "recommended")


@pytest.fixture(scope="module")
def run(home: Home) -> Path:
    return managed_run(home)


@pytest.fixture(scope="module")
def source(home: Home, run: Path) -> Source:
    return read_source(run, home)


def test_forecasts_of_the_date_and_whose_they_are(run, home):
    entry = recommendation_of(run, home, WISH, now=AT_ONCE)
    told = entry.recommendation
    assert (entry.as_of, entry.ends_on, entry.hindsight) == (DATE, "2012-12-31", False)
    assert (entry.run, entry.study, entry.provider) == (run.name, "small", "sample")
    assert told.policy == "equal-weight"
    assert len(told.lines) == 6
    own = load_frame(run, "forecasts").filter(pl.col("as_of") == dt.date(2012, 9, 28))
    for line in told.lines:
        voices = {voice.analyst: voice.mean for voice in line.voices}
        assert set(voices) == {"momentum", "ridge"}
        for analyst, mean in voices.items():
            rows = own.filter(pl.col("analyst") == analyst, pl.col("symbol") == line.symbol)
            assert mean == pytest.approx(rows["mean"].mean())
        assert line.mean == pytest.approx(np.mean(list(voices.values())))
    assert told.cash_usd >= 0.0
    assert sum(line.shares * line.price for line in told.lines) + told.cash_usd + told.cost_usd == pytest.approx(1e5)


def test_prices_that_were_adjusted_are_called_so(run, home):
    notes = recommendation_of(run, home, WISH).recommendation.notes
    assert any("adjusted backwards for splits and dividends" in note for note in notes)
    assert any("no policy of this run was judged" in note for note in notes)


def test_after_its_quarter_it_is_made_in_hindsight(run, home):
    closed = dt.datetime(2012, 12, 31, 21, 0, tzinfo=dt.UTC)
    assert not recommendation_of(run, home, WISH, now=closed - dt.timedelta(seconds=1)).hindsight
    assert recommendation_of(run, home, WISH, now=closed).hindsight


def test_the_last_decision_needs_no_label(run, home):
    entry = recommendation_of(run, home, Wish("2014-12-31", "maximum_sharpe", capital_usd=5e4, fractional=True))
    assert entry.ends_on == "2015-03-31"
    assert entry.recommendation.policy == "maximum-sharpe"
    assert entry.recommendation.fractional


def scrambled(source: Source, date: str) -> Source:
    """The same run until the date, and another one after it."""
    generator = np.random.default_rng(1)
    bars, outlook = source.bars, source.outlook
    later = bars.dates > np.datetime64(date)
    close, total = bars.close.copy(), bars.total.copy()
    for prices in (close, total):
        prices[later] *= np.exp(generator.normal(0.0, 0.2, prices[later].shape))
    after = source.quarters > np.datetime64(date)

    def moved(values: np.ndarray) -> np.ndarray:
        found = values.copy()
        found[after] += generator.normal(0.0, 0.3, found[after].shape)
        return found

    parts = {name: moved(getattr(outlook, name)) for name in ("mean", "lower", "upper", "prob_up")}
    return replace(
        source,
        bars=Bars(bars.dates, bars.symbols, close, total),
        index=np.where(later, 7.0, source.index),
        outlook=replace(outlook, **parts),
        says=tuple(replace(said, values=moved(said.values)) for said in source.says),
    )


@pytest.mark.parametrize("policy", ["equal-weight", "black-litterman", "top-decile", "minimum-variance"])
def test_nothing_after_the_date_is_read(run, home, source, monkeypatch, policy):
    wish = replace(WISH, policy=policy)
    before = recommendation_of(run, home, wish, now=AT_ONCE)
    other = scrambled(source, DATE)
    assert not np.array_equal(other.bars.close, source.bars.close)
    monkeypatch.setattr(recommending, "read_source", lambda *_: other)
    assert recommendation_of(run, home, wish, now=AT_ONCE) == before


def test_what_is_known_ends_with_the_date(source):
    cut = known_until(source, np.datetime64(DATE))
    assert cut.bars.dates[-1] == np.datetime64(DATE)
    assert cut.quarters[-1] == np.datetime64(DATE)
    assert len(cut.index) == len(cut.bars.dates)
    assert len(cut.outlook.mean) == len(cut.quarters)
    assert {len(said.values) for said in cut.says} == {len(cut.quarters)}
    if len(cut.series):
        assert cut.series["known_at"].max() <= AT_ONCE


@dataclass
class Learnt:
    """Wants the name with the number of its seed."""

    seed: int

    def weights(self, observation):
        return np.eye(len(observation.mask))[self.seed]

    def save(self, folder):
        (folder / "seed").write_text(str(self.seed))


def test_a_policy_that_learns_sees_nothing_after_the_date(run, home, monkeypatch):
    seen = []

    def fit(scene, settings, seed, progress):
        seen.append((scene.bars.dates[-1], scene.dates[-1], scene.bars.dates[scene.rows[-1]]))
        return Learnt(seed)

    policy = SimpleNamespace(
        DESCRIPTION=PolicyDescription("eye", learns=True, uses_forecasts=False, reference="none"),
        fit=fit,
        restore=lambda folder: Learnt(int((folder / "seed").read_text())),
    )
    monkeypatch.setattr(recommending, "plugin", lambda package, name: policy)
    settings = read_source(run, home).study.manager.model_copy(update={"seeds": (0, 1)})
    real = read_source

    def few(*asked):
        found = real(*asked)
        return replace(found, study=found.study.model_copy(update={"manager": settings}))

    monkeypatch.setattr(recommending, "read_source", few)
    told = recommendation_of(run, home, replace(WISH, policy="eye", fractional=True)).recommendation
    assert len(seen) == 2
    assert all(bar == end == np.datetime64(DATE) for bar, _, end in seen)
    assert all(last == np.datetime64("2012-06-29") for _, last, _ in seen)
    assert len(told.lines) == 2
    assert [line.weight for line in told.lines] == pytest.approx([0.5, 0.5], abs=1e-3)
    with pytest.raises(DataError, match=r"learns from at least 16 periods .* but the run has 3 before 2008-12-31"):
        recommendation_of(run, home, replace(WISH, as_of="2008-12-31", policy="eye"))


def test_other_dates_name_the_nearest(run, home):
    with pytest.raises(ConfigError, match=r"2012-09-30 is no decision date .* the nearest earlier one is 2012-09-28"):
        recommendation_of(run, home, replace(WISH, as_of="2012-09-30"))
    with pytest.raises(ConfigError, match=r"2001-03-30 lies before the first forecasts .* 2008-03-31"):
        recommendation_of(run, home, replace(WISH, as_of="2001-03-30"))
    with pytest.raises(ConfigError, match="is not a date"):
        recommendation_of(run, home, replace(WISH, as_of="yesterday"))
    with pytest.raises(ConfigError, match="there is no 'equal-wait' among the policies; did you mean"):
        recommendation_of(run, home, replace(WISH, policy="equal-wait"))


def held(folder: Path, text: str) -> Path:
    path = folder / "held.csv"
    path.write_text(text)
    return path


def test_cash_is_told_in_one_way(run, home, tmp_path):
    path = held(tmp_path, "Symbol,Shares\nGE,500\nKO,1000\nCash,20000\n")
    told = recommendation_of(run, home, Wish(DATE, holdings=path)).recommendation
    prices = {line.symbol: line.price for line in told.lines}
    assert told.worth_usd == pytest.approx(20_000.0 + 500 * prices["GE"] + 1000 * prices["KO"])
    without = held(tmp_path, "symbol,shares\nGE,500\n")
    beside = recommendation_of(run, home, Wish(DATE, holdings=without, capital_usd=80_000.0)).recommendation
    assert beside.worth_usd == pytest.approx(80_000.0)
    assert beside.cash_before_usd == pytest.approx(80_000.0 - 500 * prices["GE"])
    assert recommendation_of(run, home, Wish(DATE, holdings=without, cash_usd=5.0)).recommendation.cash_before_usd == 5
    with pytest.raises(ConfigError, match="cash was told by --capital and by --cash; give one of them"):
        recommendation_of(run, home, Wish(DATE, capital_usd=1.0, cash_usd=1.0))
    with pytest.raises(ConfigError, match="say what there is to invest"):
        recommendation_of(run, home, Wish(DATE))
    with pytest.raises(ConfigError, match="--capital must be above zero, got -5"):
        recommendation_of(run, home, Wish(DATE, capital_usd=-5.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ticker,count\nGE,5\n", "must begin with the line symbol,shares, got 'ticker,count'"),
        ("", "must begin with the line symbol,shares, got 'nothing'"),
        ("symbol,shares\nGE,five\n", "line 2 of .* must be a symbol and a number of shares, got 'GE,five'"),
        ("symbol,shares\nGE,5\n\nKO\n", "line 4 of .* must be a symbol and a number"),
        ("symbol,shares\nGE,nan\n", "line 2"),
        ("symbol,shares\nGE,5,6\n", "line 2"),
        ("symbol,shares\n,5\n", "line 2"),
        ("symbol,shares\nGE,5\nGE,6\n", "line 3 of .* names GE a second time; add its shares up"),
    ],
)
def test_holdings_that_cannot_be_read(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_holdings(held(tmp_path, text))


def test_holdings_that_can(tmp_path):
    assert read_holdings(held(tmp_path, "symbol,shares\nGE, 5\nKO,-2.5\n")) == ({"GE": 5.0, "KO": -2.5}, None)
    assert read_holdings(held(tmp_path, "\ufeffsymbol,shares\ncash,-10\n")) == ({}, -10.0)
    with pytest.raises(DataError, match="cannot be read"):
        read_holdings(tmp_path / "absent.csv")


def test_scores_come_from_the_lake(run, home):
    """Against prices read here and added up by hand."""
    entry = replace(recommendation_of(run, home, WISH, now=AT_ONCE), number=1)
    (found,) = scores(home, [entry])
    bars = read_market(Lake(home.lake), DataSettings()).bars
    value, told = entry.recommendation.cash_before_usd - entry.recommendation.cost_usd, entry.recommendation
    for line in told.lines:
        own = bars.filter(pl.col("symbol") == line.symbol)
        bought, sold = (
            own.filter(pl.col("date") == day)["close"].item() for day in (dt.date(2012, 10, 1), dt.date(2012, 12, 31))
        )
        value += line.shares * (sold - bought)
    assert found.filled_on == "2012-10-01"
    assert found.after_usd == pytest.approx(value, abs=1e-6)
    assert found.gain == pytest.approx(value / 100_000.0 - 1.0)
    assert found.names == 6


def test_a_policy_that_is_scored_in_hindsight_is_a_trial(run, home):
    ledger, before = TrialLedger.open(home), TrialLedger.open(home).count("small")

    def scored(policy: str, now: dt.datetime | None = None) -> None:
        entry = replace(recommendation_of(run, home, replace(WISH, policy=policy), now=now), number=1)
        assert entry.hindsight == (now is None)
        assert scores(home, [entry])[0].state == "scored"

    scored("equal-weight")  # what others are compared with
    scored("inverse-volatility", AT_ONCE)  # foresight
    assert ledger.count("small") == before
    for _ in range(2):
        scored("inverse-volatility")
    (trial,) = [one for one in ledger.trials("small") if one.analyst.endswith("(recommended in hindsight)")]
    assert (trial.analyst.partition(" ")[0], trial.status) == ("inverse-volatility", "finished")
    assert trial.seen_until[:10] == "2012-12-31"
    assert count(home, "small").untraded >= 1


def test_quarters_that_run_on_or_are_sealed_have_no_score(home, run):
    open_until = entry_of({"GE": (0.0, 1.0)}, cash=500.0, cost=0.0, as_of="2022-09-30", ends_on="2022-12-30")
    (waiting,) = scores(home, [open_until], dt.datetime(2022, 12, 30, 20, 0, tzinfo=dt.UTC))
    assert waiting.state == "open"
    (without,) = scores(home, [open_until], dt.datetime(2023, 1, 3, tzinfo=dt.UTC))  # the sample ends on 2022-12-28
    assert without.state == "no prices"
    vaulted = replace(entry_of({"GE": (0.0, 1.0)}, cash=500.0, cost=0.0), family="with-a-vault")
    tracking(home).claim(SEALED + "with-a-vault", {"alfred.sealed_after": "2020-03-31T20:00:00+00:00"})
    (sealed,) = scores(home, [vaulted])
    assert sealed.state == "sealed"
    assert sealed.after_usd is None


def test_the_commands(run, home, monkeypatch):
    monkeypatch.setenv("ALFRED_HOME", str(home.root))
    program, wish = CliRunner(), ["recommend", run.name, "--as-of", DATE, "--capital", "100000"]
    assert "There are no recommendations yet" in program.invoke(app, ["ledger"]).output
    shown = program.invoke(app, [*wish, "--no-record"])
    assert shown.exit_code == 0, shown.output
    assert "equal-weight as of 2012-09-28" in shown.output
    assert "Made in hindsight" in shown.output
    assert not (home.root / "recommendations").exists()
    for policy in ("equal-weight", "black-litterman"):
        done = program.invoke(app, [*wish, "--policy", policy])
        assert done.exit_code == 0, done.output
    orders = (home.root / "recommendations" / f"00002-{DATE}-black-litterman.csv").read_text().splitlines()
    assert orders[0].startswith("symbol,price,held,order,shares,weight")
    assert orders[-1].startswith("cash,1.0,100000.0,")
    listed = program.invoke(app, ["ledger"])
    assert "All 2 entries follow one another unchanged" in listed.output
    scored = program.invoke(app, ["ledger", "--score"])
    assert scored.exit_code == 0, scored.output
    assert "Entry 2: made in hindsight" in scored.output
    path = home.root / "recommendations" / LEDGER
    text = path.read_text()
    path.write_text(text.replace('"hindsight":true', '"hindsight":false', 1))
    lost = program.invoke(app, ["ledger", "--verify"])
    path.write_text(text)
    assert lost.exit_code == 1
    assert "Entry 1: it was altered" in lost.output
    assert read(home).faults == ()
    bad = program.invoke(app, ["recommend", run.name])
    assert bad.exit_code == 2
    assert "--as-of 2022-09-30" in bad.output
