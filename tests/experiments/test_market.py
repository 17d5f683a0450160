import datetime as dt

import polars as pl
import pytest

from alfred.experiments.market import equal_weighted


def bars(symbol: str, closes: list[float], first: int = 1) -> pl.DataFrame:
    dates = [dt.date(2020, 1, first + at) for at in range(len(closes))]
    known = [dt.datetime(2020, 1, date.day, 21, tzinfo=dt.UTC) for date in dates]
    return pl.DataFrame({"symbol": symbol, "date": dates, "close": closes, "adj_close": closes, "known_at": known})


def test_the_stand_in_index_compounds_the_mean_return_and_leaves_out_impossible_days() -> None:
    rows = pl.concat([bars("A", [10, 11, 11]), bars("B", [20, 20, 24]), bars("C", [5, 500], first=2)])
    index = equal_weighted(rows)
    assert index["date"].to_list() == [dt.date(2020, 1, 2), dt.date(2020, 1, 3)]
    # Day 2: +10% and 0%. Day 3: 0% and +20%; C's hundredfold rise is left out.
    assert index["value"].to_list() == pytest.approx([105.0, 105.0 * 1.1])
    assert index["known_at"][1] == dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)


def test_later_prices_do_not_move_earlier_levels() -> None:
    early = pl.concat([bars("A", [10, 11]), bars("B", [20, 21])])
    longer = pl.concat([bars("A", [10, 11, 99]), bars("B", [20, 21, 1])])
    assert equal_weighted(longer)["value"][0] == equal_weighted(early)["value"][0]
