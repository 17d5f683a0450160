"""Rows of the table `facts`: from the real filings beside the repository, and written down by hand."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from alfred.core.calendar import close_instants, decision_dates
from alfred.lake.known import known_next_sessions
from alfred.lake.tables import TABLES
from alfred.panel.facts import FactHistory

SHARED = Path(__file__).parents[3] / "shared" / "data"
FILINGS = SHARED / "filings_2015_2017.parquet"
LEVELS = {
    "assets": "Assets", "cur_assets": "CurrentAssets", "cur_liab": "CurrentLiabilities", "cash": "Cash",
    "equity": "Equity",
}  # fmt: skip
INCOME = {
    "revenues": "Revenue", "op_income": "OperatingIncome", "net_income": "NetIncome", "eps_diluted": "EPSDiluted",
}  # fmt: skip
CASH = {"cash_flow_op": "OperatingCashFlow", "cash_flow_inv": "InvestingCashFlow"}

Row = tuple[str, str, str, str, str, float] | tuple[str, str, str, str, str, float, str]


def of_filings(filings: pl.DataFrame) -> pl.DataFrame:
    """Facts of the real filings: income by quarter and year, cash flows from the fiscal year's begin.

    The cash flow of a first quarter is called a quarter, as the reader of the SEC's documents calls it. An amendment
    filed on the day of the original comes last.
    """
    annual = pl.col("period_focus") == "FY"
    income = pl.when(annual).then(pl.lit("year")).otherwise(pl.lit("quarter"))
    first = pl.col("period_focus") == "Q1"
    cash = pl.when(annual).then(pl.lit("year")).when(first).then(pl.lit("quarter")).otherwise(pl.lit("ytd"))
    kinds = [(LEVELS, pl.lit("instant")), (INCOME, income), (CASH, cash)]
    known = filings.sort("symbol", "known_date", "amend").with_columns(
        known_at=known_next_sessions(filings.sort("symbol", "known_date", "amend")["known_date"])
    )
    parts = [
        known.select(
            "symbol", "known_at", period_end="end_date", concept=pl.lit(concept), period_kind=kind,
            source=pl.lit("filings"), value=column, form="doc_type",
        )
        for names, kind in kinds
        for column, concept in names.items()
    ]  # fmt: skip
    missing = {name: pl.lit(None, kind).alias(name) for name, kind in TABLES["facts"].schema.items()}
    rows = pl.concat(parts).drop_nulls("value")
    return rows.select(missing[name] if name not in rows.columns else name for name in missing)


def facts(*rows: Row) -> pl.DataFrame:
    """Rows (symbol, concept, kind, end, filed, value, form), usable from the session after `filed`; form 10-Q, or 10-K
    for a year, where none is given."""
    filed = pl.Series([dt.date.fromisoformat(row[4]) for row in rows], dtype=pl.Date)
    return pl.DataFrame(
        {
            "symbol": [row[0] for row in rows],
            "concept": [row[1] for row in rows],
            "period_end": [dt.date.fromisoformat(row[3]) for row in rows],
            "period_kind": [row[2] for row in rows],
            "known_at": known_next_sessions(filed),
            "source": "hand",
            "value": [float(row[5]) for row in rows],
            "unit": "USD",
            "form": [row[6] if len(row) == 7 else ("10-K" if row[2] == "year" else "10-Q") for row in rows],
            "accession": None,
        },
        schema=TABLES["facts"].schema,
    )


def history(
    rows: pl.DataFrame, first: str, last: str, symbols: tuple[str, ...] = ("A",), fill_days: int = 400
) -> FactHistory:
    """On all decision dates between two days."""
    dates = decision_dates(np.datetime64(first), np.datetime64(last))
    deadlines = close_instants(dates).astype("datetime64[us]").astype(np.int64)
    return FactHistory.of(rows, symbols=symbols, deadlines=deadlines, dates=dates, fill_days=fill_days)
