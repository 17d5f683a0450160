"""Breaks in a symbol's story: the rows may be right, but what joins them is not a return that anyone earned."""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.lake.quality import WINDOW, Check, QualitySettings, delistings, previous, sentence

Positions = NDArray[np.int64]
Inside = NDArray[np.bool_]
Values = NDArray[np.float64]

FEWEST = 5
# A night may span a long weekend; over more days, much can have happened.
ONE_NIGHT_DAYS = 5


def _steps(bars: pl.DataFrame) -> pl.DataFrame:
    """Log moves of close, adj_close and of the open from the close before; days since the row before."""
    return bars.with_columns(
        previous("close").alias("close_before"),
        previous("date").alias("date_before"),
        (pl.col("close") / previous("close")).log().alias("move"),
        pl.when(pl.col("adj_close") > 0, previous("adj_close") > 0)
        .then((pl.col("adj_close") / previous("adj_close")).log())
        .alias("adjusted"),
        pl.when(pl.col("open") > 0).then((pl.col("open") / previous("close")).log()).alias("overnight"),
        (pl.col("date") - previous("date")).dt.total_days().alias("days"),
    )


def unexplained_jump(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """A close far from the one before, and neither adj_close nor an action explains it. It may be a true collapse."""
    bound = math.log(settings.jump_factor)
    far = _steps(bars).filter(pl.col("move").abs() > bound, pl.col("adjusted").fill_null(math.inf).abs() > bound)
    hits = far.join(_explained(far, actions, bound), on="row", how="anti")
    factor = pl.col("move").exp().round_sig_figs(4)
    text = sentence(
        "close {} is {} times the {} of {}, with no action that explains it",
        "close", factor, "close_before", "date_before",
    )  # fmt: skip
    return hits.select("row", text)


def _explained(far: pl.DataFrame, actions: pl.DataFrame, bound: float) -> pl.DataFrame:
    """Moves that happened on a delisting or split, or that a dividend's amount accounts for."""
    near = far.join(actions.rename({"date": "on"}), on="symbol").filter(
        pl.col("on") > pl.col("date_before"), pl.col("on") <= pl.col("date")
    )
    paid = ((pl.col("close") + pl.col("amount")) / pl.col("close_before")).log().abs() <= bound
    known = pl.col("kind").is_in(["delisting", "split", "rename"]) | paid.fill_null(value=False)
    return near.filter(known).select("row")


def basis_change(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """A split, spin-off or other action that the closes before it don't carry. Three kinds of evidence, in this order:

    - close moves like a split that `actions` has, though closes are to be split-adjusted;
    - close and adj_close part by more than an ordinary dividend;
    - the price opens at another level, many times its usual daily move, and stays there all day, on a volume that
      news of this size never has.
    """
    steps = _steps(bars)
    wide, part = math.log(settings.gap_factor), math.log(settings.basis_factor)
    splits = actions.filter(pl.col("kind") == "split", pl.col("ratio") > 0).select("symbol", "date", "ratio")
    applied = steps.join(splits, on=["symbol", "date"]).filter(
        pl.col("ratio").log().abs() > wide, (pl.col("move") + pl.col("ratio").log()).abs() < wide / 2
    )
    parted = steps.filter((pl.col("move") - pl.col("adjusted")).abs() > part)
    quiet = _quiet_gaps(steps, pl.col("move").abs() > wide, settings.gap_moves, settings.gap_volume_ratio)
    factor = pl.col("move").exp().round_sig_figs(4)
    found = pl.concat(
        [
            applied.select(
                "row", sentence("close moved {} times on a split of {}: not applied before", factor, "ratio")
            ),
            parted.select(
                "row",
                sentence(
                    "close moved {} times, adj_close {} times: an action that only one of them carries",
                    factor, pl.col("adjusted").exp().round_sig_figs(4),
                ),
            ),
            quiet.select(
                "row",
                sentence("close moved {} times overnight on ordinary volume: an action not in the prices", factor),
            ),
        ]
    )  # fmt: skip
    return found.unique("row", keep="first", maintain_order=True)


def _quiet_gaps(steps: pl.DataFrame, wide: pl.Expr, moves: float, volumes: float) -> pl.DataFrame:
    """Rows with a large move overnight, little of it undone or added by day, without the volume that news brings."""
    intraday = (pl.col("move") - pl.col("overnight")).abs()
    likely = steps.with_row_index("at").filter(
        wide, intraday < pl.col("move").abs() / 4, pl.col("volume") > 0, pl.col("days") <= ONE_NIGHT_DAYS
    )
    if likely.is_empty():
        return likely
    # Only candidates look at their neighbours: ten rows either side of the same symbol, without the row itself. Volume
    # is compared with the calmer side: news keeps it high for days, and a split changes it for good.
    before = _around(steps, likely, np.arange(-WINDOW, 0))
    after = _around(steps, likely, np.arange(1, WINDOW + 1))
    usual_volume = np.fmin(_median(steps, "volume", *before), _median(steps, "volume", *after))
    both = tuple(np.concatenate(sides, axis=1) for sides in zip(before, after, strict=True))
    usual_move = _median(steps, "move", *both)
    size = likely["move"].abs().to_numpy()
    quiet = (likely["volume"].to_numpy() <= volumes * usual_volume) & (size >= moves * usual_move)
    return likely.filter(pl.Series(quiet, dtype=pl.Boolean))


def _around(steps: pl.DataFrame, likely: pl.DataFrame, offsets: Positions) -> tuple[Positions, Inside]:
    """Positions beside each candidate, shape (candidates, offsets), and whether they are rows of its symbol."""
    at = likely["at"].to_numpy().astype(np.int64)[:, None]
    place = at + offsets
    inside = (place >= 0) & (place < len(steps))
    place = np.clip(place, 0, len(steps) - 1)
    company = steps["first"].cum_sum().to_numpy()
    return place, inside & (company[place] == company[at])


def _median(steps: pl.DataFrame, column: str, place: Positions, inside: Inside) -> Values:
    """Median a candidate over the rows beside it that are its symbol's and known; NaN where fewer than five are."""
    values = np.abs(steps[column].to_numpy())[place]
    shown = np.ma.masked_array(values, ~inside | ~np.isfinite(values))
    middle: Values = np.ma.median(shown, axis=1).filled(np.nan)  # type: ignore[no-untyped-call]
    return np.where(shown.count(axis=1) >= FEWEST, middle, np.nan)


def ticker_reuse(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """A long time without trades, then another price level or a delisting between: perhaps another company."""
    steps = _steps(bars)
    ended = delistings(actions)
    resumed = steps.join(ended, on="symbol").filter(
        pl.col("date_before").is_null() | (pl.col("date_before") <= pl.col("ended")),
        (pl.col("date") - pl.col("ended")).dt.total_days() >= settings.reuse_days,
    )
    other = resumed.select("row", sentence("trading resumes long after the delisting on {}: another company", "ended"))
    hits = steps.join(other, on="row", how="anti").filter(
        pl.col("days") >= settings.reuse_days, pl.col("move").abs() > math.log(settings.reuse_factor)
    )
    text = sentence(
        "after {} days without a trade the close is {} instead of {}: perhaps another company",
        "days", "close", "close_before",
    )  # fmt: skip
    return pl.concat([hits.select("row", text), other])


CHECKS = (
    Check("unexplained-jump", "A close far from the one before, unexplained.", "warn", "story", unexplained_jump),
    Check("basis-change", "An action that the prices before it don't carry.", "warn", "story", basis_change),
    Check(
        "ticker-reuse", "A long gap, then another price level, or one after a delisting.", "warn", "story", ticker_reuse
    ),
)
