"""Another future leaves the past as it was to the last bit, whoever reads it; after the date nothing stays."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import close_instants
from alfred.lake.scramble import EARNINGS, PRICES, OtherFuture, ScrambledLake
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.panel.tables import OTHERS

DATE = dt.date(2006, 6, 30)
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
FUTURE = OtherFuture.of(DATE, 7, "synthetic")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("lake")
    market = generate(SyntheticSettings(symbols=12, first_year=2004, years=5, articles_per_quarter=2, seed=1))
    for name, rows in market.tables.items():
        Lake(found).write(name, rows)
    return found


def tables(lake: Lake) -> dict[str, pl.DataFrame]:
    view = lake.asof(NOW)
    vintages = {"facts": view.facts(vintages=True), "earnings": view.earnings(vintages=True)}
    return {
        "bars": view.bars(), "actions": view.actions(), "series": view.all_series(), "insider": view.insider(),
        "articles": view.articles(), **vintages,
    }  # fmt: skip


def known(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("known_at") <= FUTURE.after)


def test_the_past_ends_with_the_session(root: Path) -> None:
    assert FUTURE.after == dt.datetime(2006, 6, 30, 20, tzinfo=dt.UTC)
    assert close_instants(np.array([DATE], "datetime64[D]"))[0] == np.datetime64("2006-06-30T20:00")


def test_what_was_known_stays_and_the_rest_does_not(root: Path) -> None:
    real, other = tables(Lake(root)), tables(ScrambledLake(root, FUTURE))
    for name in real:
        before = real[name], other[name]
        if name == "bars":
            continue  # adjusted for splits to come
        assert known(before[0]).equals(known(before[1])), name
        later = len(before[0]) - len(known(before[0]))
        left = len(before[1].filter((pl.col("known_at") > FUTURE.after) & (pl.col("source") == "synthetic")))
        assert later > 0, name
        assert left < later if name != "actions" else left > 0, name
    numbers = ["value"]
    both = real["series"].join(other["series"], on=["series", "date", "known_at", "source"], suffix="_other")
    later = both.filter(pl.col("known_at") > FUTURE.after)
    assert 0.6 < len(later) / len(real["series"].filter(pl.col("known_at") > FUTURE.after)) < 0.73
    for name in numbers:
        assert (later[name] != later[f"{name}_other"]).all()


def test_later_splits_rebase_the_past_by_factors_of_two(root: Path) -> None:
    real, other = Lake(root).asof(NOW), ScrambledLake(root, FUTURE).asof(NOW)
    key = ["symbol", "date", "source"]
    both = known(real.bars()).join(known(other.bars()), on=key, suffix="_other")
    assert len(both) == len(known(real.bars()))
    ratio = (both["close"] / both["close_other"]).alias("ratio")
    factors = both.with_columns(ratio).group_by("symbol").agg(pl.col("ratio").unique())
    assert factors["ratio"].list.len().max() == 1
    assert set(factors["ratio"].list.first()) == {1.0, 2.0, 4.0}
    for name in PRICES:
        assert (both[name] == both[f"{name}_other"] * ratio).all()
    assert (both["volume"] * ratio == both["volume_other"]).all()
    splits = other.actions().join(real.actions(), on=["symbol", "date", "kind", "source"], how="anti")
    told = dict(splits.select("symbol", "ratio").rows())
    assert told == {symbol: one[0] for symbol, one in factors.rows() if one[0] > 1}
    assert set(splits["date"]) == {DATE + dt.timedelta(days=20)}


def test_earnings_of_an_adjusting_source_are_divided_alike(root: Path) -> None:
    adjusting = OtherFuture(DATE, 7, FUTURE.prices, ("synthetic",))
    real, other = (lake.asof(NOW) for lake in (Lake(root), ScrambledLake(root, adjusting)))
    splits = other.actions().join(real.actions(), on=["symbol", "date", "kind", "source"], how="anti")
    keys = ["symbol", "period_end", "known_at", "source"]
    before, after = (known(view.earnings(vintages=True)) for view in (real, other))
    both = before.join(after, on=keys, suffix="_other").join(splits["symbol", "ratio"], on="symbol", how="left")
    both = both.with_columns(pl.col("ratio").fill_null(1.0))
    assert both["ratio"].n_unique() == 3
    for name in EARNINGS:
        assert (both[name] == both[f"{name}_other"] * both["ratio"]).drop_nulls().all()
    assert (both["surprise_pct"].drop_nulls() == both["surprise_pct_other"].drop_nulls()).all()


def test_it_does_not_matter_who_reads(root: Path) -> None:
    view = ScrambledLake(root, FUTURE).asof(NOW)
    some = sorted(view.bars()["symbol"].unique())[3:6]
    assert view.bars(some).equals(view.bars().filter(pl.col("symbol").is_in(some)))
    assert view.actions(some).equals(view.actions().filter(pl.col("symbol").is_in(some)))
    assert not view.bars().equals(ScrambledLake(root, OtherFuture.of(DATE, 8, "synthetic")).asof(NOW).bars())


def test_an_end_of_membership_to_come_is_not_known() -> None:
    spells = pl.DataFrame(
        {
            "index": ["sp500"] * 2, "symbol": ["A", "B"], "from": [dt.date(2000, 1, 3)] * 2,
            "to": [dt.date(2005, 1, 3), dt.date(2008, 1, 3)], "source": ["x"] * 2,
            "known_at": [dt.datetime(2000, 1, 3, tzinfo=dt.UTC)] * 2,
        }
    )  # fmt: skip
    bars = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date})
    assert FUTURE.rows("members", spells.lazy(), bars.lazy()).collect()["to"].to_list() == [dt.date(2005, 1, 3), None]


def test_every_table_of_a_panel_can_be_altered() -> None:
    from alfred.lake.tables import TABLES

    bars = pl.DataFrame(schema=TABLES["bars"].schema).lazy()
    for name in {*OTHERS, "bars", "filing_sections"} - {"filings"}:  # made of digests and their sections
        empty = pl.DataFrame(schema=TABLES[name].schema)
        assert FUTURE.rows(name, empty.lazy(), bars).collect().schema == empty.schema, name
