"""Reads price tables whose columns, dates and numbers are written in any of the usual ways. Not a provider."""

import gzip
import io
import re
from collections.abc import Iterable

import polars as pl

from alfred.lake.contracts import Rejected

VALUES = ("open", "high", "low", "close", "adj_close", "volume")
SCHEMA = {"symbol": pl.String(), "date": pl.Date(), **{name: pl.Float64() for name in VALUES}}
# Spellings without case, spaces and signs.
SPELLINGS = {
    "date": ("date", "timestamp", "datetime", "day", "time"),
    "symbol": ("symbol", "ticker"),
    "open": ("open", "1open"),
    "high": ("high", "2high"),
    "low": ("low", "3low"),
    "close": ("close", "closelast", "4close"),
    "adj_close": ("adjclose", "adjustedclose", "closeadj", "closeadjusted", "adjclosing", "5adjustedclose"),
    "volume": ("volume", "vol", "6volume", "5volume"),
}
# A file that lost its header: the order in which Yahoo Finance writes, with and without adjusted close.
HEADERLESS = {
    7: ("date", "open", "high", "low", "close", "adj_close", "volume"),
    6: ("date", "open", "high", "low", "close", "volume"),
}
ROW = re.compile(r'^"?(\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}|\d{8})')
NOTHING = ("", "null", "nan", "na", "n/a", "none", "nil", "-", ".")
SHOWN = 500

Read = tuple[pl.DataFrame, list[Rejected]]


def bars_of_text(data: bytes, where: str, symbol: str) -> Read:
    """Bars of a CSV file.

    Args:
        data: its content, gzipped or not.
        where: what the user would call it, for `Rejected`.
        symbol: of all rows, where there is no symbol column.

    Returns:
        Rows with symbol, date and the six values, unsorted and unchecked; and what could not be read.
    """
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    first = data[: data.find(b"\n") if b"\n" in data else len(data)].decode("utf-8-sig", "replace")
    plain = not any(sign in data for sign in (b'"', b"{", b"<"))
    if plain and _names(first.split(_separator(first))) is not None:
        try:
            table = pl.read_csv(data, separator=_separator(first), infer_schema=False, quote_char=None)
        except pl.exceptions.PolarsError:
            pass  # rows with too many fields: read line by line, so that only they are refused
        else:
            return _read(table, where, symbol, pl.int_range(2, len(table) + 2, dtype=pl.Int64, eager=True))
    return _by_line(data.decode("utf-8-sig", "replace").splitlines(), where, symbol)


def bars_of_frame(table: pl.DataFrame, where: str, symbol: str) -> Read:
    """Bars of a table whose columns may have types already; arguments and result as of `bars_of_text`."""
    if not table.width:
        return pl.DataFrame(schema=SCHEMA), []
    return _read(table, where, symbol, pl.int_range(1, len(table) + 1, dtype=pl.Int64, eager=True))


def _by_line(lines: list[str], where: str, symbol: str) -> Read:
    """A file with lines that are no rows: the header is the first line that could be one, rows look like rows."""
    header, separator, start = None, ",", -1
    for at, line in enumerate(lines):
        header, separator = _names(line.split(_separator(line))), _separator(line)
        if header is not None:
            start = at
            break
    fields = len(lines[start].split(separator)) if header is not None else 0
    good, bad = [], []
    for at, line in enumerate(lines):
        if at == start or not line.strip():
            continue
        count = line.count(separator) + 1
        looks = bool(ROW.match(line)) if header is None else at > start and _as_many(line, count, fields)
        if looks and (header is not None or count in HEADERLESS):
            good.append(at)
        else:
            bad.append(at)
    rejected = _blocks(lines, bad, where)
    if not good:
        return pl.DataFrame(schema=SCHEMA), rejected or [Rejected(where, "the file has no rows of prices.", "")]
    names = (
        _unique(lines[start].split(separator))
        if header is not None
        else list(HEADERLESS[lines[good[0]].count(",") + 1])
    )
    same = [at for at in good if header is not None or lines[at].count(",") + 1 == len(names)]
    rejected += _blocks(lines, sorted(set(good) - set(same)), where)
    text = "\n".join(lines[at] for at in same)
    table = pl.read_csv(
        io.BytesIO(text.encode()),
        separator=separator,
        has_header=False,
        new_columns=names,
        infer_schema=False,
        truncate_ragged_lines=True,
    )
    if len(table) != len(same):
        raise pl.exceptions.ComputeError("quotation marks that open and never close")
    rows, unread = _read(table, where, symbol, pl.Series(same, dtype=pl.Int64) + 1)
    return rows, rejected + unread


def _as_many(line: str, count: int, fields: int) -> bool:
    return count == fields or ('"' in line and count > fields and bool(ROW.match(line)))


def _unique(names: Iterable[str]) -> list[str]:
    return [f"{at} {name}" if not name.strip() else name for at, name in enumerate(names)]


def _separator(line: str) -> str:
    return max((",", ";", "\t"), key=line.count)


def _names(header: Iterable[str]) -> dict[str, str] | None:
    """Our name to theirs; None where there is no date or no close."""
    found: dict[str, str] = {}
    theirs = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in header}
    for ours, spellings in SPELLINGS.items():
        for spelling in spellings:
            match = [name for name, plain in theirs.items() if plain == spelling]
            if match:
                found[ours] = match[0]
                break
    if "date" in found and "close" not in found and "adj_close" in found:
        found["close"] = found["adj_close"]
    return found if {"date", "close"} <= set(found) else None


def _read(table: pl.DataFrame, where: str, symbol: str, lines: pl.Series) -> Read:
    """Dates and numbers of recognised columns; rows with one that can't be read are refused, null is kept as null."""
    names = _names(table.columns)
    if names is None:
        reason = "a date and a close were expected among the columns."
        return pl.DataFrame(schema=SCHEMA), [Rejected(where, reason, ", ".join(table.columns)[:SHOWN])]
    raw = table.select(pl.col(theirs).alias(ours) for ours, theirs in names.items())
    date = _dates(raw["date"])
    numbers = {name: _numbers(raw[name]) for name in VALUES if name in raw.columns}
    named = pl.Series("symbol", [symbol]).new_from_index(0, len(raw))
    if "symbol" in raw.columns:
        named = raw["symbol"].cast(pl.String).str.strip_chars().str.to_uppercase()
    unread = {"date": date.is_null(), "symbol": named.is_null() | (named == "")}
    unread |= {name: values.is_null() & ~_nothing(raw[name]) for name, values in numbers.items()}
    rows = pl.DataFrame({"symbol": named, "date": date, **numbers})
    rows = rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items()
    )
    refused = pl.DataFrame(unread)
    wrong = refused.select(pl.any_horizontal(pl.all())).to_series()
    if not wrong.any():
        return rows, []
    rejected = []
    for at in wrong.arg_true():
        column = next(name for name in refused.columns if refused[name][at])
        text = ",".join("" if value is None else str(value) for value in table.row(at))
        rejected.append(Rejected(f"{where}:{lines[at]}", f"the {column} can't be read.", text[:SHOWN]))
    return rows.filter(~wrong), rejected


def _nothing(values: pl.Series) -> pl.Series:
    if values.dtype != pl.String:
        return values.is_null() | (values.is_nan() if values.dtype.is_float() else False)
    return values.is_null() | values.str.strip_chars().str.to_lowercase().is_in(NOTHING)


def _numbers(values: pl.Series) -> pl.Series:
    """Float64; null where there is nothing, or nothing that is a finite number."""
    if values.dtype == pl.String:
        plain = values.cast(pl.Float64, strict=False)
        if plain.null_count() > values.null_count():
            bare = values.str.strip_chars(" $").str.replace_all(",", "", literal=True)
            plain = bare.cast(pl.Float64, strict=False)
        values = plain
    else:
        values = values.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite(), None)


def _dates(values: pl.Series) -> pl.Series:
    """Dates of typed columns, ISO text with or without a time, YYYYMMDD, epoch seconds, or month/day/year.

    With slashes the file itself must tell whether the month or the day comes first: some number above 12 does.
    Where none does, no date of the file can be read.
    """
    if values.dtype == pl.Date():
        return values
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.date()
    text = values.cast(pl.String).str.strip_chars(' "')
    iso = text.str.head(10).str.replace_all("/", "-", literal=True).str.to_date("%Y-%m-%d", strict=False)
    if not iso.null_count():
        return iso
    compact = text.str.to_date("%Y%m%d", strict=False).set(text.str.len_chars() != 8, None)
    seconds = text.cast(pl.Int64, strict=False).set(~text.str.len_chars().is_between(9, 10), None)
    epoch = pl.from_epoch(seconds, time_unit="s").dt.date()
    parts = text.str.extract_groups(r"^(?<one>\d{1,2})/(?<two>\d{1,2})/\d{4}$").struct.unnest().cast(pl.Int64)
    day_first = bool((parts["one"] > 12).any())
    month_first = bool((parts["two"] > 12).any())
    candidates = [iso, compact, epoch]
    if day_first != month_first:
        candidates.append(text.str.to_date("%d/%m/%Y" if day_first else "%m/%d/%Y", strict=False))
    return pl.select(pl.coalesce(candidates)).to_series()


def _blocks(lines: list[str], bad: list[int], where: str) -> list[Rejected]:
    """Consecutive lines that are no rows, as one piece each; empty lines don't part them."""
    blocks: list[list[int]] = []
    for at in bad:
        if blocks and not any(line.strip() for line in lines[blocks[-1][-1] + 1 : at]):
            blocks[-1].append(at)
        else:
            blocks.append([at])
    rejected = []
    for block in blocks:
        text = "\n".join(lines[block[0] : block[-1] + 1])[:SHOWN]
        place = f"{where}:{block[0] + 1}" + (f"-{block[-1] + 1}" if len(block) > 1 else "")
        rejected.append(Rejected(place, "rows of prices were expected.", text))
    return rejected
