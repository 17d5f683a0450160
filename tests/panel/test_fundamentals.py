"""Columns of accounts and valuation against their formulas, worked by hand; splits; the synthetic market's truth."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from filing_rows import Row, facts
from market import frame

from alfred.core.calendar import close_instants, day, decision_dates, sessions_between
from alfred.lake.synthetic.market import SyntheticMarket, generate, make_world
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import TABLES
from alfred.panel.catalogue import catalogue
from alfred.panel.features import fundamentals, valuation
from alfred.panel.history import BarHistory
from alfred.panel.sources import Sources
from alfred.panel.splits import Splits
from alfred.panel.tables import Tables

COLUMNS = tuple(feature.name for feature in (*fundamentals.FEATURES, *valuation.FEATURES))
FIRST, LAST = "2014-01-02", "2016-12-30"
MARKET = pl.DataFrame(schema={"date": pl.Date, "value": pl.Float64, "known_at": pl.Datetime("us", "UTC")})


def told(concept: str, kind: str, *values: float, ends: tuple[str, ...]) -> list[Row]:
    """One figure for each period's end, filed 30 days after it."""
    return [("A", concept, kind, end, str(np.datetime64(end) + 30), value)
            for end, value in zip(ends, values, strict=True)]  # fmt: skip


ENDS = ("2014-12-31", "2015-03-31", "2015-06-30", "2015-09-30", "2015-12-31")
QUARTERS = ENDS[1:4]
YEARS = (ENDS[0], ENDS[4])
ROWS: list[Row] = [
    *told("Revenue", "quarter", 100, 110, 120, 130, 150, ends=ENDS),
    *told("Revenue", "year", 400, 510, ends=YEARS),
    *told("CostOfRevenue", "quarter", 60, 70, 70, 75, 90, ends=ENDS),
    *told("CostOfRevenue", "year", 250, 305, ends=YEARS),
    *told("OperatingIncome", "quarter", 20, 22, 24, 26, 30, ends=ENDS),
    *told("NetIncome", "quarter", -10, 11, 12, 13, 15, ends=ENDS),
    *told("NetIncome", "year", 30, 51, ends=YEARS),
    *told("OperatingCashFlow", "year", 44, 60, ends=YEARS),
    *told("Assets", "instant", 800, 810, 820, 830, 1000, ends=ENDS),
    *told("Equity", "instant", 300, 310, 320, 330, 500, ends=ENDS),
    *told("CurrentAssets", "instant", 100, 100, 100, 100, 90, ends=ENDS),
    *told("CurrentLiabilities", "instant", 50, 50, 50, 50, 60, ends=ENDS),
    *told("Shares", "instant", 20, 20, 20, 20, 25, ends=ENDS),
]


def actions(*splits: tuple[str, float]) -> pl.DataFrame:
    dates = [dt.date.fromisoformat(date) for date, _ in splits]
    rows = pl.DataFrame({"symbol": "A", "date": dates, "kind": "split", "source": "hand",
                         "ratio": [ratio for _, ratio in splits],
                         "known_at": [dt.datetime(2000, 1, 1, tzinfo=dt.UTC)] * len(dates)})  # fmt: skip
    return TABLES["actions"].conform(rows) if splits else pl.DataFrame(schema=TABLES["actions"].schema)


def bars(*splits: tuple[str, float]) -> pl.DataFrame:
    """Quoted at 50 USD on every day, and 1,000 shares a session of the last split's basis."""
    dates = sessions_between(day(FIRST), day(LAST))
    later = np.ones(len(dates))
    for date, ratio in splits:
        later[dates < np.datetime64(date)] *= ratio
    return frame("A", dates, 50 / later, np.full(len(dates), 1000.0))


def sources(rows: list[Row], *splits: tuple[str, float]) -> Sources:
    dates = decision_dates(day(FIRST), day(LAST))
    history = BarHistory.of(bars(*splits), MARKET, dates, stale_sessions=5)
    return Sources(dates, history.symbols, history, Tables(bars(*splits), MARKET, actions(*splits), facts(*rows)))


def value(made: Sources, name: str, date: str = "2016-03-31") -> float:
    row = int(np.flatnonzero(made.dates == np.datetime64(date))[0])
    return float(catalogue()[name].compute(made)[row, 0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Margin_Gross", (150 - 90) / 150),
        ("Margin_Operating", 30 / 150),
        ("Margin_Net_Profit", 15 / 150),
        ("revenue_growth", 150 / 100 - 1),
        ("revenue_growth_ttm", 510 / 400 - 1),
        ("earnings_growth", (15 + 10) / 10),
        ("leverage", 1 - 500 / 1000),
        ("current_ratio", 90 / 60),
        ("accruals", (51 - 60) / 900),
        ("asset_growth", 1000 / 800 - 1),
        ("gross_profitability", (510 - 305) / 1000),
        ("return_on_equity", 51 / 400),
        ("return_on_assets", 51 / 900),
        ("market_cap", 50 * 25),
        ("earnings_yield", 51 / 1250),
        ("book_to_market", 500 / 1250),
        ("sales_to_price", 510 / 1250),
        ("cash_flow_yield", 60 / 1250),
        ("turnover", 1000 / 25),
        # Usable from Monday, 1 February, 14:30 UTC; the close is 20:00 UTC on 31 March.
        ("days_since_filing", 59 + 5.5 / 24),
    ],
)
def test_columns_by_hand(name: str, expected: float) -> None:
    assert value(sources(ROWS), name) == pytest.approx(expected, rel=1e-12)


def test_every_column_is_tried() -> None:
    names = {"Margin_Gross", "Margin_Operating", "Margin_Net_Profit", "revenue_growth", "earnings_growth", "turnover"}
    assert names <= set(COLUMNS)
    assert len(COLUMNS) == 20
    for name in ("revenue_growth", "revenue_growth_ttm", "earnings_growth", "asset_growth", "days_since_filing"):
        assert f"delta_{name}" not in catalogue()
    assert "delta_Margin_Gross" in catalogue()
    assert all(catalogue()[feature.name].is_level for feature in valuation.FEATURES)


def test_what_is_told_comes_before_what_can_be_derived() -> None:
    rows = [
        *ROWS,
        *told("GrossProfit", "quarter", 66, ends=ENDS[4:]),
        *told("Liabilities", "instant", 450, ends=ENDS[4:]),
    ]
    made = sources(rows)
    assert value(made, "Margin_Gross") == 66 / 150
    assert value(made, "leverage") == 0.45


@pytest.mark.parametrize(
    ("concept", "figure", "missing"),
    [
        ("Revenue", 0, ("Margin_Gross", "Margin_Operating", "Margin_Net_Profit")),
        ("Revenue", -5, ("Margin_Operating",)),
        ("Assets", 0, ("leverage", "gross_profitability")),
        ("CurrentLiabilities", 0, ("current_ratio",)),
        ("Equity", -700, ("return_on_equity",)),
        ("Shares", 0, ("market_cap", "earnings_yield", "turnover")),
    ],
)
def test_a_ratio_to_nothing_is_missing(concept: str, figure: float, missing: tuple[str, ...]) -> None:
    changed = [(*row[:5], figure) if row[1] == concept and row[3] == ENDS[4] and row[2] != "year" else row
               for row in ROWS]  # fmt: skip
    made = sources(changed)
    for name in missing:
        assert np.isnan(value(made, name)), name
    for name in COLUMNS:
        assert not np.isinf(catalogue()[name].compute(made)).any(), name


def test_negative_and_zero_bases_of_growth() -> None:
    def changed(concept: str, figure: float) -> Sources:
        return sources([(*row[:5], figure) if row[1:4] == (concept, "quarter", ENDS[0]) else row for row in ROWS])

    assert value(changed("NetIncome", -30), "earnings_growth") == 1.5
    assert np.isnan(value(changed("NetIncome", 0), "earnings_growth"))
    assert np.isnan(value(changed("Revenue", 0), "revenue_growth"))
    assert np.isnan(value(changed("Revenue", -1), "revenue_growth"))


@pytest.mark.parametrize(
    ("split", "shares"),
    [
        ("2016-01-20", 25),  # before the filing: its count is on the new basis
        ("2016-02-01", 50),  # with the opening after the filing's weekend
        ("2016-03-31", 50),  # on the decision date
        ("2016-04-01", 25),  # on the session after: of this date's basis nothing changes
    ],
)
def test_splits_between_filing_and_decision_are_applied(split: str, shares: float) -> None:
    made = sources(ROWS, (split, 2.0))
    volume = 1000 if split <= "2016-03-31" else 500
    assert value(made, "market_cap") == 50 * shares
    assert value(made, "turnover") == pytest.approx(volume / shares)
    assert value(made, "book_to_market") == 500 / (50 * shares)


def test_a_later_split_changes_no_earlier_valuation() -> None:
    plain, split = sources(ROWS, ("2016-02-10", 3.0)), sources(ROWS, ("2016-02-10", 3.0), ("2016-08-10", 0.1))
    np.testing.assert_array_equal(
        plain.splits.since(plain.facts.latest("Shares").known)[:10],
        split.splits.since(split.facts.latest("Shares").known)[:10],
    )
    ratio = split.splits.later / plain.splits.later
    assert set(np.round(ratio.ravel(), 12)) == {0.1, 1.0}
    for name in ("earnings_yield", "turnover"):
        changed = catalogue()[name].compute(split)[:10, 0] / catalogue()[name].compute(plain)[:10, 0]
        # The volume stays 1,000 shares of the last basis, of which ten were one before.
        np.testing.assert_allclose(changed[np.isfinite(changed)], 1 if name == "earnings_yield" else 10, rtol=1e-12)


def test_a_split_told_twice_or_of_another_name_counts_once() -> None:
    rows = actions(("2016-02-10", 3.0))
    twice = pl.concat([rows, rows.with_columns(pl.lit("other").alias("source")),
                       rows.with_columns(pl.lit("B").alias("symbol"))])  # fmt: skip
    dates = decision_dates(day(FIRST), day(LAST))
    made = Splits.of(twice, dates, ("A",))
    np.testing.assert_array_equal(made.later[:, 0], np.where(dates < day("2016-02-10"), 3.0, 1.0))
    known = np.zeros((len(dates), 1), np.int64)
    np.testing.assert_array_equal(made.since(known)[:, 0], np.where(dates < day("2016-02-10"), 1.0, 3.0))


def test_diluted_shares_stand_in() -> None:
    rows = [row for row in ROWS if row[1] != "Shares"] + told("SharesDiluted", "quarter", 30, ends=ENDS[4:])
    assert value(sources(rows), "market_cap") == 50 * 30
    assert np.isnan(value(sources(rows), "market_cap", "2015-12-31"))


SETTINGS = SyntheticSettings(seed=3, symbols=24, first_year=2009, years=5, splits_per_year=0.9, restatements=0.1)


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return generate(SETTINGS)


def of_market(market: SyntheticMarket, rows: pl.DataFrame | None = None) -> Sources:
    tables = market.tables
    quotes = tables["bars"].sort("symbol", "date")
    index = tables["series"].filter(pl.col("series") == "^MKT").sort("date").select("date", "value", "known_at")
    dates = decision_dates(day("2009-01-02"), day("2013-12-31"))
    history = BarHistory.of(quotes, index, dates, stale_sessions=5)
    known = tables["facts"] if rows is None else rows
    conformed = TABLES["actions"].conform(tables["actions"])
    return Sources(dates, history.symbols, history, Tables(quotes, index, conformed, TABLES["facts"].conform(known)))


def test_the_synthetic_accounts_are_found_again(market: SyntheticMarket) -> None:
    """Quarters and trailing years as the generator has them, whatever the filings leave to be derived."""
    made = of_market(market)
    accounts, companies = make_world(SETTINGS).accounts, make_world(SETTINGS).quotes.companies
    restated = set(market.tables["facts"].filter(pl.col("form").str.ends_with("/A"))["symbol"])
    end = made.facts.period_end
    found = quarters = 0
    for company, names in enumerate(companies.tickers):
        if names[0] != names[1] or names[0] in restated or names[0] not in made.symbols:
            continue
        at = made.symbols.index(names[0])
        for concept in ("Revenue", "OperatingCashFlow"):
            flow = accounts.items[concept][company]
            quarter, trailing = made.facts.quarter(concept)[:, at], made.facts.trailing(concept)[:, at]
            for date in np.flatnonzero(np.isfinite(trailing)):
                place = int((end[date, at].astype("datetime64[M]").astype(int) - 39 * 12 - 2) // 3)
                # A company listed within its fiscal year had told the year, but not the quarters before its listing.
                if np.isfinite(quarter[date]):
                    assert quarter[date] == pytest.approx(flow[place], rel=1e-6)
                    quarters += 1
                assert trailing[date] == pytest.approx(flow[place - 3 : place + 1].sum(), rel=1e-6)
                found += 1
    assert found > 100
    assert quarters > 0.95 * found


def test_market_values_do_not_jump_with_splits(market: SyntheticMarket) -> None:
    """As large as the company was made, at any date, though quotes and counts double and triple."""
    made = of_market(market)
    splits = market.tables["actions"].filter(pl.col("kind") == "split")
    assert len(splits) >= 5
    size = catalogue()["market_cap"].compute(made)
    world = make_world(SETTINGS)
    checked = 0
    for company, names in enumerate(world.quotes.companies.tickers):
        if names[0] in made.symbols and names[0] == names[1]:
            own = size[:, made.symbols.index(names[0])]
            session = np.searchsorted(world.quotes.span.sessions, made.dates)
            wanted = world.accounts.shares[company] * world.quotes.companies.price[company]
            wanted = wanted * np.exp(world.quotes.paths.log_price[company, session])
            there = np.isfinite(own)
            np.testing.assert_allclose(own[there], wanted[there], rtol=1e-9)
            checked += there.sum()
    assert checked > 200


def test_facts_that_are_not_known_move_no_column_to_the_last_bit(market: SyntheticMarket) -> None:
    made, rng = of_market(market), np.random.default_rng(0)
    wanted = {name: catalogue()[name].compute(made) for name in (*COLUMNS, "delta_Margin_Gross", "delta_leverage")}
    assert all(np.isfinite(values).sum() > 30 for values in wanted.values())
    rows = market.tables["facts"]
    for date in rng.choice(len(made.dates) - 1, 4, replace=False):
        deadline = close_instants(made.dates[date : date + 1])[0].astype(dt.datetime).replace(tzinfo=dt.UTC)
        noise = pl.Series("value", np.exp(rng.normal(20, 5, len(rows))))
        value = pl.when(pl.col("known_at") > deadline).then(noise).otherwise(pl.col("value"))
        scrambled = of_market(market, rows.with_columns(value.alias("value")))
        for name, values in wanted.items():
            changed = catalogue()[name].compute(scrambled)
            np.testing.assert_array_equal(changed[: date + 1], values[: date + 1], err_msg=name)
