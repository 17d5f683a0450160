"""The laboratory on trial: where nothing is planted it must find nothing, and where something is, that much.

Without a signal every return of the synthetic market is symmetric about one drift for all names, so each of an
analyst's quarterly rank ICs has expectation zero. An interval with 95% confidence then excludes zero on one given side
in 2.5% of markets. Of 20 markets more than 3 such would occur with probability 0.14% (binomial: P(X > 3), n = 20,
p = 0.025), and even at the two-sided 5% with 1.6%. A verdict of skill is granted to one of a study's two analysts or
to both in at most 5% of markets: to more than 4 of 20 with probability 0.26%.
"""

import datetime as dt
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.home import Home
from alfred.evaluation.contracts import Scorecard
from alfred.experiments.record import load_frame, load_record
from alfred.experiments.run import run_study
from alfred.experiments.study import Study, load_study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import SyntheticMarket, generate
from alfred.lake.synthetic.settings import SyntheticSettings

STUDY = Path(str(files("alfred.experiments") / "studies" / "synthetic.toml"))
TEST_FIRST = dt.date(2005, 3, 31)


@dataclass(frozen=True)
class Trial:
    """One market, and what the chain made of it."""

    market: SyntheticMarket
    folder: Path

    def card(self, analyst: str) -> Scorecard:
        return next(card for card in load_record(self.folder).scorecards if card.analyst == analyst)


def trial(root: Path, seed: int, coefficient: float, *, symbols: int = 150, **changes: object) -> Trial:
    """A market of 24 years: half of the names listed on the first test date teach, the other half are forecast."""
    market = generate(
        SyntheticSettings(
            seed=seed, symbols=symbols, first_year=1996, years=24, information_coefficient=coefficient,
            listed_later=0.1, delistings_per_year=0.01, articles_per_quarter=0.05, insider_trades_per_quarter=0.05,
        )
    )  # fmt: skip
    home = Home(root / f"{seed}-{coefficient}")
    for name, rows in market.tables.items():
        Lake(home.lake).write(name, rows)
    names = market.tables["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
    form = {
        "name": "trial",
        "data": {"provider": "synthetic"},
        "universe": {"training": names[0::2], "evaluation": names[1::2]},
        "splits": {
            "test_first": str(TEST_FIRST), "test_quarters": 12, "valid_quarters": 8, "min_train_quarters": 28,
        },
        "analysts": [{"name": "ridge"}, {"name": "ridge", "label": "excess"}],
        "backtest": {"strategies": ["simple"]},
        **changes,
    }  # fmt: skip
    return Trial(market, run_study(Study.parse(form, "trial"), home))


def ends(card: Scorecard) -> tuple[float, float]:
    interval = card.figure("rank_ic").over_quarters
    assert interval is not None
    return interval.lower, interval.upper


def test_the_demo_on_the_synthetic_market_is_a_valid_study() -> None:
    study = load_study(STUDY)
    assert study.data.provider == "synthetic"
    assert not set(study.universe.training) & set(study.universe.evaluation)
    assert str(study.splits.test_first) == str(TEST_FIRST)


def test_its_baskets_are_the_names_listed_on_the_first_test_date() -> None:
    market = generate(SyntheticSettings(articles_per_quarter=0.0, insider_trades_per_quarter=0.0))
    listed = market.tables["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
    study = load_study(STUDY)
    assert list(study.universe.training) == listed[0::2]
    assert list(study.universe.evaluation) == listed[1::2]


def test_the_chain_runs_on_a_synthetic_market_and_leaves_its_rows_alone(tmp_path: Path) -> None:
    """The study reads what was written, does not bring in the default market, and its outcomes are the truth's."""
    tried = trial(tmp_path, seed=3, coefficient=0.1, analysts=[{"name": "momentum"}])
    assert Lake(tmp_path / "3-0.1" / "lake").versions() == dict.fromkeys(tried.market.tables, 0)
    rows = load_frame(tried.folder, "forecasts").filter(pl.col("analyst") == "momentum").drop_nulls("PM")
    both = rows.join(tried.market.truth.signals, on=["symbol", "as_of"])
    assert len(both) > 3000
    # The truth of a name that ended in its quarter is not told; the panel gives what its holder got.
    traded = both.filter(pl.col("change").is_not_nan())
    assert 0 < len(both) - len(traded) < 0.05 * len(both)
    np.testing.assert_allclose(traded["PM"], traded["change"], rtol=1e-9, atol=1e-12)
    # Momentum forecasts a line in the planted column, so that its rank IC is the truth's own, on these names.
    ics = both.group_by("as_of").agg(pl.corr("predictor", "PM", method="spearman"))["predictor"]
    assert tried.card("momentum").figure("rank_ic").value == pytest.approx(float(ics.mean()), abs=0.02)


@pytest.mark.slow
def test_twenty_markets_without_a_signal_show_no_skill(tmp_path: Path) -> None:
    for analyst in _cards(tmp_path, range(20), 0.0).values():
        values = np.array([card.figure("rank_ic").value for card in analyst])
        above = sum(ends(card)[0] > 0 for card in analyst)
        below = sum(ends(card)[1] < 0 for card in analyst)
        assert sum(card.skilled for card in analyst) <= 4
        assert above <= 3
        assert below <= 3
        # Nor do they lean to one side together, as they would if a column knew a little of the future.
        assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.slow
def test_ridge_finds_a_planted_coefficient_of_a_tenth(tmp_path: Path) -> None:
    """300 companies, for power: some 120 names are forecast in each of 59 quarters. The mean of their rank ICs has a
    standard error of 0.012 to 0.017. A coefficient of 0.1 is a rank IC of 0.094, of which ridge, which has to choose
    among all columns, keeps about 0.07: four standard errors. (150 companies give 0.064, and 4 of 5 intervals.)
    """
    cards = _cards(tmp_path, range(5), 0.1, symbols=300)["ridge:excess"]
    assert sum(ends(card)[0] > 0 for card in cards) >= 4
    values = [card.figure("rank_ic").value for card in cards]
    assert 0.04 < np.mean(values) < 0.1


def _cards(root: Path, seeds: range, coefficient: float, symbols: int = 150) -> dict[str, list[Scorecard]]:
    tried = [trial(root, seed, coefficient, symbols=symbols) for seed in seeds]
    return {name: [one.card(name) for one in tried] for name in ("ridge", "ridge:excess")}
