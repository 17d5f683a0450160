import datetime as dt
import tomllib

import numpy as np
import polars as pl
import pytest
from audited_market import audited_market

from alfred.backtest.settings import REALISTIC, CostSettings, FrictionSettings
from alfred.core.calendar import close_instants, sessions_between
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError
from alfred.experiments.conditions import conditions_of, reality_of, told
from alfred.experiments.market import Market
from alfred.experiments.portfolios import account_bars, run_portfolios
from alfred.experiments.record import load_record
from alfred.experiments.replay import replay
from alfred.experiments.run import run_study
from alfred.experiments.study import BacktestSettings, Study
from alfred.lake.ingest import provider
from alfred.lake.matrix import bar_matrix
from alfred.lake.store import Lake
from alfred.panel.labels import LabelSettings

DAYS = sessions_between(np.datetime64("2019-01-02"), np.datetime64("2019-12-31"))
NAMES = ("BUST", "CALM", "GONE", "HALT", "OLD")
QUARTERS = np.array(["2019-03-29", "2019-06-28", "2019-09-30"], "datetime64[D]")
LAST = {"BUST": 120, "CALM": 251, "GONE": 100, "HALT": 150, "OLD": 80}
"""Position of each name's last bar."""


def closes():
    rng = np.random.default_rng(0)
    return 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (len(DAYS), len(NAMES))), axis=0))


def market(tmp_path, *, source="yahoo", volume=True):
    close, at = closes(), close_instants(DAYS)
    bars = pl.concat(
        pl.DataFrame(
            {
                "symbol": name, "date": DAYS[: LAST[name] + 1], "close": close[: LAST[name] + 1, column],
                "adj_close": close[: LAST[name] + 1, column] * 0.9, "known_at": at[: LAST[name] + 1],
                "volume": np.full(LAST[name] + 1, 1000.0 * (column + 1)) if volume else None, "source": source,
            },
            schema_overrides={"volume": pl.Float64},
        ).with_columns(pl.col("known_at").dt.replace_time_zone("UTC"))
        for column, name in enumerate(NAMES)
    )  # fmt: skip
    lake = Lake(tmp_path / "lake")
    lake.write("bars", bars)
    acted = [
        # Dated on the first session without a bar; on the last with one; and one that says nothing of its return.
        ("GONE", 101, "delisting", {"delisting_return": 0.25, "reason": "merger"}),
        ("OLD", 80, "rename", {"new_symbol": "NEW"}),
        ("BUST", 121, "delisting", {"reason": "bankruptcy"}),
        ("CALM", 30, "dividend", {"amount": 0.5}),
        ("CALM", 93, "dividend", {"amount": 0.7}),
    ]
    rows = [
        {"symbol": name, "date": DAYS[day].item(), "kind": kind, "known_at": at[day].item(), "source": source, **values}
        for name, day, kind, values in acted
    ]
    actions = pl.DataFrame(rows, infer_schema_length=None)
    lake.write("actions", actions.with_columns(pl.col("known_at").dt.replace_time_zone("UTC")))
    known = close_instants(DAYS[[0, 40, 41]]) + np.timedelta64(60, "s")
    series = pl.DataFrame(
        {
            "series": ["2year", "2year", "2year"], "date": DAYS[[0, 40, 30]], "value": [2.0, 3.0, 9.0],
            "known_at": known, "source": source if source == "synthetic" else "fred",
        }
    ).with_columns(pl.col("known_at").dt.replace_time_zone("UTC"))  # fmt: skip
    invented = series.with_columns(value=pl.lit(77.0), source=pl.lit("synthetic"), series=pl.lit("DGS1MO"))
    lake.write("series", series if source == "synthetic" else pl.concat([series, invented]))
    view = lake.asof(dt.datetime(2020, 6, 1, tzinfo=dt.UTC))
    index = pl.DataFrame({"date": DAYS, "value": np.linspace(100, 120, len(DAYS)), "known_at": at})
    return Market(provider(source).DESCRIPTION, view, view.bars(), "index", index)


def test_conditions_are_what_the_lake_knows(tmp_path):
    own = market(tmp_path)
    bars = bar_matrix(own.bars)
    found = conditions_of(own, bars, cash_rate=0.01)
    found.check(bars, REALISTIC)
    np.testing.assert_allclose(found.dollar_volume[7], closes()[7] * 1000 * np.arange(1, 6))
    assert np.isnan(found.dollar_volume[200, 0])
    assert found.dividends[:, 1].nonzero()[0].tolist() == [30, 93]
    assert found.dividends[[30, 93], 1].tolist() == [0.5, 0.7]
    # The rename is dated on a session with a price, so it ends at the next; the halt has no action and no loss.
    assert found.delisted.tolist() == [121, 252, 101, 151, 81]
    assert found.delisting_return[[0, 2, 3, 4]].tolist() == [-1.0, 0.25, 0.0, 0.0]
    # A yield counts from the first close after it was known, and a late one of an old day not at all.
    assert found.cash_rate[0] == 0.01
    assert found.cash_rate[[1, 40, 41, 60]].tolist() == [0.02, 0.02, 0.03, 0.03]
    assert found.cash_rate[-1] == 0.01  # None of the last 100 days was known.


def test_conditions_of_part_of_the_sessions(tmp_path):
    own = market(tmp_path)
    whole = bar_matrix(own.bars)
    part = Bars(whole.dates[90:140], ("GONE", "OLD"), whole.close[90:140][:, [2, 4]], whole.total[90:140][:, [2, 4]])
    found = conditions_of(own, part)
    assert found.delisted.tolist() == [11, 50]  # OLD ended before: it has no prices to trade.
    full = conditions_of(own, whole, cash_rate=0.0)
    np.testing.assert_array_equal(found.dollar_volume, full.dollar_volume[90:140][:, [2, 4]])
    np.testing.assert_array_equal(found.cash_rate, full.cash_rate[90:140])


def test_later_knowledge_moves_no_condition_before_it(tmp_path):
    own, cut = market(tmp_path / "a"), 95
    seen = Lake(tmp_path / "a" / "lake").asof(close_instants(DAYS[[cut]])[0].item().replace(tzinfo=dt.UTC))
    then = Market(own.description, seen, seen.bars(), "index", own.index)
    whole, known = bar_matrix(own.bars), bar_matrix(then.bars)
    first, second = conditions_of(own, whole), conditions_of(then, known)
    for name in ("dollar_volume", "cash_rate", "dividends"):
        np.testing.assert_array_equal(getattr(first, name)[: cut + 1], getattr(second, name))


def test_invented_series_stand_beside_invented_prices_only(tmp_path):
    assert market(tmp_path / "real").series()["series"].unique().to_list() == ["2year"]
    own = market(tmp_path / "invented", source="synthetic")
    assert conditions_of(own, bar_matrix(own.bars)).cash_rate[41] == 0.03


def test_reasons_may_have_other_returns(tmp_path):
    own = market(tmp_path)
    labels = LabelSettings(delisting_defaults={"bankruptcy": -0.9, "*": -0.3})
    assert conditions_of(own, bar_matrix(own.bars), labels=labels).delisting_return[0] == -0.9


def test_without_frictions_and_limits_there_is_no_reality(tmp_path):
    own = market(tmp_path, volume=False)
    bars = bar_matrix(own.bars)
    assert reality_of(BacktestSettings(), own, bars, QUARTERS) is None
    with pytest.raises(ConfigError, match="provider 'yahoo' has no volume of these names; leave out spread and borrow"):
        reality_of(BacktestSettings(frictions="realistic"), own, bars, QUARTERS)
    with pytest.raises(ConfigError, match="sector_max needs sectors, and the lake knows none"):
        reality_of(BacktestSettings(limits={"sector_max": 0.3}), own, bars, QUARTERS)
    costs = CostSettings(cost_bps=7.0, borrow_bps_per_year=30.0)
    real = reality_of(BacktestSettings(costs=costs, limits={"long_only": True}), own, bars, QUARTERS)
    assert real.frictions == FrictionSettings(spread_tiers=((0.0, 7.0),), borrow_tiers=((0.0, 30.0),))
    assert real.limits.long_only


def test_settings_in_words():
    assert told(BacktestSettings()) == "10 bps of traded value"
    assert told(BacktestSettings(frictions="realistic", limits={"long_only": True, "name_max": 0.2})) == (
        "all frictions of an account of 100,000 USD (commission, half spread, impact, borrow fee, fills up to 10% of "
        "the session's volume, interest on cash, dividends, delistings), within limits (long-only, name_max 0.2)"
    )
    assert told(BacktestSettings(frictions={"capital_usd": 5000.0})) == (
        "frictions of an account of 5,000 USD (no costs of trading, interest on cash, dividends, delistings)"
    )
    with pytest.raises(ConfigError, match="frictions are a table of settings, or \"realistic\", got 'all'"):
        BacktestSettings.parse({"frictions": "all"}, "backtest")


def forecasts():
    rng = np.random.default_rng(1)
    dates = [dt.date(2019, 3, 29), dt.date(2019, 6, 28), dt.date(2019, 9, 30)]
    rows = [
        {"analyst": "ridge", "target": "PM", "as_of": date, "symbol": name, "seed": 0, "mean": mean, "prob_up": up}
        for date in dates
        for name, mean, up in zip(NAMES[:4], rng.normal(0, 0.1, 4), rng.random(4), strict=True)
        if DAYS[LAST[name]].item() >= date
    ]
    return pl.DataFrame(rows)


def accounts(own, **settings):
    settings = BacktestSettings(strategies=("simple",), **settings)
    return run_portfolios(settings, own, NAMES[:4], forecasts(), seed=0)


def last(found):
    return found.accounts.group_by("portfolio", maintain_order=True).agg(pl.col("value").last())


def test_every_account_of_a_study_meets_its_frictions(tmp_path):
    own = market(tmp_path)
    plain, real = accounts(own), accounts(own, frictions="realistic")
    assert plain.accounts.select("portfolio", "date").equals(real.accounts.select("portfolio", "date"))
    for before, after in zip(last(plain).iter_rows(), last(real).iter_rows(), strict=True):
        assert before[0] == after[0]
        assert before[1] != pytest.approx(after[1], rel=1e-6)


def test_a_held_basket_by_hand(tmp_path):
    own = market(tmp_path)
    free = accounts(own, frictions={"credit_spread_bps_per_year": 5000.0})
    dates = account_bars(own, NAMES[:4], forecasts(), 1)[0].dates
    start, end = (int(np.flatnonzero(date == DAYS)[0]) for date in (dates[1], dates[-1]))
    close = closes()
    # BUST pays nothing, CALM a dividend after the fill, GONE 25% over its last price, HALT its last price.
    ends = [0.0, close[end, 1] + 0.7, 1.25 * close[100, 2], close[150, 3]]
    assert dict(last(free).iter_rows())["buy and hold"] == pytest.approx((ends / close[start, :4]).mean(), rel=1e-12)


def test_limits_hold_in_a_study(tmp_path):
    own = market(tmp_path)
    free, tight, wide = (
        dict(last(accounts(own, **limits)).iter_rows())
        for limits in ({}, {"limits": {"gross_max": 0.01}}, {"limits": {"gross_max": 50.0}})
    )
    # Benchmarks have no limits, and without any that binds accounts are those of the plain engine, but that what ends
    # is paid out at once and without costs.
    assert tight["ridge · simple"] == pytest.approx(1.0, abs=0.005)
    for name in free:
        assert wide[name] == pytest.approx(free[name], rel=1e-3)
        assert name == "ridge · simple" or tight[name] == wide[name]


@pytest.mark.slow
def test_a_run_with_frictions_says_so_and_can_be_replayed(tmp_path):
    home, study, _ = audited_market(tmp_path, 1)
    form = study.model_dump(mode="json")
    form["backtest"] |= {"frictions": "realistic", "limits": {"name_max": 0.2}}
    real = Study.parse(form, "audited")
    assert Study.parse(tomllib.loads(real.toml()), "written") == real
    folder = run_study(real, home)
    record = load_record(folder)
    assert record.frictions == told(real.backtest)
    assert record.frictions in record.execution
    lines = replay(home, folder, "simple", with_ledger=False)
    for portfolio in record.portfolios:
        name = portfolio.strategy or portfolio.name
        assert any(line.startswith(name) and f"{portfolio.statistics.annual_return:+8.2%}" in line for line in lines)
    study = Study.parse(form | {"backtest": form["backtest"] | {"limits": {"sector_max": 0.2}}}, "sectors")
    assert "within limits (sector_max 0.2)" in load_record(run_study(study, home)).frictions
