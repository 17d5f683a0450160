"""What a manager and a recommendation see before a date does not move when all that became known later does."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from managed_run import managed_study

from alfred.core.home import Home
from alfred.core.plugins import plugin
from alfred.core.progress import Silent
from alfred.experiments.conditions import conditions_of
from alfred.experiments.market import read_market
from alfred.experiments.recommending import _quoted, known_until
from alfred.experiments.run import run_study
from alfred.experiments.scenes import Source, _index, index_known, read_source, scene_of, scene_on
from alfred.lake.scramble import OtherFuture, ScrambledLake
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.manager.settings import POLICIES, ManagerSettings

RULES = ("inverse-volatility", "minimum-variance", "hierarchical-risk-parity", "top-decile", "black-litterman")
SETTINGS = ManagerSettings()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("synthetic"))
    for name, rows in generate(SyntheticSettings(symbols=24, first_year=2000, years=9)).tables.items():
        Lake(home.lake).write(name, rows)
    return home


@pytest.fixture(scope="module")
def source(home: Home) -> Source:
    study = managed_study(
        data={"provider": "synthetic"},
        universe={"names": {}},
        splits={"test_first": "2005-03-31", "test_quarters": 8, "valid_quarters": 4, "min_train_quarters": 12},
    )
    return read_source(run_study(study, home), home)


def in_another_future(source: Source, home: Home, date: dt.date, seed: int) -> Source:
    """The same forecasts in a market that went on otherwise; those after the date are not looked at."""
    study = source.study
    lake = ScrambledLake(home.lake, OtherFuture.of(date, seed, study.data.provider))
    market = read_market(lake, study.data, source.market.view.versions)
    bars = market.matrix(source.bars.symbols)
    return replace(
        source,
        market=market,
        series=market.tables(source.bars.symbols).series,
        bars=bars,
        index=_index(market, bars.dates),
        index_known=index_known(market.index, bars.dates),
        conditions=conditions_of(market, bars, labels=study.panel.labels),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_that_is_seen_on_a_date_knows_what_comes(source: Source, home: Home, seed: int) -> None:
    at = np.datetime64(["2006-09-29", "2007-06-29"][seed])
    other = in_another_future(source, home, at.item(), seed)
    until = source.bars.dates <= at
    assert not np.array_equal(source.bars.total[~until][:50], other.bars.total[~until][:50], equal_nan=True)
    one, two = (scene_on(part, SETTINGS, at) for part in (source, other))
    seen, shown = (scene.observe(0, np.zeros(len(source.bars.symbols))) for scene in (one, two))
    for name in ("mask", "observed", "market", "mean"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(shown, name), err_msg=name)
    np.testing.assert_array_equal(seen.returns(10**6), shown.returns(10**6))
    np.testing.assert_array_equal(seen.dollar_volume, shown.dollar_volume)
    cut = [known_until(part, at) for part in (source, other)]
    np.testing.assert_array_equal(_quoted(cut[0], at)[0], _quoted(cut[1], at)[0])
    for rule in RULES:
        policy = plugin(POLICIES, rule)
        weights = [
            policy.fit(scene, SETTINGS, 0, Silent()).weights(scene.observe(0, np.zeros(len(seen.mask))))
            for scene in (one, two)
        ]
        np.testing.assert_array_equal(*weights, err_msg=rule)
    # What a policy that learns is given on that date, too: bars, conditions and columns end there.
    past = [scene_of(part, SETTINGS) for part in cut]
    for name in ("dates", "mask", "observed", "market"):
        np.testing.assert_array_equal(getattr(past[0], name), getattr(past[1], name), err_msg=name)
