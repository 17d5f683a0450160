"""The run's tables as the page reads them, and curves thinned without losing what is said about them."""

from pathlib import Path

import polars as pl

from alfred.core.errors import DataError
from alfred.experiments.record import load_frame

POINTS = 1_500
_DATES = ("as_of", "date")
_COLUMNS = {
    "quarters": ("analyst", "as_of", "rank_ic"),
    "curves": ("analyst", "seed", "fold", "epoch", "train_loss", "valid_loss", "best"),
    "accounts": ("portfolio", "date", "value", "drawdown"),
    "ledger": ("portfolio", "date", "action", "symbol", "price", "reading", "profit"),
}


def read(folder: Path, name: str) -> pl.DataFrame:
    """One of the run's tables, its dates as `pl.Date`.

    Raises:
        DataError: the table is absent, or lacks a column that the page draws.
    """
    frame = load_frame(folder, name)
    absent = [column for column in _COLUMNS[name] if column not in frame.columns]
    if absent:
        raise DataError(f"{name}.parquet of {folder} lacks {', '.join(absent)}; delete {folder} and run it again.")
    dates = [column for column in _DATES if column in frame.columns and frame.schema[column] != pl.Date]
    texts = [pl.col(c).str.slice(0, 10).str.to_date() for c in dates if frame.schema[c] == pl.String]
    instants = [pl.col(c).cast(pl.Date) for c in dates if frame.schema[c] != pl.String]
    return frame.with_columns(texts + instants)


def thin(account: pl.DataFrame, points: int = POINTS) -> pl.DataFrame:
    """Weekly sessions of one account, with every session that its statistics name.

    Kept beside the last session of each week (of every second, third, ... week where there are too many): the first
    and last session, the peak before the deepest drawdown, the deepest drawdown itself, the highest value, and the
    first session without a value above zero.

    Args:
        account: date, value, drawdown of one portfolio, ascending by date.
        points: most weekly points to keep.
    """
    rows = account.height
    if rows <= points:
        return account
    weeks = account["date"].dt.truncate("1w")
    last_of_week = (weeks != weeks.shift(-1)).fill_null(True).arg_true()
    stride = -(-len(last_of_week) // points)
    keep = set(last_of_week.to_list()[::stride]) | {0, rows - 1}
    value = account["value"].fill_nan(None)
    drawdown = account["drawdown"].fill_nan(None)
    trough, peak, ruin = drawdown.arg_min(), value.arg_max(), (value <= 0).arg_max()
    if trough is not None:
        before = value.head(trough + 1).arg_max()
        keep |= {trough} | ({before} if before is not None else set())
    keep |= {place for place in (peak, ruin) if place is not None}
    return account[sorted(keep)]
