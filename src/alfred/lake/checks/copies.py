"""Several rows for one symbol and date. The table holds one: the copy with a usable close and the larger volume."""

import polars as pl

from alfred.lake.quality import VALUES, Check, QualitySettings, sentence


def _compared(bars: pl.DataFrame) -> pl.DataFrame:
    """The rows beside the kept one, each with whether it has the same values."""
    others = bars.filter(pl.col("copy") > 0)
    kept = bars.filter(pl.col("copy") == 0).join(others.select("symbol", "date"), on=["symbol", "date"], how="semi")
    both = others.join(kept, on=["symbol", "date"], suffix="_kept")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_kept")) for name in VALUES)
    return both.with_columns(same.alias("same"))


def repeated_row(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """The same row again: harmless, dropped and counted."""
    again = _compared(bars).filter("same")
    return (
        again.group_by("symbol", "date")
        .agg(pl.col("row").min(), pl.len())
        .select("row", sentence("the same row came {} times; one was kept", pl.col("len") + 1))
    )


def duplicate_date(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """Another row for the same date with other values: the copy with less volume is refused."""
    return (
        _compared(bars)
        .filter(~pl.col("same"))
        .select(
            "row",
            sentence(
                "another row of this date was kept: close {}, volume {} against {}, {} here",
                *[pl.col(name).cast(pl.String).fill_null("none") for name in ("close_kept", "volume_kept")],
                *[pl.col(name).cast(pl.String).fill_null("none") for name in ("close", "volume")],
            ),
        )
    )


CHECKS = (
    Check("repeated-row", "The same row came more than once; one is kept.", "warn", "copy", repeated_row),
    Check(
        "duplicate-date",
        "Rows of one date with different values; kept is the one with the larger volume.",
        "quarantine",
        "copy",
        duplicate_date,
    ),
)
