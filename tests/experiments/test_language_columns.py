"""Language columns on trial: they help where tone moves prices, and not where it does not."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from alfred.core.home import Home
from alfred.experiments.record import RunRecord, load_frame, load_record
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language.anonymise import anonymiser
from alfred.language.contracts import UNKNOWN_CUTOFF
from alfred.language.registry import make_digester
from alfred.language.run import digest_articles
from alfred.language.stories import ALWAYS
from alfred.panel.catalogue import catalogue

TEST_FIRST = dt.date(2004, 3, 31)


def columns(family: str) -> list[str]:
    return [name for name, feature in catalogue().items() if feature.family == family and not feature.is_level]


PRICES = columns("price")
BOTH = [*PRICES, *columns("language")]


def settings(seed: int, coefficient: float, symbols: int, years: int) -> SyntheticSettings:
    return SyntheticSettings(
        seed=seed, symbols=symbols, first_year=1999, years=years, predictor="tone",
        information_coefficient=coefficient, listed_later=0.0, delistings_per_year=0.01, renames_per_year=0.0,
        insider_trades_per_quarter=0.1,
    )  # fmt: skip


def study(names: list[str], features: list[str], **panel: object) -> Study:
    form = {
        "name": "trial",
        "data": {"provider": "synthetic"},
        "universe": {"training": names[0::2], "evaluation": names[1::2]},
        "panel": {"features": features, **panel},
        "splits": {"test_first": str(TEST_FIRST), "test_quarters": 8, "valid_quarters": 4, "min_train_quarters": 12},
        "analysts": [{"name": "ridge", "label": "excess"}],
        "evaluation": {"draws": 200},
        "backtest": {"strategies": ["simple"]},
    }
    return Study.parse(form, "trial")


def rank_ics(folder: Path) -> np.ndarray:
    quarters = load_frame(folder, "quarters").filter(pl.col("analyst") == "ridge:excess").sort("as_of")
    return quarters["rank_ic"].to_numpy()


def gains(root: Path, seed: int, coefficients: tuple[float, float]) -> list[np.ndarray]:
    """By quarter, what the columns of articles add to the rank IC in two markets that differ in what tone does."""
    digested: dict[str, pl.DataFrame] = {}
    found = []
    for coefficient in coefficients:
        market = generate(settings(seed, coefficient, symbols=80, years=13)).tables
        home = Home(root / f"{seed}-{coefficient}")
        lake = Lake(home.lake)
        for name, rows in market.items():
            lake.write(name, rows)
        if digested:
            # The same companies and articles: only what prices make of them differs.
            assert digested.pop("articles").equals(market["articles"])
            for name, rows in digested.items():
                lake.write(name, rows)
        else:
            digest_articles(lake, make_digester("lexicon"))
            view = lake.asof(ALWAYS)
            digested = {"articles": market["articles"], "stories": view.stories()}
            digested["digests"] = view.digests().drop("symbol", "published_at")
        names = market["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
        without, beside = (rank_ics(run_study(study(names, features), home)) for features in (PRICES, BOTH))
        found.append(beside - without)
    return found


@pytest.mark.slow
def test_language_columns_help_where_tone_moves_prices_and_only_there(tmp_path: Path) -> None:
    """Three markets of 35 quarters: a quarter's gain has a deviation of some 0.13, its mean over 105 one of 0.013.

    A planted correlation of 0.2 gains 0.1 to 0.19, as ridge has to find it; without one the gain has a mean of 0.
    """
    pairs = [gains(tmp_path, seed, (0.2, 0.0)) for seed in (300, 301, 302)]
    planted, none = (np.concatenate([pair[at] for pair in pairs]) for at in (0, 1))
    assert len(planted) > 90
    assert planted.mean() / stats.sem(planted) > 3
    assert all(pair[0].mean() > 0 for pair in pairs)
    assert abs(none.mean() / stats.sem(none)) < 3


# What a model may have known


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("home"))
    lake = Lake(made.lake)
    for name, rows in generate(settings(7, 0.2, symbols=16, years=10)).tables.items():
        lake.write(name, rows)
    lexicon = make_digester("lexicon")
    digest_articles(lake, lexicon)
    digest_articles(lake, lexicon, change=anonymiser())
    return made


def record(home: Home, cutoff: dt.date | None) -> RunRecord:
    """A run on digests of a model that declares the cutoff."""
    lake = Lake(home.lake)
    digests = lake.asof(ALWAYS).digests().drop("symbol", "published_at")
    lake.write("digests", digests.with_columns(pl.lit(cutoff, pl.Date).alias("knowledge_cutoff")))
    names = lake.asof(ALWAYS).bars()["symbol"].unique().sort().to_list()
    return load_record(run_study(study(names, ["mean_sentiment", "price_change_term_*"], digester="lexicon"), home))


def test_results_are_told_apart_by_what_the_model_may_have_known(home: Home) -> None:
    found = record(home, dt.date(2005, 5, 16))
    language = found.language
    assert language is not None
    assert (language.cutoff, language.columns) == ("2005-05-16", ("mean_sentiment",))
    assert 0 < language.flagged < language.rows
    parts = {(part.analyst, part.part): part for part in language.results}
    before, after = parts["ridge:excess", "before"], parts["ridge:excess", "after"]
    # Quarters from March 2004 to June 2005, the cutoff's own among them, and the rest.
    assert before.quarters == 6
    assert after.quarters == 13
    card = next(card for card in found.scorecards if card.analyst == "ridge:excess")
    assert after.rows + before.rows == card.rows
    whole = (before.rank_ic * 6 + after.rank_ic * 13) / 19  # type: ignore[operator]
    assert whole == pytest.approx(card.figure("rank_ic").value)
    right = (before.accuracy * before.rows + after.accuracy * after.rows) / card.rows  # type: ignore[operator]
    assert right == pytest.approx(card.figure("accuracy").value)
    assert after.rank_ic_interval is not None
    assert after.rank_ic_interval.lower < after.rank_ic < after.rank_ic_interval.upper  # type: ignore[operator]
    assert any("learnt of the world until 2005-05-16" in warning for warning in found.warnings)


def test_a_model_without_a_cutoff_may_have_known_all(home: Home) -> None:
    found = record(home, UNKNOWN_CUTOFF)
    assert found.language is not None
    assert found.language.cutoff == "unknown"
    assert all(part.quarters == 0 and part.rank_ic is None for part in found.language.results if part.part == "after")
    assert any("declares no knowledge cutoff" in warning for warning in found.warnings)


def test_a_digester_that_learnt_nothing_is_not_flagged_and_its_twin_stands_beside_it(home: Home) -> None:
    found = record(home, None)
    language = found.language
    assert language is not None
    assert (language.cutoff, language.flagged) == ("", 0)
    assert not any("language model" in warning for warning in found.warnings)
    assert language.twin == f"{language.digester}+anonymous-1"
    scores = {pair.score: pair for pair in language.scores}
    # The lexicon knows no names: hiding them moves nothing.
    assert scores["sentiment"].articles > 500
    assert scores["sentiment"].rank_correlation == pytest.approx(1)
    assert {one.column: one.difference for one in language.twin_columns} == {
        "mean_sentiment": pytest.approx(0, abs=1e-9), "mean_outlook": pytest.approx(0, abs=1e-9),
    }  # fmt: skip


def test_without_columns_of_articles_nothing_is_said_of_them(home: Home) -> None:
    names = Lake(home.lake).asof(ALWAYS).bars()["symbol"].unique().sort().to_list()
    assert load_record(run_study(study(names, ["price_change_term_*"]), home)).language is None
