"""The ledger in the notes' terms, as compact columns that the page's script filters and draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from alfred.report.plot import Json

MOST = 100_000
"""Lines in the page, which would take minutes to open with those of thousands of names."""


@dataclass(frozen=True)
class LedgerSection:
    """Names of the portfolios that have lines, how many there are in all, and the latest of each, `shown` together."""

    portfolios: tuple[str, ...]
    lines: int
    shown: int
    payload: Json


def ledger_section(ledger: pl.DataFrame, portfolios: Sequence[str]) -> LedgerSection:
    """The lines in the portfolios' order, then by date as the backtest wrote them.

    Where there are more than `MOST`, the page holds an equal number of each portfolio's latest.
    Prices keep four decimals and readings six; repeated texts are numbered so that thousands of lines stay small.
    """
    there = ledger["portfolio"].unique().to_list()
    names = [name for name in portfolios if name in there] + sorted(set(there) - set(portfolios))
    place = {name: at for at, name in enumerate(names)}
    ordered = ledger.with_columns(pl.col("portfolio").replace_strict(place, return_dtype=pl.Int64).alias("place"))
    ordered = ordered.sort("place", "date", maintain_order=True)
    lines = ordered.height
    if lines > MOST:
        ordered = ordered.group_by("place", maintain_order=True).tail(MOST // len(names))
    actions, symbols = (ordered[column].unique().sort().to_list() for column in ("action", "symbol"))
    rounded = {"price": 4, "reading": 6, "profit": 4}
    columns: Json = {
        "portfolio": ordered["place"].to_list(),
        "date": ordered["date"].dt.to_string().to_list(),
        "action": _numbered(ordered["action"].to_list(), actions),
        "symbol": _numbered(ordered["symbol"].to_list(), symbols),
    }
    for column, digits in rounded.items():
        columns[column] = [None if v is None else round(v, digits) for v in ordered[column].cast(pl.Float64)]
    return LedgerSection(
        tuple(names),
        lines,
        ordered.height,
        {"portfolios": names, "actions": actions, "symbols": symbols, "columns": columns},
    )


def _numbered(values: list[str], known: list[str]) -> list[int]:
    place = {value: at for at, value in enumerate(known)}
    return [place[value] for value in values]
