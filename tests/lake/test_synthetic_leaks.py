"""Each planted defect is there when it is switched on, where the truth says, and nowhere when it is off."""

from typing import get_args

import numpy as np
import polars as pl
import pytest

from alfred.lake.known import known_at_close
from alfred.lake.synthetic.market import SyntheticMarket, generate
from alfred.lake.synthetic.settings import Leak, SyntheticSettings
from alfred.lake.tables import table

CLEAN = SyntheticSettings(
    seed=1,
    symbols=40,
    first_year=2000,
    years=10,
    delistings_per_year=0.06,
    splits_per_year=1.0,
    listed_later=0.5,
    articles_per_quarter=0.3,
    insider_trades_per_quarter=0.3,
)


@pytest.fixture(scope="module")
def clean() -> SyntheticMarket:
    return generate(CLEAN)


def with_leak(leak: Leak) -> SyntheticMarket:
    return generate(CLEAN.model_copy(update={"leaks": (leak,)}))


def flat_run(bars: pl.DataFrame) -> int:
    """Longest run of unchanged closes of any name."""
    rows = bars.sort("symbol", "date").select("symbol", (pl.col("close").diff().over("symbol") == 0).alias("same"))
    runs = rows.with_columns(pl.struct("symbol", "same").rle_id().alias("run")).filter("same").group_by("run").len()
    return int(runs["len"].max() or 0)


@pytest.mark.parametrize("leak", get_args(Leak))
def test_a_leak_changes_only_the_tables_it_names_and_they_still_fit(leak: Leak, clean: SyntheticMarket) -> None:
    leaky = with_leak(leak)
    (planted,) = leaky.truth.leaks
    assert planted.name == leak
    assert 1 <= planted.finding <= 22
    for name, rows in leaky.tables.items():
        table(name).conform(rows)
        if name in planted.tables:
            assert not rows.equals(clean.tables[name]), name
        elif leak != "reused_ticker":
            assert rows.equals(clean.tables[name]), name
    assert clean.truth.leaks == ()


def test_facts_at_period_end(clean: SyntheticMarket) -> None:
    def early(market: SyntheticMarket, name: str) -> float:
        rows = market.tables[name]
        return float((rows["known_at"] <= known_at_close(rows["period_end"])).mean())

    leaky = with_leak("facts_at_period_end")
    assert [early(clean, name) for name in ("facts", "earnings")] == [0, 0]
    assert early(leaky, "facts") > 0.9
    assert early(leaky, "earnings") == 1


def test_macro_filled_backwards(clean: SyntheticMarket) -> None:
    def late(market: SyntheticMarket) -> pl.DataFrame:
        return market.tables["series"].filter(pl.col("series") == "BTC=F").sort("date")

    before, after = late(clean), late(with_leak("macro_filled_backwards"))
    filled = after.filter(pl.col("date") < before["date"][0])
    assert len(filled) == len(after) - len(before) > 1000
    assert filled["value"].unique().to_list() == [before["value"][0]]


def test_zeros_for_missing(clean: SyntheticMarket) -> None:
    leaky = with_leak("zeros_for_missing")
    assert clean.tables["earnings"]["surprise"].null_count() == (leaky.tables["earnings"]["surprise"] == 0).sum() > 0
    assert leaky.tables["earnings"]["surprise"].null_count() == 0
    assert (clean.tables["facts"]["value"] == 0).sum() == 0
    zeros = leaky.tables["facts"].filter(pl.col("value") == 0)
    assert zeros["concept"].unique().to_list() == ["GrossProfit"]


def test_stale_prices(clean: SyntheticMarket) -> None:
    leaky = with_leak("stale_prices")
    (name,) = leaky.truth.leaks[0].symbols
    assert flat_run(clean.tables["bars"]) < 3
    assert flat_run(leaky.tables["bars"].filter(pl.col("symbol") == name)) == 249
    assert flat_run(leaky.tables["bars"].filter(pl.col("symbol") != name)) < 3


def test_prices_after_delisting(clean: SyntheticMarket) -> None:
    def after(market: SyntheticMarket) -> pl.DataFrame:
        gone = (
            market.tables["actions"]
            .filter(pl.col("kind") == "delisting")
            .select("symbol", pl.col("date").alias("left"))
        )
        return market.tables["bars"].join(gone, on="symbol").filter(pl.col("date") >= pl.col("left"))

    assert after(clean).is_empty()
    leaky = with_leak("prices_after_delisting")
    dead = after(leaky)
    assert len(dead) == 60
    assert tuple(dead["symbol"].unique()) == leaky.truth.leaks[0].symbols
    assert dead["close"].n_unique() == 1


def test_reused_ticker() -> None:
    leaky = with_leak("reused_ticker")
    (name,) = leaky.truth.leaks[0].symbols
    dates = leaky.tables["bars"].filter(pl.col("symbol") == name)["date"].sort()
    gaps = dates.diff().dt.total_days().drop_nulls()
    assert (gaps > 25).sum() == 1
    left = leaky.tables["actions"].filter((pl.col("symbol") == name) & (pl.col("kind") == "delisting"))["date"].min()
    assert dates.min() < left < dates.max()


def test_twin_ticker() -> None:
    leaky = with_leak("twin_ticker")
    one, two = (
        leaky.tables["bars"].filter(pl.col("symbol") == name).sort("date").drop("symbol")
        for name in leaky.truth.leaks[0].symbols
    )
    assert len(one) > 2000
    assert one.equals(two)


def test_unadjusted_split(clean: SyntheticMarket) -> None:
    leaky = with_leak("unadjusted_split")
    (name,) = leaky.truth.leaks[0].symbols
    before, after = (market.tables["bars"].filter(pl.col("symbol") == name).sort("date") for market in (clean, leaky))
    ratio = (after["close"] / before["close"]).to_numpy()
    split = clean.tables["actions"].filter(
        (pl.col("symbol") == name) & (pl.col("kind") == "split") & (pl.col("ratio") > 1)
    )
    last = split.sort("date").row(-1, named=True)
    np.testing.assert_allclose(ratio[(before["date"] < last["date"]).to_numpy()], last["ratio"])
    np.testing.assert_allclose(ratio[(before["date"] >= last["date"]).to_numpy()], 1.0)


def test_survivors_only(clean: SyntheticMarket) -> None:
    leaky = with_leak("survivors_only")
    gone = clean.tables["actions"].filter(pl.col("kind") == "delisting")["symbol"]
    assert len(gone) > 5
    for name in ("bars", "actions", "facts", "articles"):
        assert not leaky.tables[name]["symbol"].is_in(gone.to_list()).any()


def test_volume_knows_the_future(clean: SyntheticMarket) -> None:
    """The panel's Volume_diff_MA columns see the last volume beside the usual one; its log then tells the change."""

    def likeness(market: SyntheticMarket) -> float:
        bars = market.tables["bars"].sort("symbol", "date")
        usual = pl.col("volume").log() - pl.col("volume").log().rolling_mean(30).over("symbol")
        rows = market.truth.signals.drop_nulls("change").join(
            bars.select("symbol", pl.col("date").alias("as_of"), usual.alias("unusual")), on=["symbol", "as_of"]
        )
        return float(np.corrcoef(rows["unusual"], rows["change"])[0, 1])

    assert abs(likeness(clean)) < 0.15
    assert likeness(with_leak("volume_knows_the_future")) > 0.7
