"""Labels of accounts by hand: first filed, late, missing, on the bounds; and never what is known on the date."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from filing_rows import Row, facts
from market import frame

from alfred.core.calendar import day, decision_dates, sessions_between
from alfred.core.contracts import FUNDAMENTALS
from alfred.core.errors import ConfigError, DataError
from alfred.panel.accounts import margin, revenue_growth
from alfred.panel.added import with_columns
from alfred.panel.fundamental_labels import BOUNDS, FundamentalLabel, fundamental_label
from alfred.panel.history import BarHistory
from alfred.panel.panel import Labels, Panel
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

FIRST, LAST = "2013-01-02", "2018-12-31"
DATES = decision_dates(day(FIRST), day(LAST))
ENDS = tuple(str(end) for end in (np.datetime64("2013-04", "M") + 3 * np.arange(16)).astype("datetime64[D]") - 1)
MARKET = pl.DataFrame(schema={"date": pl.Date, "value": pl.Float64, "known_at": pl.Datetime("us", "UTC")})


def filed(end: str, days: int = 40) -> str:
    return str(np.datetime64(end) + days)


def quarters(concept: str, values: dict[str, float], late: dict[str, int] | None = None) -> list[Row]:
    return [
        ("A", concept, "quarter", end, filed(end, (late or {}).get(end, 40)), value) for end, value in values.items()
    ]


REVENUE = {end: 100.0 + 5 * at for at, end in enumerate(ENDS)}
INCOME = {end: 10.0 + at for at, end in enumerate(ENDS)}
SHARES: list[Row] = [("A", "Shares", "instant", end, filed(end), 20.0) for end in ENDS]
PLAIN = [*quarters("Revenue", REVENUE), *quarters("NetIncome", INCOME), *SHARES]


def sources(rows: list[Row]) -> Sources:
    sessions = sessions_between(day(FIRST), day(LAST))
    bars = frame("A", sessions, np.full(len(sessions), 50.0), np.full(len(sessions), 1000.0))
    history = BarHistory.of(bars, MARKET, DATES, stale_sessions=5)
    return Sources(DATES, history.symbols, history, Tables(bars, MARKET, facts=facts(*rows)))


def label(rows: list[Row], target: str = "next_Margin_Net_Profit", horizon: int = 1) -> FundamentalLabel:
    return fundamental_label(sources(rows), target, horizon)


def at(date: str) -> tuple[int, int]:
    return int(np.flatnonzero(np.datetime64(date) == DATES)[0]), 0


def test_the_next_quarter_and_the_fourth_one_on() -> None:
    """On 2014-12-31 the quarter to September is known; the next is filed in February, the fourth one on in November."""
    row = at("2014-12-31")
    for horizon, end, on in ((1, "2014-12-31", "2015-03-31"), (4, "2015-09-30", "2015-12-31")):
        made = label(PLAIN, horizon=horizon)
        assert made.value[row] == pytest.approx(INCOME[end] / REVENUE[end])
        assert made.realised_on[row] == np.datetime64(on)
        assert made.last[row] == pytest.approx(INCOME["2014-09-30"] / REVENUE["2014-09-30"])
    before = INCOME["2013-12-31"] / REVENUE["2013-12-31"]
    assert label(PLAIN).seasonal[row] == pytest.approx(before)
    four = label(PLAIN, horizon=4)
    np.testing.assert_array_equal(four.seasonal, four.last)
    shown = [INCOME[end] / REVENUE[end] for end in ENDS[:7]]
    assert label(PLAIN).usual[row] == pytest.approx(np.mean(shown))


def test_growth_and_earnings_by_the_share() -> None:
    row = at("2014-12-31")
    growth = label(PLAIN, "next_revenue_growth")
    assert growth.value[row] == pytest.approx(REVENUE["2014-12-31"] / REVENUE["2013-12-31"] - 1)
    assert growth.last[row] == pytest.approx(REVENUE["2014-09-30"] / REVENUE["2013-09-30"] - 1)
    # No growth can be had of the quarter a year before the target: the year before it is not told.
    assert np.isnan(growth.seasonal[row])
    assert np.isnan(growth.change.of("next_revenue_growth")[row])
    earned = label(PLAIN, "next_EPS_change")
    assert earned.value[row] == pytest.approx((INCOME["2014-12-31"] - INCOME["2013-12-31"]) / (50 * 20))
    assert earned.last[row] == pytest.approx((INCOME["2014-09-30"] - INCOME["2013-12-31"]) / (50 * 20))
    assert earned.seasonal[row] == 0


def test_restatements_do_not_count_however_soon_they_come() -> None:
    """An amendment of the same quarter of filings, and the comparison of a year later, tell another revenue."""
    end = "2014-12-31"
    again: list[Row] = [
        ("A", "NetIncome", "quarter", end, filed(end, 45), 99.0, "10-Q/A"),
        ("A", "NetIncome", "quarter", end, filed("2015-12-31"), 1.0),
    ]
    plain, restated = label(PLAIN), label([*PLAIN, *again])
    np.testing.assert_array_equal(restated.value, plain.value)
    np.testing.assert_array_equal(restated.realised_on, plain.realised_on)
    # What is known on a date is the latest vintage, as for the panel's columns.
    assert restated.last[at("2015-03-31")] == pytest.approx(99 / REVENUE[end])


def test_a_late_filing_is_realised_late_and_only_its_own_rows_are() -> None:
    """The quarter to December 2014 comes in July 2015, two quarters later than others."""
    late = {"2014-12-31": 200}
    rows = [*quarters("Revenue", REVENUE, late), *quarters("NetIncome", INCOME, late), *SHARES]
    made, row = label(rows), at("2014-12-31")
    assert made.realised_on[row] == np.datetime64("2015-09-30")
    assert made.value[row] == pytest.approx(INCOME["2014-12-31"] / REVENUE["2014-12-31"])
    assert made.realised_on[at("2014-09-30")] == np.datetime64("2014-12-31")


def test_a_missing_quarter_is_nobodys_next() -> None:
    """Without the quarter to December 2014 that label is missing; the quarter after it does not take its place."""
    without = {end: value for end, value in REVENUE.items() if end != "2014-12-31"}
    made = label([*quarters("Revenue", without), *quarters("NetIncome", INCOME), *SHARES])
    assert np.isnan(made.value[at("2014-12-31")])
    assert np.isnat(made.realised_on[at("2014-12-31")])
    # What comes more than a year late counts as never told.
    late = {"2014-12-31": 700}
    made = label([*quarters("Revenue", REVENUE, late), *quarters("NetIncome", INCOME), *SHARES])
    assert np.isnat(made.realised_on[at("2014-12-31")])


def test_the_fourth_quarter_is_the_year_less_the_others() -> None:
    def rows(concept: str, values: dict[str, float]) -> list[Row]:
        found: list[Row] = []
        for at_, (end, value) in enumerate(values.items()):
            if end.endswith("12-31"):
                found.append(("A", concept, "year", end, filed(end, 60), sum(list(values.values())[at_ - 3 : at_ + 1])))
            else:
                found.append(("A", concept, "quarter", end, filed(end), value))
        return found

    made = label([*rows("Revenue", REVENUE), *rows("NetIncome", INCOME), *SHARES])
    assert made.value[at("2014-12-31")] == pytest.approx(INCOME["2014-12-31"] / REVENUE["2014-12-31"])


def test_bounds_hold_for_labels_and_for_what_is_known() -> None:
    losses = dict.fromkeys(ENDS, -1000.0)
    rows = [*quarters("Revenue", REVENUE), *quarters("NetIncome", losses), *SHARES]
    made = label(rows)
    known = np.isfinite(made.value)
    assert known.any()
    for values in (made.value[known], made.last[known], made.usual[np.isfinite(made.usual)]):
        assert (values == -1).all()
    assert all(bound > 0 for bound in BOUNDS.values())
    assert set(BOUNDS) == set(FUNDAMENTALS)


@pytest.mark.parametrize("target", FUNDAMENTALS)
@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_what_is_filed_after_a_date_moves_nothing_known_on_it(target: str, horizon: int) -> None:
    gross = quarters("GrossProfit", {end: 50.0 + at_ for at_, end in enumerate(ENDS)})
    operating = quarters("OperatingIncome", {end: 20.0 + at_**0.5 for at_, end in enumerate(ENDS)})
    rows = [*PLAIN, *gross, *operating]
    cut = np.datetime64("2015-06-30")
    scrambled = [
        (*row[:5], row[5] * 1.3 + 7, *row[6:]) if np.datetime64(row[4]) >= cut else row for row in rows
    ]  # fmt: skip
    one, other = label(rows, target, horizon), label(scrambled, target, horizon)  # type: ignore[arg-type]
    early = cut >= DATES
    for name in ("last", "seasonal", "usual"):
        np.testing.assert_array_equal(getattr(one, name)[early], getattr(other, name)[early])
    realised = one.realised_on <= cut
    assert realised.any()
    np.testing.assert_array_equal(one.value[realised], other.value[realised])
    moved = (one.realised_on > cut) & np.isfinite(one.value)
    assert (one.value[moved] != other.value[moved]).any()


def test_columns_and_labels_share_their_formulas() -> None:
    made = sources(PLAIN)
    known = label(PLAIN)
    np.testing.assert_array_equal(known.last, np.clip(margin(made.facts, "Margin_Net_Profit"), -1, 1))
    growth = label(PLAIN, "next_revenue_growth")
    np.testing.assert_array_equal(growth.last, np.clip(revenue_growth(made.facts), -1, 1))


def test_unknown_labels_and_horizons_are_refused() -> None:
    with pytest.raises(ConfigError, match="no label of accounts 'PM'; there are next_revenue_growth"):
        label(PLAIN, "PM")
    with pytest.raises(ConfigError, match="1 to 4 quarters ahead, got 5"):
        label(PLAIN, horizon=5)


def panel(labels: Labels, features: tuple[str, ...] = ("Close",)) -> Panel:
    listed = np.ones((len(DATES), 2), bool)
    listed[3, 1] = False
    values = np.where(listed, 1.0, np.nan)[:, :, None]
    return Panel(DATES, ("A", "B"), features, values, listed, labels, {})


def by_row() -> Labels:
    realised = np.stack([np.append(DATES[1:], np.datetime64("NaT", "D")),
                         np.append(DATES[2:], [np.datetime64("NaT", "D")] * 2)], axis=1)  # fmt: skip
    return Labels(1, realised, {"next_Margin_Gross": np.arange(2.0 * len(DATES)).reshape(-1, 2)})


def test_labels_known_by_a_date_differ_from_row_to_row() -> None:
    labels = by_row()
    known = np.isfinite(labels.known_by(DATES[5]).of("next_Margin_Gross"))
    assert known[:, 0].tolist() == [row < 5 for row in range(len(DATES))]
    assert known[:, 1].tolist() == [row < 4 for row in range(len(DATES))]
    embargoed = np.isfinite(labels.known_by(DATES[5], embargo_quarters=2).of("next_Margin_Gross"))
    assert embargoed.sum(axis=0).tolist() == [3, 2]
    one_day = Labels(1, labels.realised_on[:, 0], labels.values)
    np.testing.assert_array_equal(one_day.realised[:, 0], one_day.realised[:, 1])


def test_a_panel_with_rows_realised_on_their_own_days_is_saved_whole(tmp_path) -> None:
    made = panel(by_row())
    made.save(tmp_path)
    again = Panel.load(tmp_path)
    np.testing.assert_array_equal(again.labels.realised_on, made.labels.realised_on)
    assert again.digest() == made.digest()


def test_columns_are_added_where_rows_are_listed() -> None:
    made = panel(by_row())
    dates = [dt.date.fromisoformat(str(DATES[row])) for row in (2, 3, 3)]
    frame_ = pl.DataFrame({"symbol": ["A", "B", "Z"], "date": dates, "forecast_x_1q": [0.5, 0.7, 9.0]})
    wider = with_columns(made, frame_)
    assert wider.features == ("Close", "forecast_x_1q")
    expected = np.full(made.listed.shape, np.nan)
    expected[2, 0] = 0.5  # B is not listed on its date, and Z is no symbol of the panel
    np.testing.assert_array_equal(wider.values[:, :, 1], expected)
    np.testing.assert_array_equal(wider.values[:, :, :1], made.values)


def test_columns_that_cannot_be_added_are_refused() -> None:
    made = panel(by_row())
    on = dt.date.fromisoformat(str(DATES[2]))
    with pytest.raises(DataError, match="'Close' already"):
        with_columns(made, pl.DataFrame({"symbol": ["A"], "date": [on], "Close": [1.0]}))
    with pytest.raises(DataError, match=r"A on .* more than once"):
        with_columns(made, pl.DataFrame({"symbol": ["A", "A"], "date": [on, on], "x": [1.0, 2.0]}))
    with pytest.raises(DataError, match="no decision date of the panel"):
        with_columns(made, pl.DataFrame({"symbol": ["A"], "date": [on - dt.timedelta(1)], "x": [1.0]}))
    with pytest.raises(DataError, match="at least one feature, got symbol, date"):
        with_columns(made, pl.DataFrame({"symbol": ["A"], "date": [on]}))
    with pytest.raises(DataError, match="infinite"):
        with_columns(made, pl.DataFrame({"symbol": ["A"], "date": [on], "x": [np.inf]}))
