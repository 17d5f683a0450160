"""Real filings with real prices: values worked out by hand from the raw files. Amounts are in millions of USD."""

import datetime as dt
import gzip
import json

import numpy as np
import polars as pl
import pytest
from filing_rows import FILINGS, SHARED, history, of_filings

from alfred.core.calendar import close_instants, day, decision_dates
from alfred.lake.known import known_next_sessions
from alfred.lake.providers._companyfacts import parse_companyfacts
from alfred.lake.tables import TABLES
from alfred.panel.build import build_panel
from alfred.panel.catalogue import catalogue
from alfred.panel.fundamental_labels import fundamental_label
from alfred.panel.history import BarHistory
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

PRICES = SHARED / "prices_us_large_2000_2018.parquet"
ANNUAL = SHARED / "pit_fundamentals_40_to_2020.parquet"
APPLE = SHARED / "edgar" / "companyfacts_AAPL.json.gz"
NAMES = (
    "A", "AAPL", "ALB", "AMZN", "AVB", "BA", "CAT", "COST", "CSCO", "CVX", "DE", "DIS", "F", "FCX", "FDX", "GE", "HD",
    "HIG", "IBM", "INTC", "JNJ", "JNPR", "JPM", "KO", "LNC", "MO", "MSFT", "NEM", "NKE", "ORCL", "PEP", "PG",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not all(path.is_file() for path in (FILINGS, PRICES, ANNUAL, APPLE)),
    reason="the real data (../shared/data) are not beside the repository",
)


def quotes(names: tuple[str, ...], first: dt.date, last: dt.date) -> pl.DataFrame:
    rows = pl.scan_parquet(PRICES).filter(pl.col("symbol").is_in(names), pl.col("date").is_between(first, last))
    rows = rows.select("symbol", "date", pl.col("close", "volume").cast(pl.Float64)).sort("symbol", "date").collect()
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    return rows.with_columns(pl.Series("known_at", close_instants(dates)).dt.replace_time_zone("UTC"))


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Prices and filings of 32 large companies together."""
    bars = quotes(NAMES, dt.date(2014, 1, 2), dt.date(2017, 6, 30))
    market = bars.group_by("date").agg(value=pl.col("close").mean(), known_at=pl.col("known_at").max()).sort("date")
    filings = pl.read_parquet(FILINGS).filter(pl.col("symbol").is_in(NAMES))
    return build_panel(
        Tables(bars=bars, market=market, facts=of_filings(filings)), PanelSettings(), levels_usable=False
    )


def value(panel: Panel, name: str, symbol: str, date: str) -> float:
    row = int(np.flatnonzero(panel.dates == np.datetime64(date))[0])
    return float(panel.values[row, panel.symbols.index(symbol), panel.features.index(name)])


def test_a_quarter_counts_from_its_filing_not_from_its_end(panel: Panel) -> None:
    """Apple's quarter to 2016-03-26 was public on 2016-04-27: net income 10,516 of 50,557. On 2016-03-31 the one to
    2015-12-26 counts, public since 2016-01-27: 18,361 of 75,872."""
    assert value(panel, "Margin_Net_Profit", "AAPL", "2016-03-31") == pytest.approx(18_361 / 75_872, rel=1e-12)
    assert value(panel, "Margin_Net_Profit", "AAPL", "2016-06-30") == pytest.approx(10_516 / 50_557, rel=1e-12)
    assert value(panel, "delta_Margin_Net_Profit", "AAPL", "2016-06-30") == pytest.approx(
        10_516 / 50_557 - 18_361 / 75_872, rel=1e-9
    )


def test_the_fourth_quarter_is_derived(panel: Panel) -> None:
    """Altria's 10-K of 2016-02-25 tells revenue 25,434 and net income 5,241 of 2015; the quarters before were 5,804,
    6,613 and 6,699, and 1,018, 1,448 and 1,528."""
    revenue, income = 25_434 - 5_804 - 6_613 - 6_699, 5_241 - 1_018 - 1_448 - 1_528
    assert (revenue, income) == (6_318, 1_247)
    assert value(panel, "Margin_Net_Profit", "MO", "2016-03-31") == pytest.approx(1_247 / 6_318, rel=1e-12)


def test_cash_flows_come_from_the_begin_of_the_year(panel: Panel) -> None:
    """Altria on 2016-09-30, after the filing for June: operating cash flow 5,810 in 2015, 1,058 in the first half of
    2016 and 1,247 in that of 2015; net income 1,528 (third quarter), 1,247 (fourth, derived), 1,217 and 1,653; assets
    31,324 and a year before 31,869."""
    cash, income = 5_810 + 1_058 - 1_247, 1_528 + 1_247 + 1_217 + 1_653
    assert (cash, income) == (5_621, 5_645)
    accruals = (5_645 - 5_621) / ((31_324 + 31_869) / 2)
    assert value(panel, "accruals", "MO", "2016-09-30") == pytest.approx(accruals, rel=1e-9)


def test_growth_into_a_loss(panel: Panel) -> None:
    """Newmont's third quarters: revenue 1,791 after 2,033, a loss of 358 after a profit of 219."""
    assert value(panel, "revenue_growth", "NEM", "2016-12-30") == pytest.approx(1_791 / 2_033 - 1, rel=1e-12)
    assert value(panel, "earnings_growth", "NEM", "2016-12-30") == pytest.approx((-358 - 219) / 219, rel=1e-12)


def test_a_fiscal_year_that_ends_in_january_and_a_hole(panel: Panel) -> None:
    """Home Depot's year to 2017-01-29, public on 2017-03-24: equity 4,333 of assets 42,966, a year before 42,549. The
    file lacks its quarter to July 2016, so the fourth quarter cannot be had, but the year's 7,957 can."""
    assert value(panel, "leverage", "HD", "2017-03-31") == pytest.approx(1 - 4_333 / 42_966, rel=1e-12)
    assert value(panel, "asset_growth", "HD", "2017-03-31") == pytest.approx(42_966 / 42_549 - 1, rel=1e-12)
    assert np.isnan(value(panel, "Margin_Net_Profit", "HD", "2017-03-31"))
    wanted = 7_957 / ((42_966 + 42_549) / 2)
    assert value(panel, "return_on_assets", "HD", "2017-03-31") == pytest.approx(wanted, rel=1e-12)
    assert value(panel, "Margin_Net_Profit", "HD", "2016-03-31") == pytest.approx(
        (7_009 - 1_579 - 2_234 - 1_725) / (88_519 - 20_891 - 24_829 - 21_819), rel=1e-12
    )


def test_a_trailing_year_of_twelve_and_sixteen_weeks(panel: Panel) -> None:
    """Costco on 2016-12-30: 545 in the quarter to November; of the year's 2,350 the quarters of 480, 546 and 545 leave
    779 for the fourth; assets 36,532 and a year before 35,451."""
    wanted = (545 + (2_350 - 480 - 546 - 545) + 545 + 546) / ((36_532 + 35_451) / 2)
    assert value(panel, "return_on_assets", "COST", "2016-12-30") == pytest.approx(wanted, rel=1e-12)


def test_prices_and_fundamentals_stand_in_one_panel(panel: Panel) -> None:
    assert {"momentum_12_1", "Close_diff_MA_90", "Margin_Operating", "accruals", "days_since_filing"} <= set(
        panel.features
    )
    assert len(panel.symbols) == len(NAMES)
    # Without splits at hand the product of quotes and shares is wrong, and the file tells no numbers of shares.
    assert {"market_cap", "earnings_yield", "turnover"} <= set(panel.left_out)
    row = int(np.flatnonzero(panel.dates == np.datetime64("2016-12-30"))[0])
    share = np.isfinite(panel.values[row]).mean(axis=0)
    assert share[panel.features.index("momentum_12_1")] == 1
    assert share[panel.features.index("Margin_Net_Profit")] > 0.9


def test_apples_market_value_before_and_after_its_splits() -> None:
    """Quotes are on the basis of 2022: one share of March 2014 is 7 (2014-06-09) times 4 (2020-08-31) of those.

    The covers of the reports tell 891,989,000 shares on 2014-01-10 and 861,381,000 on 2014-04-11, both before the first
    split. The balance sheet of March 2014 was filed in thousands by mistake; the cover's is the later number.
    """
    rows, _ = parse_companyfacts(json.loads(gzip.decompress(APPLE.read_bytes())), "AAPL", "edgar")
    bars = quotes(("AAPL",), dt.date(2013, 1, 2), dt.date(2014, 12, 31))
    splits = pl.DataFrame({"symbol": "AAPL", "date": [dt.date(2014, 6, 9), dt.date(2020, 8, 31)], "kind": "split",
                           "ratio": [7.0, 4.0], "source": "hand",
                           "known_at": [dt.datetime(2000, 1, 1, tzinfo=dt.UTC)] * 2})  # fmt: skip
    dates = decision_dates(day("2013-12-31"), day("2014-12-31"))
    market = pl.DataFrame(schema={"date": pl.Date, "value": pl.Float64, "known_at": pl.Datetime("us", "UTC")})
    bar_history = BarHistory.of(bars, market, dates, stale_sessions=5)
    tables = Tables(bars, market, TABLES["actions"].conform(splits), TABLES["facts"].conform(rows))
    made = Sources(dates, ("AAPL",), bar_history, tables)
    close = dict(bars.select("date", "close").iter_rows())
    size = catalogue()["market_cap"].compute(made)[:, 0]
    march, june = dt.date(2014, 3, 31), dt.date(2014, 6, 30)
    assert size[1] == pytest.approx(close[march] * 28 * 891_989_000, rel=1e-12)
    assert size[2] == pytest.approx(close[june] * 4 * 861_381_000 * 7, rel=1e-12)
    assert 4.7e11 < size[1] < 4.9e11
    # The year to March 2014: 53,666 in fiscal 2013, 36,208 in this half, and of the one before what the report for
    # March 2013 told.
    half = rows.filter((pl.col("concept") == "OperatingCashFlow") & (pl.col("period_end") == dt.date(2013, 3, 30)))
    assert half["period_kind"].to_list() == ["ytd"]
    year = 53_666e6 + 36_208e6 - half["value"][0]
    assert catalogue()["cash_flow_yield"].compute(made)[2, 0] == pytest.approx(year / size[2], rel=1e-12)


def test_figures_stand_as_first_filed_until_they_are_restated() -> None:
    """Annual figures of 40 companies; what was restated is told again on 2021-03-01."""
    told = pl.read_parquet(ANNUAL).filter(pl.col("concept").is_in(["Revenue", "NetIncome"]), "filed_reliable")
    kind = {"symbol": pl.col("ticker"), "period_kind": pl.lit("year"), "form": pl.lit("10-K"), "source": pl.lit("pit")}
    first = told.select("concept", "period_end", **kind, value="original_value",
                        known_at=known_next_sessions(told["first_filed"]))  # fmt: skip
    again = told.filter("restated").select("concept", "period_end", **kind, value="latest_value",
                                           known_at=dt.datetime(2021, 3, 2, tzinfo=dt.UTC))  # fmt: skip
    again = again.with_columns(pl.col("known_at").dt.cast_time_unit("us"))
    rows = TABLES["facts"].conform(pl.concat([first, again]).unique(["symbol", "concept", "period_end", "known_at"]))
    symbols = tuple(sorted(told["ticker"].unique()))
    made = history(rows, "2016-01-01", "2021-03-31", symbols)
    epoch = np.datetime64("1970-01-01", "D")
    original = {(r["ticker"], r["concept"], r["period_end"]): r for r in told.iter_rows(named=True)}
    compared = restated = 0
    for concept in ("Revenue", "NetIncome"):
        trailing = made.trailing(concept)
        for date, at in zip(*np.nonzero(np.isfinite(trailing)), strict=True):
            end = (epoch + made.period_end[date, at].astype("datetime64[D]").astype(int)).item()
            row = original[symbols[at], concept, end]
            late = made.dates[date] > np.datetime64("2021-03-01") and row["restated"]
            assert trailing[date, at] == row["latest_value" if late else "original_value"]
            assert row["first_filed"] < made.dates[date].item()
            compared, restated = compared + 1, restated + bool(row["restated"])
    assert compared > 500
    assert restated > 10


def test_the_next_quarter_of_apple_as_first_filed() -> None:
    """On 2016-06-30 the quarter to March is known. That to June was filed on 2016-07-27: 7,796 of 42,358 net."""
    bars = quotes(("AAPL",), dt.date(2014, 1, 2), dt.date(2017, 6, 30))
    dates = decision_dates(day("2014-01-02"), day("2017-06-30"))
    market = bars.select("date", value="close", known_at="known_at")
    filings = pl.read_parquet(FILINGS).filter(pl.col("symbol") == "AAPL")
    history = BarHistory.of(bars, market, dates, stale_sessions=5)
    sources = Sources(dates, history.symbols, history, Tables(bars=bars, market=market, facts=of_filings(filings)))
    made = fundamental_label(sources, "next_Margin_Net_Profit", 1)
    row = int(np.flatnonzero(dates == np.datetime64("2016-06-30"))[0])
    assert made.value[row, 0] == pytest.approx(7796 / 42358, abs=1e-5)
    assert made.last[row, 0] == pytest.approx(10516 / 50557, abs=1e-5)
    assert made.seasonal[row, 0] == pytest.approx(10677 / 49605, abs=1e-5)
    assert made.realised_on[row, 0] == np.datetime64("2016-09-30")
