"""What a single row shows by itself."""

import datetime as dt

import numpy as np
import polars as pl

from alfred.core.calendar import EXCHANGE, FIRST_SESSION, sessions_between
from alfred.lake.quality import Check, QualitySettings, delistings, sentence

HALF_A_CENT = 0.0051


def null_row(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A row without a close."""
    hits = bars.filter(pl.col("close").is_null(), pl.col("infinite") == "")
    return hits.select("row", sentence("the row has no close"))


def price_not_positive(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A price of zero or less. An open of exactly zero is a source's way to say that it has none, see `no-open`."""
    names = ("high", "low", "close", "adj_close")
    wrong = {name: pl.col(name) <= 0 for name in names} | {"open": pl.col("open") < 0}
    parts = [pl.when(at.fill_null(value=False)).then(sentence(f"{name} is {{}}", name)) for name, at in wrong.items()]
    hits = bars.filter(pl.any_horizontal(wrong.values()))
    text = pl.concat_str(parts, separator=", ", ignore_nulls=True)
    return hits.select("row", sentence("{}: prices are above zero", text))


def infinite_value(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """An infinite price or volume: the source divided by zero, and nothing in the row is to be trusted."""
    hits = bars.filter(pl.col("infinite") != "")
    return hits.select("row", sentence("not finite: {}", "infinite"))


def not_a_number(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """NaN, which is how many tools write that a value is missing. It is stored as null."""
    hits = bars.filter(pl.col("not_numbers") != "")
    return hits.select("row", sentence("NaN, taken as missing: {}", "not_numbers"))


def negative_volume(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A volume below zero."""
    return bars.filter(pl.col("volume") < 0).select("row", sentence("volume is {}: it is never below zero", "volume"))


def no_open(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """An open of exactly zero beside a good close, as sources write for days without an opening price."""
    hits = bars.filter((pl.col("open") == 0) & (pl.col("close") > 0))
    return hits.select("row", sentence("open is 0: the source has none"))


def high_below_low(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A high below the low, or a close outside them by more than rounding."""
    slack = pl.col("close") * settings.range_tolerance + HALF_A_CENT
    crossed = pl.col("high") < pl.col("low")
    outside = (pl.col("close") > pl.col("high") + slack) | (pl.col("close") < pl.col("low") - slack)
    hits = bars.filter(crossed.fill_null(value=False) | outside.fill_null(value=False))
    reason = (
        pl.when(crossed)
        .then(sentence("high {} is below low {}", "high", "low"))
        .otherwise(sentence("close {} lies outside low {} to high {}", "close", "low", "high"))
    )
    return hits.select("row", reason.alias("reason"))


def off_calendar(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A date on which the exchange didn't trade. The calendar begins in 1962; earlier dates can't be checked."""
    sessions = pl.Series(sessions_between(np.datetime64(FIRST_SESSION), np.datetime64("2200-01-01"))).cast(pl.Date)
    days = bars.select(pl.col("date").unique()).to_series()
    odd = days.filter(~days.is_in(sessions.implode()) & (days >= dt.date.fromisoformat(FIRST_SESSION)))
    hits = bars.filter(pl.col("date").is_in(odd.implode()))
    text = sentence(f"{{}} ({{}}) is no session of {EXCHANGE}", "date", pl.col("date").dt.strftime("%A"))
    return hits.select("row", text)


def after_delisting(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """A row later than the symbol's last delisting in `actions`.

    Where trading resumes after a long time without any, the ticker is another company's: its rows are kept, and
    `ticker-reuse` notes the first of them.
    """
    late = bars.join(delistings(actions), on="symbol").filter(pl.col("date") > pl.col("ended")).sort("symbol", "date")
    traded = pl.col("close") > 0
    before = pl.when(traded).then(pl.col("date")).shift(1).forward_fill().over("symbol")
    gap = (pl.col("date") - pl.max_horizontal("ended", before)).dt.total_days()
    resumes = (traded & (gap >= settings.reuse_days)).fill_null(value=False)
    hits = late.filter(resumes.cast(pl.Int8).cum_max().over("symbol") == 0)
    return hits.select("row", sentence("the symbol was delisted on {}", "ended"))


def no_volume(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A volume of exactly zero: nobody traded at this close. Absent volume is another thing, and no finding."""
    hits = bars.filter((pl.col("volume") == 0) & (pl.col("close") > 0))
    return hits.select("row", sentence("volume is 0: nobody traded at this close"))


CHECKS = (
    Check("null-row", "A row without a close.", "quarantine", "row", null_row),
    Check("price-not-positive", "A price that is not above zero.", "quarantine", "row", price_not_positive),
    Check("infinite-value", "A price or volume that is infinite.", "quarantine", "row", infinite_value),
    Check("not-a-number", "A price or volume that is NaN.", "warn", "row", not_a_number),
    Check("negative-volume", "A volume below zero.", "quarantine", "row", negative_volume),
    Check("no-open", "An open of exactly zero beside a good close.", "warn", "row", no_open),
    Check("high-below-low", "A high below the low, or a close outside them.", "quarantine", "row", high_below_low),
    Check("off-calendar", "A date on which the exchange didn't trade.", "quarantine", "row", off_calendar),
    Check("after-delisting", "A row after the symbol's delisting.", "quarantine", "row", after_delisting),
    Check("no-volume", "A volume of exactly zero.", "warn", "row", no_volume),
)
