"""Prices that stand still or jump without a reason, and results that one trade made."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few, many
from alfred.evaluation.audit._evidence import Evidence

STALE_SESSIONS = 20
JUMP, BEYOND_NEWS, SPLIT_TOLERANCE = 1.8, 5.0, 0.025
"""A move by less than the first is news; one by more than the second is none; in between it counts where it is a whole
factor within the third, as an unadjusted split is."""
REUSED_DAYS = 60
"""Quotes that begin again so long after a delisting are another company's."""
STALE_DATES, WILD_CHANGE = 3, 10.0
FEWEST_TRADES, WILD_TRADE_PCT = 5, 1000.0


def standing_still(evidence: Evidence) -> Iterator[Found]:
    """Runs of one close."""
    bars = _bars(evidence)
    new = (pl.col("close") != pl.col("close").shift(1)) | (pl.col("symbol") != pl.col("symbol").shift(1))
    runs = bars.with_columns(new.fill_null(value=True).cum_sum().alias("run")).group_by("run", maintain_order=True).agg(
        pl.col("symbol", "date", "close").first(), pl.col("date").last().alias("until"), pl.len()
    )  # fmt: skip
    long = runs.filter(pl.col("len") > STALE_SESSIONS).sort("len", descending=True)
    if len(long):
        first = long.row(0, named=True)
        names = long["symbol"].unique(maintain_order=True).to_list()
        what = (
            f"{many(len(long), 'run')} of more than {STALE_SESSIONS} unchanged closes, of {few(names)}; the longest: "
            f"{first['symbol']} stands at {first['close']:.6g} from {first['date']} to {first['until']}."
        )
        yield Found(what, "warning", symbols=tuple(names[:5]), dates=(str(first["date"]), str(first["until"])),
                    rows=int(long["len"].sum()), figures={"sessions": float(first["len"])})  # fmt: skip


def unexplained_jumps(evidence: Evidence) -> Iterator[Found]:
    """Moves overnight by the factor of a split, or beyond any news, that no rename or delisting explains.

    What moves in trading was traded at. A split explains nothing, for closes are to be adjusted for it. Where opens are
    not at hand, a move is from close to close.
    """
    own = pl.col("symbol") == pl.col("symbol").shift(1)
    bars = _bars(evidence)
    opened = pl.col("open") if "open" in bars.columns else pl.lit(None, pl.Float64)
    steps = bars.with_columns(
        pl.when(own).then((pl.col("close") / pl.col("close").shift(1)).log()).alias("move"),
        pl.when(own).then(pl.when(opened > 0).then((opened / pl.col("close").shift(1)).log())).alias("overnight"),
        pl.when(own).then(pl.col("date").shift(1)).alias("before"),
    ).with_columns(pl.coalesce("overnight", "move").alias("gap"))
    far = steps.filter(
        pl.col("move").abs() > math.log(JUMP), (pl.col("move") - pl.col("gap")).abs() < pl.col("move").abs() / 4
    )
    factor = pl.col("gap").abs().exp()
    like_a_split = (factor / factor.round() - 1).abs() < SPLIT_TOLERANCE
    far = far.filter(like_a_split | (factor > BEYOND_NEWS))
    if evidence.actions is not None and len(evidence.actions):
        kinds = evidence.actions.filter(pl.col("kind").is_in(["rename", "delisting"]))
        acted = far.join(kinds.select("symbol", on="date"), on="symbol").filter(
            pl.col("on") > pl.col("before"), pl.col("on") <= pl.col("date")
        )
        far = far.join(acted, on=["symbol", "date"], how="anti")
    if len(far):
        worst = far.sort(pl.col("gap").abs(), descending=True).row(0, named=True)
        names = far["symbol"].unique().sort().to_list()
        what = (
            f"{many(len(far), 'move')} overnight by a whole factor or beyond {BEYOND_NEWS:g} times that no rename or "
            f"delisting explains: {few(names)}; {worst['symbol']} on {worst['date']} by "
            f"{math.exp(worst['gap']):.3g} times."
        )
        yield Found(
            what,
            "warning",
            symbols=tuple(names[:5]),
            dates=(str(worst["date"]),),
            rows=len(far),
            figures={"factor": math.exp(worst["gap"])},
        )


def reused_tickers(evidence: Evidence) -> Iterator[Found]:
    """Quotes that begin again long after the ticker's delisting."""
    bars, actions = _bars(evidence), evidence.actions
    if actions is None:
        raise TooLittleError("needs actions")
    ends = actions.filter(pl.col("kind") == "delisting").group_by("symbol").agg(pl.col("date").min().alias("ended"))
    later = bars.join(ends, on="symbol").filter(
        (pl.col("date") - pl.col("ended")).dt.total_days() > 0,
    )
    first = later.group_by("symbol", maintain_order=True).agg(pl.col("date", "ended").first(), pl.len())
    again = first.filter((pl.col("date") - pl.col("ended")).dt.total_days() >= REUSED_DAYS).sort("symbol")
    if len(again):
        one, names = again.row(0, named=True), again["symbol"].to_list()
        what = (
            f"{many(len(names), 'ticker')} quoted again long after the delisting, by another company: {few(names)}; "
            f"{one['symbol']} ended on {one['ended']} and is quoted from {one['date']} on."
        )
        yield Found(what, "warning", symbols=tuple(names[:5]), dates=(str(one["ended"]), str(one["date"])),
                    rows=int(again["len"].sum()))  # fmt: skip


def stale_labels(evidence: Evidence) -> Iterator[Found]:
    """Changes of exactly 0 on several dates in a row, and changes that nobody ever made."""
    panel, label = evidence.panel, evidence.label
    if panel is None or label is None or label.relative is None:
        raise TooLittleError("the label is no relative change")
    still = label.relative == 0
    runs = still.copy()
    for step in range(1, STALE_DATES):
        runs[step:] &= still[:-step]
    runs[: STALE_DATES - 1] = False
    if runs.any():
        struck = np.flatnonzero(runs.any(axis=0))
        names = [panel.symbols[at] for at in struck]
        start = panel.dates[int(np.argmax(runs[:, struck[0]])) - STALE_DATES + 1]
        what = (
            f"{few(names)}: the price stands still on {STALE_DATES} or more dates, {names[0]} from {start} on: "
            "a quote that nobody trades at."
        )
        yield Found(what, "warning", symbols=tuple(names[:5]), dates=(str(start),), rows=int(runs.sum()))
    wild = label.relative > WILD_CHANGE
    if wild.any():
        date, symbol = np.unravel_index(int(np.nanargmax(label.relative)), label.relative.shape)
        names = [panel.symbols[at] for at in np.flatnonzero(wild.any(axis=0))]
        changes = many(int(wild.sum()), "change")
        what = (
            f"{changes} above {WILD_CHANGE:.0%}, of {few(names)}; {panel.symbols[symbol]} changes by "
            f"{label.relative[date, symbol]:+.0%} from {panel.dates[date]} on."
        )
        yield Found(what, "warning", symbols=tuple(names[:5]), dates=(str(panel.dates[date]),), rows=int(wild.sum()),
                    figures={"largest": float(label.relative[date, symbol])})  # fmt: skip


def one_trade(evidence: Evidence) -> Iterator[Found]:
    """Accounts of which one trade made most of the gains."""
    looked = 0
    for account in evidence.accounts or ():
        if account.trades_pct is None or not len(account.trades_pct):
            continue
        looked += 1
        gains = account.trades_pct[account.trades_pct > 0]
        best = int(np.argmax(account.trades_pct))
        share = float(gains.max() / gains.sum()) if len(gains) else 0.0
        size = float(account.trades_pct[best])
        if (share > 0.5 and len(account.trades_pct) >= FEWEST_TRADES) or size > WILD_TRADE_PCT:
            name = account.trades[best] if account.trades else "one trade"
            what = f"{account.name}: {name} gained {size:+,.0f}%, {share:.0%} of all gains; look at its prices."
            yield Found(what, "warning", rows=1, figures={"share": share, "trade_pct": size})
    if not looked:
        raise TooLittleError("no account lists its trades")


def _bars(evidence: Evidence) -> pl.DataFrame:
    if evidence.bars is None:
        raise TooLittleError("needs bars")
    return evidence.bars.filter(pl.col("close").is_not_null()).sort("symbol", "date")


CHECKS = (
    AuditCheck(
        "stale-prices", 9, "stale prices",
        "quarantine the quotes (`alfred data check`), bring the missing split or delisting, or leave the name out",
        (
            Probe(("bars",), "runs of unchanged closes", "warning", standing_still),
            Probe(("bars",), "jumps that no rename or delisting explains", "warning", unexplained_jumps),
            Probe(("bars", "actions"), "quotes long after a delisting", "warning", reused_tickers),
            Probe(("panel", "label"), "labels of 0 in a row, and changes beyond 1,000%", "warning", stale_labels),
            Probe(("accounts",), "what the best trade contributes", "warning", one_trade),
        ),
    ),
)  # fmt: skip
