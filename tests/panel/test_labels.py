"""Labels by hand: traded on, delisted, renamed, lost from sight; and nothing of them known before its time."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market import frame, scrambled, walks

from alfred.core.calendar import close_instants, day, decision_dates, sessions_between
from alfred.core.errors import ConfigError
from alfred.lake.known import known_at_close, known_next_sessions
from alfred.lake.synthetic.market import make_world
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import TABLES
from alfred.panel.history import BarHistory
from alfred.panel.labels import LabelSettings, labels, listed
from alfred.panel.panel import Labels

SESSIONS = sessions_between(day("2015-01-02"), day("2016-12-30"))
DATES = decision_dates(SESSIONS[0], SESSIONS[-1])
NO_ACTIONS = pl.DataFrame(schema=TABLES["actions"].schema)
Q2, Q3, Q4 = 1, 2, 3  # 2015-06-30, 2015-09-30, 2015-12-31


def flat(
    symbol: str, quarter_closes: list[float], until: str = "2016-12-30", since: str = "2015-01-02"
) -> pl.DataFrame:
    """Bars whose close stays at one value through each quarter's end: the n-th value from the n-th quarter on."""
    there = np.isin(SESSIONS, sessions_between(day(since), day(until)))
    at = np.searchsorted(DATES, SESSIONS)
    padded = np.array([*quarter_closes, *[quarter_closes[-1]] * len(DATES)], np.float64)
    return frame(symbol, SESSIONS[there], padded[at][there])


def market_level() -> pl.DataFrame:
    return pl.DataFrame(
        {"date": SESSIONS, "value": 100.0, "known_at": pl.Series(close_instants(SESSIONS)).dt.replace_time_zone("UTC")}
    )


def action(
    symbol: str, date: str, kind: str, *, known: str = "close", source: str = "test", **more: Any
) -> pl.DataFrame:
    row = pl.DataFrame({"symbol": symbol, "date": dt.date.fromisoformat(date), "kind": kind, "source": source, **more})
    at = known_at_close(row["date"]) if known == "close" else known_next_sessions(row["date"])
    return TABLES["actions"].conform(row.with_columns(at))


def made(
    bars: list[pl.DataFrame],
    actions: list[pl.DataFrame] | None = None,
    horizon: int = 1,
    *,
    level: np.ndarray | None = None,
    volatility: float | np.ndarray = 0.2,
    universe: np.ndarray | None = None,
    **settings: Any,
) -> Labels:
    rows = pl.concat(bars, how="diagonal")
    history = BarHistory.of(rows, market_level(), DATES, 5)
    return labels(
        history,
        rows,
        np.full(len(DATES), 100.0) if level is None else level,
        horizon,
        volatility=np.broadcast_to(np.asarray(volatility, np.float64), history.ends.shape),
        actions=pl.concat([NO_ACTIONS, *(actions or [])]),
        settings=LabelSettings(**settings),
        universe=universe,
    )


def origin(made_labels: Labels, quarter: int, symbol: int = 0) -> str:
    return made_labels.origins[made_labels.origin[quarter, symbol]]


def test_a_traded_name_by_hand() -> None:
    level = np.full(len(DATES), 100.0)
    level[Q2:] = 102.0
    found = made([flat("A", [10, 11, 9.9])], level=level)
    assert found.of("PM")[:3, 0] == pytest.approx([0.1, -0.1, 0.0])
    assert found.of("PQ")[:3, 0].tolist() == [1.0, 0.0, 0.0]
    assert found.of("excess")[:3, 0] == pytest.approx([0.08, -0.1, 0.0])
    assert origin(found, 0) == "traded"
    assert found.realised_on[0] == DATES[1]


def test_a_longer_horizon_by_hand() -> None:
    found = made([flat("A", [10, 11, 9.9, 12])], horizon=3)
    assert found.of("PM")[0, 0] == pytest.approx(0.2)
    assert np.isnat(found.realised_on[-3:]).all()
    for name in found.values:
        assert np.isnan(found.of(name)[-3:]).all()
    assert {origin(found, at) for at in (-3, -2, -1)} == {"window passes the end of the data"}


def test_total_return_reinvests_dividends_and_is_missing_without_them() -> None:
    bars = flat("A", [10, 11]).with_columns(
        adj_close=pl.col("close") * pl.when(pl.col("close") == 10).then(0.9).otherwise(1)
    )
    assert made([bars]).of("total_return")[0, 0] == pytest.approx(11 / 9 - 1)
    assert np.isnan(made([flat("A", [10, 11])]).of("total_return")).all()


def test_velocity_is_in_deviations_of_the_horizon() -> None:
    assert made([flat("A", [10, 11])], volatility=0.4).of("velocity")[0, 0] == pytest.approx(0.1 / (0.4 * 0.5))
    assert made([flat("A", [10, 11, 12])], horizon=2, volatility=0.4).of("velocity")[0, 0] == pytest.approx(
        0.2 / (0.4 * np.sqrt(0.5))
    )
    for unusable in (0.0, np.nan):
        assert np.isnan(made([flat("A", [10, 11])], volatility=unusable).of("velocity")).all()


def test_ranks_are_centred_and_ties_share_theirs() -> None:
    bars = [flat(name, [10, close]) for name, close in zip("ABCDE", (12, 8, 11, 11, 13), strict=True)]
    assert made(bars).of("rank")[0].tolist() == pytest.approx([0.2, -0.4, -0.1, -0.1, 0.4])
    assert np.isnan(made(bars[:4]).of("rank")).all()


def test_only_names_with_a_label_are_ranked() -> None:
    names = [flat(name, [10, 10 + at]) for at, name in enumerate("ABCDEF")]
    gone = flat("G", [10], until="2015-05-15")
    assert made([*names, gone]).of("rank")[0, :6] == pytest.approx((np.arange(6) - 2.5) / 6)
    assert np.isnan(made([*names, gone]).of("rank")[0, 6])


def test_only_the_universe_is_ranked() -> None:
    names = [flat(name, [10, 10 + at]) for at, name in enumerate("ABCDEF")]
    universe = np.ones((len(DATES), 6), np.bool_)
    universe[0, 0] = False
    found = made(names, universe=universe)
    assert found.of("rank")[0].tolist() == pytest.approx([np.nan, -0.4, -0.2, 0.0, 0.2, 0.4], nan_ok=True)
    assert np.isfinite(found.of("PM")[0, 0])


def test_a_delisting_gives_its_return_from_the_last_close() -> None:
    bars = flat("A", [10, 8], until="2015-05-15")
    found = made([bars], [action("A", "2015-05-18", "delisting", delisting_return=-0.5, reason="bankruptcy")])
    assert found.of("PM")[0, 0] == pytest.approx(0.8 * 0.5 - 1)
    assert found.of("PQ")[0, 0] == 0.0
    assert origin(found, 0) == "delisting return"
    assert [origin(found, at) for at in (1, 2)] == ["not listed"] * 2


def test_proceeds_are_held_as_cash_to_the_end_of_a_longer_window() -> None:
    bars = flat("A", [10, 8], until="2015-05-15")
    gone = action("A", "2015-05-18", "delisting", delisting_return=-0.5)
    level = np.linspace(100, 107, len(DATES))
    found = made([bars], [gone], horizon=4, level=level)
    assert found.of("PM")[0, 0] == pytest.approx(-0.6)
    assert found.of("excess")[0, 0] == pytest.approx(-0.6 - 0.04)


@pytest.mark.parametrize(
    ("reason", "expected", "way"),
    [
        ("merger", 0.0, "default +0% for the reason 'merger'"),
        ("Bankruptcy ", -1.0, "default -100% for the reason 'bankruptcy'"),
        ("", -0.3, "default -30% for the reason '*'"),
        (None, -0.3, "default -30% for the reason '*'"),
        ("Lehman Brothers left NYSE", -0.3, "default -30% for the reason '*'"),
    ],
)
def test_a_delisting_without_a_return_takes_the_default_of_its_reason(
    reason: str | None, expected: float, way: str
) -> None:
    found = made([flat("A", [10], until="2015-05-15")], [action("A", "2015-05-18", "delisting", reason=reason)])
    assert found.of("PM")[0, 0] == pytest.approx(expected)
    assert origin(found, 0) == way


def test_defaults_are_set_by_patterns() -> None:
    gone = action("A", "2015-05-18", "delisting", reason="Foo Corp left NASDAQ")
    found = made([flat("A", [10], until="2015-05-15")], [gone], delisting_defaults={"*": 0.0, "* left nasdaq": -0.55})
    assert found.of("PM")[0, 0] == pytest.approx(-0.55)
    assert found.came_about(np.ones(found.origin.shape, np.bool_))["default -55% for the reason '* left nasdaq'"] == 1


def test_defaults_need_one_for_all_others_and_cannot_lose_more_than_all() -> None:
    with pytest.raises(ConfigError, match=r"give a default for '\*' too"):
        LabelSettings.parse({"delisting_defaults": {"merger": 0.0}}, "panel.labels")
    with pytest.raises(ConfigError, match=r"the return for 'x' is -2.0; a holder cannot lose more than all"):
        LabelSettings.parse({"delisting_defaults": {"*": 0.0, "x": -2.0}}, "panel.labels")


def test_a_stale_quote_after_the_delisting_counts_neither_as_end_nor_as_row() -> None:
    """A bank at 0.40 after its failure, whose old price of 100 comes back and stands on."""
    before, after = flat("A", [100], until="2015-05-15"), flat("A", [100], since="2015-05-19")
    failed = frame("A", np.array([day("2015-05-18")]), np.array([0.4]))
    bars = pl.concat([before, failed, after])
    gone = action("A", "2015-05-18", "delisting", delisting_return=0.0)
    found = made([bars], [gone])
    assert found.of("PM")[0, 0] == pytest.approx(-0.996)
    assert np.isnan(found.of("PM")[1:, 0]).all()
    assert {origin(found, at) for at in range(1, 5)} == {"not listed"}
    history = BarHistory.of(bars, market_level(), DATES, 5)
    assert history.listed[:, 0].all()
    assert listed(history, gone)[:, 0].tolist() == [True, *[False] * (len(DATES) - 1)]


def test_a_delisting_known_late_falls_into_the_label_of_the_date_that_did_not_know_it() -> None:
    """Delisted on the decision date, told the day after: the row is there, and bears the loss."""
    bars = flat("A", [10, 8], until="2015-06-30")
    gone = action("A", "2015-06-30", "delisting", known="next", delisting_return=-0.25)
    found = made([bars], [gone])
    assert found.of("PM")[:2, 0] == pytest.approx([-0.2, -0.25])
    assert [origin(found, at) for at in (0, 1, 2)] == ["traded", "delisting return", "not listed"]
    stale = made([flat("A", [10, 8])], [action("A", "2015-06-29", "delisting", delisting_return=-0.25).with_columns(
        known_at=pl.lit(dt.datetime(2015, 7, 2, tzinfo=dt.UTC))
    )])  # fmt: skip
    assert stale.of("PM")[:2, 0] == pytest.approx([-0.2, -0.25])


def test_of_two_sources_the_one_that_knows_the_return_counts() -> None:
    bars = flat("A", [10], until="2015-05-15")
    told = [
        action("A", "2015-05-15", "delisting", source="a"),
        action("A", "2015-05-18", "delisting", source="b", delisting_return=-0.1),
    ]
    found = made([bars], told)
    assert found.of("PM")[0, 0] == pytest.approx(-0.1)


def test_a_price_that_just_stops_gives_no_label_and_is_counted() -> None:
    found = made([flat("A", [10], until="2015-05-15"), flat("B", [10, 11])])
    assert np.isnan(found.of("PM")[0, 0])
    assert np.isnan(found.of("PQ")[0, 0])
    assert origin(found, 0) == "price stopped without a known action"
    counts = found.came_about(np.ones(found.origin.shape, np.bool_))
    assert counts["price stopped without a known action"] == 1
    assert sum(counts.values()) == found.origin.size


def test_a_rename_goes_on_under_the_new_ticker() -> None:
    old, new = flat("A", [10], until="2015-05-15"), flat("Z", [10, 12, 15], since="2015-05-18")
    found = made([old, new], [action("A", "2015-05-18", "rename", new_symbol="Z")])
    assert found.of("PM")[:2, 0].tolist() == pytest.approx([0.2, np.nan], nan_ok=True)
    assert found.of("PM")[1, 1] == pytest.approx(0.25)
    assert origin(found, 0) == "renamed"
    assert origin(found, 1) == "not listed"


def test_quotes_that_go_on_under_a_former_ticker_are_not_the_company() -> None:
    old, new = flat("A", [10, 99]), flat("Z", [10, 12, 15], since="2015-05-18")
    found = made([old, new], [action("A", "2015-05-18", "rename", new_symbol="Z")])
    assert found.of("PM")[0, 0] == pytest.approx(0.2)
    assert np.isnan(found.of("PM")[1:, 0]).all()


def test_chains_of_renames_end_where_they_end() -> None:
    bars = [
        flat("A", [10], until="2015-05-15"),
        flat("B", [10, 11], since="2015-05-18", until="2015-08-14"),
        flat("C", [10, 11, 16, 20], since="2015-08-17", until="2015-11-13"),
    ]
    chain = [
        action("A", "2015-05-18", "rename", new_symbol="B"),
        action("B", "2015-08-17", "rename", new_symbol="C"),
        action("C", "2015-11-16", "delisting", reason="merger", delisting_return=0.1),
    ]
    assert made(bars, chain, horizon=2).of("PM")[0, 0] == pytest.approx(0.6)
    found = made(bars, chain, horizon=3)
    assert found.of("PM")[0, 0] == pytest.approx(2.0 * 1.1 - 1)
    assert origin(found, 0) == "delisting return"


def test_a_rename_and_back_comes_home() -> None:
    bars = [
        pl.concat([flat("A", [10], until="2015-05-15"), flat("A", [10, 11, 13], since="2015-08-17")]),
        flat("B", [10, 11], since="2015-05-18", until="2015-08-14"),
    ]
    there_and_back = [
        action("A", "2015-05-18", "rename", new_symbol="B"),
        action("B", "2015-08-17", "rename", new_symbol="A"),
    ]
    found = made(bars, there_and_back, horizon=2)
    assert found.of("PM")[:3, 0] == pytest.approx([0.3, np.nan, 0.0], nan_ok=True)
    assert found.of("PM")[1, 1] == pytest.approx(13 / 11 - 1)


def test_a_ticker_taken_over_in_the_quarter_of_its_delisting() -> None:
    """The old company's holders are paid out, the renamed company's go on under the ticker."""
    bars = [
        flat("S", [20], until="2015-05-22"),
        pl.concat([flat("T", [10], until="2015-05-15"), flat("T", [20, 30], since="2015-05-26")]),
    ]
    events = [
        action("T", "2015-05-18", "delisting", delisting_return=0.05),
        action("S", "2015-05-26", "rename", new_symbol="T"),
    ]
    found = made(bars, events)
    assert found.of("PM")[0] == pytest.approx([0.5, 0.05])
    assert found.of("PM")[1, 1] == pytest.approx(0.0)


def test_a_renamed_ticker_in_a_list_of_delisted_ones_was_not_delisted() -> None:
    old, new = flat("A", [10], until="2015-05-15"), flat("Z", [10, 12], since="2015-05-18")
    events = [action("A", "2015-05-18", "rename", new_symbol="Z"), action("A", "2015-05-15", "delisting")]
    assert made([old, new], events).of("PM")[0, 0] == pytest.approx(0.2)


def test_a_rename_to_a_ticker_without_prices_is_said() -> None:
    found = made([flat("A", [10])], [action("A", "2015-05-18", "rename", new_symbol="Z")])
    assert np.isnan(found.of("PM")[0, 0])
    assert origin(found, 0) == "renamed to a ticker without prices"


def test_total_return_crosses_a_rename_on_one_basis() -> None:
    """Each ticker's adj_close ends at its own last close; the old one alone has the dividend before."""
    old = flat("A", [10], until="2015-05-15").with_columns(adj_close=pl.lit(9.0))
    old = old.with_columns(adj_close=pl.when(pl.col("date") >= dt.date(2015, 5, 1)).then(10.0).otherwise("adj_close"))
    new = flat("Z", [10, 12], since="2015-05-18").with_columns(
        adj_close=pl.when(pl.col("date") >= dt.date(2015, 6, 15))
        .then(pl.col("close"))
        .otherwise(pl.col("close") * 0.95)
    )
    found = made([old, new], [action("A", "2015-05-18", "rename", new_symbol="Z")])
    assert found.of("total_return")[0, 0] == pytest.approx(10 / 9 * 1.2 / 0.95 - 1)
    assert found.of("PM")[0, 0] == pytest.approx(0.2)


def test_actions_of_others_and_of_other_kinds_change_nothing() -> None:
    bars = [flat("A", [10, 11])]
    others = [action("X", "2015-05-18", "delisting"), action("A", "2015-05-18", "dividend", amount=1.0)]
    np.testing.assert_array_equal(made(bars, others).of("PM"), made(bars).of("PM"))


BARS, MARKET = walks("ABCDEF", first="2015-01-02", last="2016-12-30")


@given(
    at=st.integers(1, 6),
    horizon=st.integers(1, 3),
    ended=st.lists(st.tuples(st.sampled_from("ABCDEF"), st.integers(0, 500), st.booleans()), max_size=6),
)
def test_what_becomes_known_later_moves_no_label_realised_before(
    at: int, horizon: int, ended: list[tuple[str, int, bool]]
) -> None:
    events = [
        action(symbol, str(SESSIONS[session]), "rename", new_symbol="A", known=("close", "next")[session % 2])
        if renamed and symbol != "A"
        else action(
            symbol,
            str(SESSIONS[session]),
            "delisting",
            delisting_return=-0.1,
            source=str(number),
            known=("close", "next")[session % 2],
        )
        for number, (symbol, session, renamed) in enumerate(ended)
    ]
    told = pl.concat([NO_ACTIONS, *events]).unique(["symbol", "date", "kind"], maintain_order=True)
    after = DATES[at].item()
    limit = pl.Series(close_instants(DATES[at : at + 1])).dt.replace_time_zone("UTC")[0]
    before, later = (
        made([rows], [known], horizon)
        for rows, known in ((BARS, told), (scrambled(BARS, after), told.filter(pl.col("known_at") <= limit)))
    )
    for name in before.values:
        realised = max(at + 1 - horizon, 0)
        np.testing.assert_array_equal(before.of(name)[:realised], later.of(name)[:realised])


@pytest.mark.parametrize("horizon", [1, 3])
def test_every_label_of_a_market_is_what_its_companies_did(horizon: int) -> None:
    """Against the generator's own paths: what a share bought on each date was worth at the end, whatever its name."""
    world = make_world(
        SyntheticSettings(symbols=40, first_year=2000, years=8, renames_per_year=0.2, delistings_per_year=0.2)
    )
    batches = {batch.table: batch.rows for batch in world.batches()}
    bars, actions, companies = batches["bars"].sort("symbol", "date"), batches["actions"], world.quotes.companies
    span, close = world.quotes.span, world.quotes.close(slice(None))
    dates = span.sessions[span.decisions]
    history = BarHistory.of(bars, market_level(), dates, 5)
    found = labels(
        history, bars, np.full(len(dates), 1.0), horizon,
        volatility=np.full(history.ends.shape, 0.3), actions=actions, settings=LabelSettings(),
    )  # fmt: skip
    expected = np.full(found.of("PM").shape, np.nan)
    for company in range(len(companies)):
        for quarter in range(len(dates) - horizon):
            now, end = span.decisions[quarter], span.decisions[quarter + horizon]
            if companies.first[company] <= now <= companies.last[company]:
                last = min(int(companies.last[company]), int(end))
                proceeds = companies.delisting_return[company] if last < end else 0.0
                ticker = str(companies.ticker(np.array([company]), np.array([now]))[0])
                worth = close[company, last] * (1 + proceeds) / close[company, now]
                expected[quarter, history.symbols.index(ticker)] = worth - 1
    np.testing.assert_allclose(found.of("PM"), expected, rtol=1e-12)
    ways = found.came_about(np.ones(found.origin.shape, np.bool_))
    assert min(ways["renamed"], ways["delisting return"]) >= 20
