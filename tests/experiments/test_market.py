import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from alfred.experiments.market import as_reported, equal_weighted, read_market
from alfred.experiments.study import DataSettings
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings


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


def test_earnings_that_a_source_divided_by_later_splits_are_put_back() -> None:
    instant = dt.datetime(2020, 2, 1, tzinfo=dt.UTC)
    rows = [("A", "yahoo", 0.25), ("A", "edgar", 1.0), ("B", "yahoo", 3.0)]
    earnings = pl.DataFrame(rows, schema=["symbol", "source", "reported_eps"], orient="row").with_columns(
        pl.lit(dt.date(2020, 1, 31)).alias("announced"), pl.lit(instant).alias("known_at"),
        pl.lit(None, pl.Float64).alias("estimated_eps"), pl.lit(0.5).alias("surprise"),
    )  # fmt: skip
    splits = [("A", dt.date(2019, 5, 1), 7.0), ("A", dt.date(2020, 1, 31), 5.0), ("A", dt.date(2020, 8, 31), 4.0)]
    actions = pl.DataFrame(splits, schema=["symbol", "date", "ratio"], orient="row").with_columns(kind=pl.lit("split"))
    put_back = as_reported(earnings, actions, pl.col("source") == "yahoo")
    # Only the split after the announcement had been applied to what was announced.
    assert put_back["reported_eps"].to_list() == [1.0, 1.0, 3.0]
    assert put_back["surprise"].to_list() == [2.0, 0.5, 0.5]
    assert put_back.columns == earnings.columns


def test_invented_rows_stand_only_beside_invented_prices(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    market = generate(SyntheticSettings(symbols=12, first_year=2000, years=4, renames_per_year=0.4))
    for name, rows in market.tables.items():
        lake.write(name, rows)
    real = market.tables["series"].filter(pl.col("series") == "^VIX").with_columns(pl.lit("fred").alias("source"))
    lake.write("series", real)
    invented = read_market(lake, DataSettings(provider="synthetic")).tables()
    assert set(invented.series["source"]) == {"synthetic"}
    sample = read_market(lake, DataSettings(provider="sample")).tables()
    assert set(sample.series["source"]) == {"fred", "sample"}
    assert sample.facts.is_empty()
    assert not invented.facts.is_empty()


def test_a_renamed_ticker_brings_its_heir_along(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    market = generate(SyntheticSettings(symbols=12, first_year=2000, years=4, renames_per_year=0.4))
    for name, rows in market.tables.items():
        lake.write(name, rows)
    old, new = market.tables["actions"].filter(pl.col("kind") == "rename").select("symbol", "new_symbol").row(0)
    tables = read_market(lake, DataSettings(provider="synthetic")).tables([old])
    assert set(tables.bars["symbol"]) == {old, new}
    assert set(tables.actions["symbol"]) <= {old, new}
