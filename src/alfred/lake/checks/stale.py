"""Quotes that stand still, and quotes that leave for a moment and come back."""

import math

import polars as pl

from alfred.lake.quality import Check, QualitySettings, previous, sentence


def flat_quotes(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """One close over many sessions. The first row of a run stays, for there was a trade; the rows after it go.

    A row is dead where the close is that of the row before and nobody traded: volume zero, or the very volume of the
    row before or after. Three runs are found: dead rows in a row; any rows with one close, far longer; and rows
    without any volume, longer still. Where a run itself began with an unexplained jump, there was no trade at its
    level and its first row goes too (a source that fills a dead symbol with some old quote).
    """
    same = (pl.col("close") == previous("close")).fill_null(value=False)
    alike = (pl.col("volume") == previous("volume")) | (
        (pl.col("volume") == pl.col("volume").shift(-1)) & ~pl.col("first").shift(-1) & same.shift(-1)
    )
    dead = same & ((pl.col("volume") == 0) | alike).fill_null(value=False)
    frame = bars.select(
        "row", "symbol", "date", "close", "first", "volume", same.alias("same"), dead.alias("dead"),
        (pl.col("close") / previous("close")).log().abs().alias("move"),
    ).with_columns(
        (~pl.col("same")).cum_sum().alias("run"), (~pl.col("dead")).cum_sum().alias("streak")
    )  # fmt: skip
    # Every run begins with a row that is not `same`, every streak with one that is not `dead`: the head, which stays.
    long = pl.concat(
        [
            _members(frame, "streak", settings.flat_dead_sessions, "without a trade", unknown=None),
            _members(frame, "run", settings.flat_sessions, "whatever the volume", unknown=False),
            _members(frame, "run", settings.flat_sessions_no_volume, "and no volume is given", unknown=True),
        ]
    )
    jumped = frame.filter(
        pl.col("move") > math.log(settings.jump_factor), pl.col("row").is_in(long["head"].unique().implode())
    )
    heads = jumped.select("row", sentence("the close jumped here and then stood still: a stale quote, not a trade"))
    return pl.concat([long.select("row", "reason").unique("row", keep="first", maintain_order=True), heads])


def _members(frame: pl.DataFrame, run: str, bound: int, how: str, unknown: bool | None) -> pl.DataFrame:
    """Rows of all runs of at least `bound` sessions: row, head, reason. `unknown`: only runs (not) without volume."""
    runs = frame.group_by(run).agg(
        pl.len(),
        pl.col("row").first().alias("head"),
        pl.col("date").first().alias("since"),
        pl.col("volume").is_null().all().alias("unknown"),
    )
    runs = runs.filter(pl.col("len") >= bound)
    if unknown is not None:
        runs = runs.filter(pl.col("unknown") == unknown)
    found = frame.join(runs, on=run).filter(pl.col("row") != pl.col("head"))
    text = sentence("close {} stands still since {} for {} sessions or more, " + how, "close", "since", bound)
    return found.select("row", "head", text)


def spike(bars: pl.DataFrame, actions: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:  # noqa: ARG001
    """A close that leaves by a large factor for a few sessions and comes back to where it was.

    Where the rows of the spike were traded and the row that it comes back to was not, that row is the wrong one.
    """
    far, near = math.log(settings.spike_factor), math.log(settings.spike_return_factor)
    rows = bars.select(
        "row", "symbol", "close", "volume", previous("close").alias("before"),
        pl.col("close").log().alias("level"), previous("close").log().alias("left"),
    )  # fmt: skip
    found = []
    for length in range(1, settings.spike_sessions + 1):
        after, last = pl.col("level").shift(-length), pl.col("level").shift(-length + 1)
        sign = (pl.col("level") - pl.col("left")).sign()
        hits = (
            ((pl.col("level") - pl.col("left")).abs() > far)
            & ((last - after) * sign > far)
            & ((after - pl.col("left")).abs() < near)
            & (pl.col("symbol").shift(-length) == pl.col("symbol"))
            & ~((pl.col("volume").shift(-length) == 0) & (pl.col("volume") > 0)).fill_null(value=False)
        ).fill_null(value=False)
        start = rows.select(hits.arg_true()).to_series()
        for step in range(length):
            at = rows[(start + step).to_list()]
            began = rows[start.to_list()]["before"]
            text = sentence("close {} left {} for {} session(s) and came back", "close", "began", length)
            found.append(at.with_columns(began.alias("began")).select("row", text))
    return pl.concat(found).unique("row", keep="first", maintain_order=True)


CHECKS = (
    Check(
        "flat-quotes",
        "One close over many sessions in which nobody traded.",
        "quarantine",
        "sequence",
        flat_quotes,
    ),
    Check("spike", "A close that leaves by a large factor and comes back.", "quarantine", "sequence", spike),
)
