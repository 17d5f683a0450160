"""The ledger and trade analysis of the notes, word for word, from what was decided and filled.

The ledger counts shares one at a time, before costs: prices are closes per share as quoted, a profit is the difference
of two of them. What the account earned is the engine's matter.
"""

from collections.abc import Sequence

import numpy as np

from alfred.backtest.contracts import LedgerEntry, Positions, TradeAnalysis
from alfred.backtest.engine import Rows
from alfred.core.contracts import Bars, Floats

_CREATE = {1: "BUY CREATE", -1: "SELL_SHORT CREATE"}
_HOLD = {1: "HOLD_LONG", -1: "HOLD_SHORT"}
_CLOSE = {1: "CLOSE_LONG", -1: "CLOSE_SHORT"}


def build_ledger(bars: Bars, positions: Positions, acted_on: Floats, rows: Rows) -> list[LedgerEntry]:
    """Lines of all fills: on each date closings, then openings, then holdings, each in the symbols' order.

    A reversal is a closing and an opening on the same date. A name without a quote at the fill is not opened; where it
    was held it is closed at its last close, as the account does. What is open after the last fill stays open.

    Args:
        bars: (T, S) prices.
        positions: (K, S) of the filled decisions.
        acted_on: (K, S) the readings behind them; NaN where there was none.
        rows: (K,) fill rows of `bars`.
    """
    entries: list[LedgerEntry] = []
    held = np.zeros(len(bars.symbols), dtype=np.int8)
    entered = np.zeros(len(bars.symbols))
    for row, wanted, readings in zip(rows.tolist(), positions, acted_on, strict=True):
        now = np.where(np.isnan(bars.total[row]), 0, wanted).astype(np.int8)
        date = str(bars.dates[row].astype("datetime64[D]"))
        for at in np.flatnonzero((held != 0) & (now != held)).tolist():
            price, side = _last_close(bars, row, at), int(held[at])
            profit = side * (price - float(entered[at]))
            entries.append(LedgerEntry(date, _CLOSE[side], bars.symbols[at], price, float(readings[at]), profit))
        for at in np.flatnonzero((now != 0) & (now != held)).tolist():
            entered[at] = price = _last_close(bars, row, at)
            entries.append(LedgerEntry(date, _CREATE[int(now[at])], bars.symbols[at], price, float(readings[at])))
        for at in np.flatnonzero((now != 0) & (now == held)).tolist():
            price = _last_close(bars, row, at)
            entries.append(LedgerEntry(date, _HOLD[int(now[at])], bars.symbols[at], price, float(readings[at])))
        held = now
    return entries


def analyse_trades(ledger: Sequence[LedgerEntry]) -> TradeAnalysis:
    """Pair openings with closings; percentages are of the entry price, all shares are 0 without completed trades."""
    opened: dict[str, LedgerEntry] = {}
    names: list[str] = []
    gains: list[float] = []
    for entry in ledger:
        if entry.action.endswith("CREATE"):
            opened[entry.symbol] = entry
        elif entry.profit is not None:
            entry_line = opened.pop(entry.symbol)
            names.append(f"{entry.symbol} {entry_line.date} to {entry.date}")
            gains.append(100.0 * entry.profit / entry_line.price)
    percent = np.array(gains)
    won = percent[percent > 0.0]
    best = int(percent.argmax()) if gains else None
    return TradeAnalysis(
        completed=len(gains),
        profitable=len(won),
        losing=int((percent < 0.0).sum()),
        open=len(opened),
        win_rate=len(won) / len(gains) if gains else 0.0,
        average_profit_pct=float(percent.mean()) if gains else 0.0,
        sum_of_trade_pct=float(percent.sum()),
        best_trade="" if best is None else names[best],
        best_trade_pct=0.0 if best is None else gains[best],
        best_trade_share=float(won.max() / won.sum()) if len(won) else 0.0,
    )


def average_hold_pct(bars: Bars, row: int) -> float:
    """The notes' basket metric: mean over names of the percentage from the close at `row` to the last close.

    Names without a quote at `row` are left out; 0 where none has one. One name can make all of it (finding 17), and
    no account earns it after its costs: compare with the benchmarks instead.
    """
    start = bars.close[row]
    quoted = np.flatnonzero(~np.isnan(start))
    ends = np.array([_last_close(bars, len(bars.dates) - 1, at) for at in quoted.tolist()])
    return float(100.0 * (ends / start[quoted] - 1.0).mean()) if len(quoted) else 0.0


def format_ledger(ledger: Sequence[LedgerEntry]) -> str:
    """The ledger as the notes print it, one line an entry, and a line "Asset: ZION" after openings and closings."""
    lines: list[str] = []
    for entry in ledger:
        holds = entry.action.startswith("HOLD")
        action = f"{entry.action} {entry.symbol}" if holds else entry.action
        profit = "" if entry.profit is None else f", Profit={entry.profit:.2f}"
        lines.append(f"{entry.date}, {action}, Price={entry.price:.2f}{profit}, Model Reading={entry.reading}")
        if not holds:
            lines.append(f"Asset: {entry.symbol}")
    return "\n".join(lines)


def format_trade_analysis(trades: TradeAnalysis) -> str:
    """The notes' trade analysis, then what its last line is not, and which trade makes it where one does."""
    lines = [
        "--- Trade Analysis ---",
        f"Total Completed Trades: {trades.completed}",
        f"Profitable Trades: {trades.profitable}",
        f"Losing Trades: {trades.losing}",
        f"Win Rate: {trades.win_rate:.2%}",
        f"Average Profit Percentage per Trade: {trades.average_profit_pct:.2f}%",
        f"Total Profit Percentage (sum of trade %): {trades.sum_of_trade_pct:.2f}%",
        "This sum is not a return: percentages of trades do not add up in one account, and their costs are not in it.",
    ]
    if trades.best_trade_share > 0.5:
        lines.append(
            f"One trade makes {trades.best_trade_share:.0%} of all gains: {trades.best_trade}, "
            f"{trades.best_trade_pct:+.2f}%. Check its prices before believing the rest."
        )
    if trades.open:
        lines.append(f"Still open and not counted: {trades.open}")
    return "\n".join(lines)


def format_basket_hold(average_pct: float) -> str:
    """The notes' basket metrics, then their defect."""
    return (
        "--- Basket Hold Metrics ---\n\n"
        "Equal-Weighted Buy and Hold Return (Entire Basket):\n"
        f"  Average Return: {average_pct:.2f}%\n"
        "This is an average of the names' returns before costs: one name can make all of it."
    )


def _last_close(bars: Bars, row: int, at: int) -> float:
    """The close at `row`, or the last one before it."""
    close = float(bars.close[row, at])
    if close == close:  # noqa: PLR0124 - NaN differs from itself
        return close
    before = bars.close[:row, at]
    return float(before[np.flatnonzero(~np.isnan(before))[-1]])
