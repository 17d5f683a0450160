"""Facts as of decision dates: against a slow and plain account of what they mean, and calendars that real ones keep."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from filing_rows import Row, facts, history
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.lake.tables import TABLES
from alfred.panel.facts import DAY, FactHistory

NAN = float("nan")
QUARTER = 365.25 / 4


class Plain:
    """What one company had told by a deadline, read by dictionaries and loops."""

    def __init__(self, rows: pl.DataFrame, deadline: int, fill_days: int) -> None:
        epoch = dt.date(1970, 1, 1)
        micros = rows["known_at"].dt.replace_time_zone(None).cast(pl.Int64)
        usable = [
            (row, known)
            for row, known in zip(rows.iter_rows(named=True), micros, strict=True)
            if known <= deadline and row["value"] is not None and row["period_end"] <= row["known_at"].date()
        ]
        usable.sort(key=lambda pair: (pair[1], pair[0]["source"]))
        self.deadline, self.fill = deadline, fill_days * DAY
        self.told: dict[tuple[str, str], dict[int, tuple[float, int]]] = {}
        ends: dict[int, int] = {}
        self.years: set[int] = set()
        for row, known in usable:
            end = (row["period_end"] - epoch).days
            self.told.setdefault((row["concept"], row["period_kind"]), {})[end] = row["value"], known
            if row["period_kind"] != "instant":
                ends[end] = min(known, ends.get(end, known))
            if row["period_kind"] == "year" and not (row["form"] or "").startswith("10-Q"):
                self.years.add(end)
        self.latest = max(ends) if ends and deadline - ends[max(ends)] <= self.fill else None

    def near(self, concept: str, kind: str, ago: int) -> tuple[float, int]:
        day = self.latest - ago * QUARTER
        there = [(abs(end - day), -end) for end in self.told.get((concept, kind), {}) if abs(end - day) <= 30]
        return self.told[concept, kind][-min(there)[1]] if there else (NAN, 0)

    def ended(self, ago: int) -> bool:
        day = self.latest - ago * QUARTER
        return any(abs(end - day) <= 30 or abs(end - day - 365.25) <= 30 for end in self.years)

    def to_date(self, concept: str, ago: int) -> float:
        if self.ended(ago):
            return self.near(concept, "year", ago)[0]
        told = self.near(concept, "ytd", ago)[0]
        return self.near(concept, "quarter", ago)[0] if np.isnan(told) and self.ended(ago + 1) else told

    def told_quarter(self, concept: str, ago: int) -> float:
        quarter = self.near(concept, "quarter", ago)[0]
        if not np.isnan(quarter):
            return quarter
        before = 0.0 if self.ended(ago + 1) else self.to_date(concept, ago + 1)
        return self.to_date(concept, ago) - before

    def quarter(self, concept: str, ago: int) -> float:
        if self.latest is None:
            return NAN
        told = self.told_quarter(concept, ago)
        if not np.isnan(told):
            return told
        return self.near(concept, "year", ago)[0] - sum(self.told_quarter(concept, ago + back) for back in (1, 2, 3))

    def trailing(self, concept: str, ago: int) -> float:
        if self.latest is None:
            return NAN
        year = self.near(concept, "year", ago)[0]
        if not np.isnan(year):
            return year
        four = sum(self.quarter(concept, ago + back) for back in range(4))
        if not np.isnan(four):
            return four
        for back in (1, 2, 3):
            if self.ended(ago + back):
                now, before = self.to_date(concept, ago), self.to_date(concept, ago + 4)
                return self.near(concept, "year", ago + back)[0] + now - before
        return NAN

    def instant(self, concept: str, ago: int) -> float:
        return NAN if self.latest is None else self.near(concept, "instant", ago)[0]

    def average(self, concept: str) -> tuple[float, int]:
        if self.latest is None:
            return NAN, 0
        said = [self.near(concept, kind, 0) for kind in ("quarter", "ytd", "year")]
        return next((one for one in said if not np.isnan(one[0])), (NAN, 0))

    def last(self, concept: str) -> tuple[float, int]:
        said = self.told.get((concept, "instant"), {})
        value, known = said[max(said)] if said else (NAN, 0)
        return (value, known) if said and self.deadline - known <= self.fill else (NAN, 0)


def quarter_ends(weeks: tuple[int, ...], first: dt.date, count: int, leap: int) -> list[dt.date]:
    """Ends of quarters of so many weeks; the `leap`-th year has one week more."""
    ends = [first]
    for at in range(1, count):
        ends.append(ends[-1] + dt.timedelta(weeks=weeks[at % 4] + (at // 4 == leap and at % 4 == 3)))
    return ends


@st.composite
def filings(draw: st.DrawFn) -> pl.DataFrame:
    """Filings of one company with any fiscal year, holes, restatements, late and double-told vintages."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weeks = draw(st.sampled_from([(13, 13, 13, 13), (12, 12, 12, 16), (16, 12, 12, 12), (13, 13, 14, 12)]))
    first = dt.date(2010, 1, 1) + dt.timedelta(days=draw(st.integers(0, 364)))
    count = draw(st.integers(1, 17))
    ends = quarter_ends(weeks, first, count, draw(st.integers(0, 4)))
    holes, late = draw(st.sampled_from([0.0, 0.1, 0.5])), draw(st.sampled_from([0.0, 0.2]))
    rows = []
    for at, end in enumerate(ends):
        for concept in ("Revenue", "NetIncome"):
            for kind in ("quarter", "ytd", "year", "instant"):
                if rng.random() < holes or (kind == "year" and at % 4 != 3 and rng.random() > 0.03):
                    continue
                if kind in {"quarter", "ytd"} and at % 4 == 3 and rng.random() < 0.8:
                    continue
                for vintage in range(1 + (rng.random() < 0.2) + (rng.random() < 0.05)):
                    wait = rng.integers(20, 70) + vintage * rng.integers(0, 300) + 400 * (rng.random() < late)
                    shift = int(rng.integers(0, 40)) if kind == "instant" and rng.random() < 0.2 else 0
                    form = "10-K" if kind == "year" and at % 4 == 3 else "10-Q"
                    filed = end + dt.timedelta(days=int(wait))
                    rows.append(("A", concept, kind, str(end + dt.timedelta(days=shift)), str(filed),
                                 float(rng.integers(-9, 99)), form))  # fmt: skip
    if not rows:
        return pl.DataFrame(schema=TABLES["facts"].schema)
    made = facts(*rows).with_columns(pl.Series("source", rng.choice(["x", "y"], len(rows))))
    return made.unique(["concept", "period_end", "period_kind", "known_at", "source"], maintain_order=True).sample(
        fraction=1.0, shuffle=True, seed=int(rng.integers(1000))
    )


@settings(max_examples=60, deadline=None)
@given(filings(), st.sampled_from([90, 400]))
def test_the_compiled_walk_is_the_plain_reading(rows: pl.DataFrame, fill_days: int) -> None:
    told = history(rows, "2010-01-01", "2015-12-31", fill_days=fill_days)
    deadlines = told._clock[0]
    for date, deadline in enumerate(deadlines):
        plain = Plain(rows, int(deadline), fill_days)
        for concept in ("Revenue", "NetIncome", "Absent"):
            for ago in (0, 1, 4):
                for form in ("quarter", "trailing", "instant"):
                    got = getattr(told, form)(concept, ago)[date, 0]
                    wanted = getattr(plain, form)(concept, ago)
                    assert got == pytest.approx(wanted, nan_ok=True), (form, concept, ago, told.dates[date])
            for got, wanted in ((told.average(concept), plain.average(concept)),
                                (told.latest(concept), plain.last(concept))):  # fmt: skip
                assert (got.value[date, 0], got.known[date, 0]) == pytest.approx(wanted, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(filings(), st.integers(0, 23), st.integers(0, 2**32 - 1))
def test_what_was_not_known_moves_nothing_to_the_last_bit(rows: pl.DataFrame, date: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = history(rows, "2010-01-01", "2015-12-31")
    deadline = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(before._clock[0][date]))
    later = rows.filter(pl.col("known_at") > deadline)
    other = later.with_columns(
        pl.Series("value", rng.normal(0, 1e9, len(later))),
        pl.col("period_end") + pl.duration(days=pl.Series(rng.integers(-400, 20, len(later)))),
        pl.Series("period_kind", rng.choice(["instant", "quarter", "ytd", "year"], len(later))),
    ).sample(fraction=0.7, seed=1)
    after = history(pl.concat([rows.filter(pl.col("known_at") <= deadline), other]), "2010-01-01", "2015-12-31")
    for ask in (
        lambda told: told.quarter("Revenue"), lambda told: told.trailing("Revenue", 4),
        lambda told: told.instant("NetIncome", 1), lambda told: told.latest("NetIncome").value,
        lambda told: told.average("NetIncome").value, lambda told: told.days_since_filing,
    ):  # fmt: skip
        np.testing.assert_array_equal(ask(before)[: date + 1], ask(after)[: date + 1])


def at(told: FactHistory, date: str) -> int:
    return int(np.flatnonzero(told.dates == np.datetime64(date))[0])


YEAR_OF_INCOME: tuple[Row, ...] = (
    ("A", "NetIncome", "quarter", "2014-03-31", "2014-05-02", 10),
    ("A", "NetIncome", "quarter", "2014-06-30", "2014-08-02", 20),
    ("A", "NetIncome", "quarter", "2014-09-30", "2014-11-02", 30),
    ("A", "NetIncome", "year", "2014-12-31", "2015-02-20", 100),
)


def test_the_fourth_quarter_is_the_year_less_three() -> None:
    told = history(facts(*YEAR_OF_INCOME), "2014-01-01", "2015-12-31")
    assert told.quarter("NetIncome")[at(told, "2015-03-31"), 0] == 40
    assert told.trailing("NetIncome")[at(told, "2015-03-31"), 0] == 100
    assert told.quarter("NetIncome", 1)[at(told, "2015-03-31"), 0] == 30
    # On the last day of the year nothing is known of it yet.
    assert told.quarter("NetIncome")[at(told, "2014-12-31"), 0] == 30
    assert told.period_end[at(told, "2014-12-31"), 0] == np.datetime64("2014-09-30")
    assert np.isnan(told.quarter("NetIncome")[at(told, "2014-03-31"), 0])


def test_a_missing_quarter_is_missing_and_shifts_nothing() -> None:
    told = history(facts(*YEAR_OF_INCOME[:1], *YEAR_OF_INCOME[2:]), "2014-01-01", "2015-12-31")
    december = at(told, "2015-03-31")
    assert np.isnan(told.quarter("NetIncome")[december, 0])
    assert told.trailing("NetIncome")[december, 0] == 100
    assert np.isnan(told.quarter("NetIncome", 2)[december, 0])
    assert told.quarter("NetIncome", 3)[december, 0] == 10
    assert np.isnan(told.quarter("NetIncome", 1)[at(told, "2014-12-31"), 0])


def test_a_restatement_counts_from_its_own_filing() -> None:
    again: Row = ("A", "NetIncome", "quarter", "2014-06-30", "2015-04-10", 25)
    told = history(facts(*YEAR_OF_INCOME, again), "2014-01-01", "2015-12-31")
    assert told.quarter("NetIncome")[at(told, "2015-03-31"), 0] == 40
    assert told.quarter("NetIncome")[at(told, "2015-06-30"), 0] == 35
    assert told.quarter("NetIncome", 2)[at(told, "2015-03-31"), 0] == 20
    assert told.quarter("NetIncome", 2)[at(told, "2015-06-30"), 0] == 25


def test_the_close_itself_is_in_time_and_a_microsecond_later_is_not() -> None:
    rows = facts(*YEAR_OF_INCOME[:1])
    close = dt.datetime(2014, 6, 30, 20, tzinfo=dt.UTC)
    for late, seen in ((0, 1), (1, 0)):
        instant = pl.lit(close + dt.timedelta(microseconds=late)).cast(rows["known_at"].dtype)
        moved = rows.with_columns(instant.alias("known_at"))
        told = history(moved, "2014-01-01", "2014-12-31")
        assert np.isfinite(told.quarter("NetIncome")[at(told, "2014-06-30"), 0]) == seen
        assert np.isfinite(told.quarter("NetIncome")[at(told, "2014-09-30"), 0])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_sources_at_one_instant_the_last_by_name_counts(order: tuple[int, int]) -> None:
    rows = facts(*YEAR_OF_INCOME)
    both = [rows.with_columns(pl.lit(name).alias("source"), pl.col("value") * times) for name, times in
            (("edgar", 1.0), ("alphavantage", 5.0))]  # fmt: skip
    told = history(pl.concat([both[which] for which in order]), "2014-01-01", "2015-12-31")
    assert told.trailing("NetIncome")[at(told, "2015-03-31"), 0] == 100


def test_cash_flows_of_the_year_to_date() -> None:
    rows = facts(
        ("A", "OperatingCashFlow", "year", "2013-12-31", "2014-02-20", 80),
        ("A", "OperatingCashFlow", "quarter", "2014-03-31", "2014-05-02", 10),
        ("A", "OperatingCashFlow", "ytd", "2014-06-30", "2014-08-02", 35),
        ("A", "OperatingCashFlow", "ytd", "2014-09-30", "2014-11-02", 65),
        ("A", "OperatingCashFlow", "year", "2014-12-31", "2015-02-20", 100),
        ("A", "OperatingCashFlow", "ytd", "2015-03-31", "2015-05-02", 12),
        ("A", "OperatingCashFlow", "ytd", "2015-06-30", "2015-08-02", 40),
    )
    told = history(rows, "2014-01-01", "2015-12-31")
    quarters = [told.quarter("OperatingCashFlow")[row, 0] for row in range(len(told.dates))]
    np.testing.assert_array_equal(quarters, [NAN, 10, 25, 30, 35, 12, 28, 28])
    trailing = [told.trailing("OperatingCashFlow")[row, 0] for row in range(len(told.dates))]
    # 2014-12-31 wants a year from 2013-10-01, of whose first quarter nothing is known.
    np.testing.assert_array_equal(trailing, [80, NAN, NAN, NAN, 100, 100 + 12 - 10, 100 + 40 - 35, 105])


def test_the_first_quarter_is_found_by_the_year_that_began_with_it() -> None:
    """No filing on the year before is at hand."""
    rows = facts(
        ("A", "OperatingCashFlow", "quarter", "2014-03-31", "2014-05-02", 10),
        ("A", "OperatingCashFlow", "ytd", "2014-06-30", "2014-08-02", 35),
        ("A", "OperatingCashFlow", "ytd", "2014-09-30", "2014-11-02", 65),
        ("A", "OperatingCashFlow", "year", "2014-12-31", "2015-02-20", 100),
    )
    told = history(rows, "2014-01-01", "2015-12-31")
    march = at(told, "2015-03-31")
    assert [told.quarter("OperatingCashFlow", ago)[march, 0] for ago in range(4)] == [35, 30, 25, 10]
    assert np.isnan(told.quarter("OperatingCashFlow")[at(told, "2014-09-30"), 0])


def test_twelve_and_sixteen_weeks_as_at_costco() -> None:
    """Quarters of 12, 12, 12 and 16 weeks; the last is called year to date, for its length; 53 weeks in 2017."""
    ends = ["2015-11-22", "2016-02-14", "2016-05-08", "2016-08-28", "2016-11-20", "2017-02-12", "2017-05-07",
            "2017-09-03", "2017-11-26", "2018-02-18"]  # fmt: skip
    days = np.diff(np.array(ends, "datetime64[D]")).astype(int)
    assert list(days) == [84, 84, 112, 84, 84, 84, 119, 84, 84]
    filed = [str(np.datetime64(end) + 20) for end in ends]
    rows: list[Row] = [("A", "Revenue", "year", "2015-08-30", "2015-10-14", 110)]
    for n, (end, day) in enumerate(zip(ends, filed, strict=True)):
        if n % 4 == 3:
            rows += [("A", "Revenue", "ytd", end, day, 40 + n, "10-K"), ("A", "Revenue", "year", end, day, 120 + n)]
        else:
            rows += [("A", "Revenue", "quarter", end, day, 25 + n)]
            rows += [("A", "Revenue", "ytd", end, day, [25, 51, 78][n % 4])] if n % 4 else []
    told = history(facts(*rows), "2015-12-01", "2018-04-30")
    quarter, trailing = told.quarter("Revenue")[:, 0], told.trailing("Revenue")[:, 0]
    assert quarter[at(told, "2016-09-30")] == 123 - 78
    assert quarter[at(told, "2017-09-29")] == 127 - 78
    assert told.quarter("Revenue", 4)[at(told, "2017-09-29"), 0] == 123 - 78
    assert told.quarter("Revenue", 1)[at(told, "2017-12-29"), 0] == 127 - 78
    # February 2018: 119 days of the 53-week year lie between it and the quarters before.
    last = at(told, "2018-03-29")
    assert [told.quarter("Revenue", ago)[last, 0] for ago in range(9)] == [
        34, 33, 49, 31, 30, 29, 45, 27, 26,
    ]  # fmt: skip
    assert trailing[last] == 34 + 33 + 49 + 31
    assert trailing[at(told, "2016-12-30")] == 29 + 45 + 27 + 26


def test_a_year_of_53_weeks_that_ends_in_january() -> None:
    ends = ["2016-04-30", "2016-07-30", "2016-10-29", "2017-01-28", "2017-04-29", "2017-07-29", "2017-10-28",
            "2018-02-03", "2018-05-05"]  # fmt: skip
    assert list(np.diff(np.array(ends, "datetime64[D]")).astype(int)) == [91, 91, 91, 91, 91, 91, 98, 91]
    rows: list[Row] = []
    for n, end in enumerate(ends):
        day = str(np.datetime64(end) + 30)
        year: Row = ("A", "Revenue", "year", end, day, 1000 + n)
        rows.append(year if n % 4 == 3 else ("A", "Revenue", "quarter", end, day, 200 + n))
    told = history(facts(*rows), "2016-06-01", "2018-06-30")
    march = at(told, "2018-03-29")
    assert told.quarter("Revenue")[march, 0] == 1007 - 204 - 205 - 206
    assert told.quarter("Revenue", 4)[march, 0] == 1003 - 200 - 201 - 202
    assert told.trailing("Revenue", 4)[march, 0] == 1003
    june = at(told, "2018-06-29")
    assert told.quarter("Revenue", 4)[june, 0] == 204
    assert told.trailing("Revenue")[june, 0] == 208 + 392 + 206 + 205


def test_trailing_years_in_quarterly_reports_end_no_fiscal_year() -> None:
    """Utilities give the last twelve months in each 10-Q; the second quarter's year to date still has two quarters."""
    rows = facts(
        ("A", "Revenue", "year", "2013-12-31", "2014-02-20", 100),
        ("A", "Revenue", "ytd", "2014-03-31", "2014-05-02", 30),
        ("A", "Revenue", "year", "2014-03-31", "2014-05-02", 104, "10-Q"),
        ("A", "Revenue", "ytd", "2014-06-30", "2014-08-02", 52),
        ("A", "Revenue", "year", "2014-06-30", "2014-08-02", 106, "10-Q"),
    )
    told = history(rows, "2014-01-01", "2014-12-31")
    assert told.quarter("Revenue")[at(told, "2014-09-30"), 0] == 22
    assert told.trailing("Revenue")[at(told, "2014-09-30"), 0] == 106


def test_a_company_that_reports_once_a_year_keeps_its_figures_until_the_next() -> None:
    rows = facts(
        *(("A", "Revenue", "year", f"{year}-12-31", f"{year + 1}-03-20", year) for year in (2012, 2013)),
        *(("A", "Assets", "instant", f"{year}-12-31", f"{year + 1}-03-20", 2 * year) for year in (2012, 2013)),
    )
    told = history(rows, "2013-01-01", "2015-12-31")
    np.testing.assert_array_equal(told.trailing("Revenue")[:, 0], [2012] * 4 + [2013] * 5 + [NAN] * 3)
    np.testing.assert_array_equal(told.trailing("Revenue", 4)[:, 0], [NAN] * 4 + [2012] * 5 + [NAN] * 3)
    np.testing.assert_array_equal(told.instant("Assets", 4)[:, 0], [NAN] * 4 + [4024] * 5 + [NAN] * 3)
    assert np.isnan(told.quarter("Revenue")).all()


def test_a_company_that_stops_reporting_is_missing_after_the_limit() -> None:
    told = history(facts(*YEAR_OF_INCOME), "2014-01-01", "2016-12-31", fill_days=200)
    known = np.isfinite(told.quarter("NetIncome")[:, 0])
    assert list(told.dates[known][[0, -1]]) == [np.datetime64("2014-06-30"), np.datetime64("2015-06-30")]
    assert np.isnat(told.period_end[~known, 0]).all()
    days = told.days_since_filing[known, 0]
    # Filed on Friday, 2 May 2014; usable from Monday's opening; 30 June's close is 56 days and 6.5 hours later.
    assert days[0] == pytest.approx(56 + 6.5 / 24, rel=1e-12)
    assert (days <= 200).all()


def test_the_cover_page_counts_shares_on_a_later_day() -> None:
    rows = facts(
        *YEAR_OF_INCOME,
        ("A", "Shares", "instant", "2014-09-30", "2014-11-02", 1000),
        ("A", "Shares", "instant", "2014-10-24", "2014-11-02", 1010),
        ("A", "SharesDiluted", "quarter", "2014-09-30", "2014-11-02", 1100),
        ("A", "SharesDiluted", "year", "2014-12-31", "2015-02-20", 1120),
    )
    told = history(rows, "2014-01-01", "2016-12-31")
    december, march = at(told, "2014-12-31"), at(told, "2015-03-31")
    assert told.latest("Shares").value[december, 0] == 1010
    assert told.latest("Shares").value[march, 0] == 1010
    assert told.average("SharesDiluted").value[[december, march], 0].tolist() == [1100, 1120]
    known = told.average("SharesDiluted").known[march, 0].astype("datetime64[us]")
    assert known == np.datetime64("2015-02-23T14:30")
    assert np.isnan(told.latest("Shares").value[at(told, "2016-03-31"), 0])


def test_what_is_no_figure_in_dollars_is_left_out() -> None:
    rows = facts(*YEAR_OF_INCOME)
    for change in (
        pl.lit("EUR").alias("unit"), pl.lit(NAN).alias("value"), pl.lit(None, pl.Float64).alias("value"),
        (pl.col("period_end") + pl.duration(days=200)).alias("period_end"), pl.lit("B").alias("symbol"),
    ):  # fmt: skip
        told = history(rows.with_columns(change), "2014-01-01", "2015-12-31")
        assert np.isnan(told.quarter("NetIncome")).all()
        assert np.isnan(told.days_since_filing).all()
    both = pl.concat([rows, rows.with_columns(pl.lit("EUR").alias("unit"), pl.lit("other").alias("source"),
                                              pl.col("value") * 7)])  # fmt: skip
    assert history(both, "2014-01-01", "2015-12-31").quarter("NetIncome")[4, 0] == 40


def test_without_facts_everything_is_missing() -> None:
    told = history(pl.DataFrame(schema=TABLES["facts"].schema), "2014-01-01", "2014-12-31", ("A", "B"))
    assert np.isnan(told.trailing("Revenue")).all()
    assert told.latest("Shares").value.shape == (4, 2)


def test_companies_do_not_mix() -> None:
    rows = facts(*YEAR_OF_INCOME)
    others = [rows.with_columns(pl.lit(name).alias("symbol"), pl.col("value") * times) for name, times in
              (("C", 3.0), ("A", 1.0), ("Z", 9.0))]  # fmt: skip
    told = history(pl.concat(others), "2014-01-01", "2015-12-31", ("A", "B", "C"))
    np.testing.assert_array_equal(told.quarter("NetIncome")[4], [40, NAN, 120])
