"""Reads price tables whose columns, dates and numbers are written in any of the usual ways. Not a provider."""

import datetime as dt
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
FIRST_YEAR = 1900
LARGEST_BYTES = 2**31
"""Of an unpacked file: a few million bytes can be packed so that they fill any memory."""
# Either 1.234 or 1234 to someone.
AMBIGUOUS = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$"
EXPONENT = r"(?:[eE][+-]?\d+)?"
UNDECIDED = "the file doesn't tell whether its commas and points are decimal signs or part thousands."
CONTRADICTORY = "the file writes decimals both with commas and with points."

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
        data = _unpacked(data)
    first = data[: data.find(b"\n") if b"\n" in data else len(data)].decode("utf-8-sig", "replace")
    plain = not any(sign in data for sign in (b'"', b"{", b"<"))
    if plain and _names(first.split(_separator(first))) is not None:
        try:
            table = pl.read_csv(data, separator=_separator(first), infer_schema=False, quote_char=None)
        except pl.exceptions.PolarsError:
            pass  # rows with too many fields: read line by line, so that only they are refused
        else:
            lines = pl.int_range(2, len(table) + 2, dtype=pl.Int64, eager=True)
            return _read(table, where, symbol, lines, _separator(first))
    return _by_line(data.decode("utf-8-sig", "replace").splitlines(), where, symbol)


def _unpacked(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        text = file.read(LARGEST_BYTES + 1)
    if len(text) > LARGEST_BYTES:
        raise gzip.BadGzipFile(f"it unpacks to more than {LARGEST_BYTES:,} bytes; part it into several files")
    return text


def bars_of_frame(table: pl.DataFrame, where: str, symbol: str) -> Read:
    """Bars of a table whose columns may have types already; arguments and result as of `bars_of_text`."""
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
    if header is None:
        # Decimal commas may outnumber what separates the fields; the sign after the date does separate.
        signs = (re.search("[,;\t]", line) for line in lines if ROW.match(line))
        separator = next((sign[0] for sign in signs if sign), ",")
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
    whose = "" if header is not None and "symbol" in header else symbol
    rejected = _blocks(lines, bad, where, whose)
    if not good:
        return pl.DataFrame(schema=SCHEMA), rejected or [_empty(where, lines[start] if header else "", whose)]
    names = (
        _unique(lines[start].split(separator))
        if header is not None
        else list(HEADERLESS[lines[good[0]].count(separator) + 1])
    )
    same = [at for at in good if header is not None or lines[at].count(separator) + 1 == len(names)]
    rejected += _blocks(lines, sorted(set(good) - set(same)), where, whose)
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
    rows, unread = _read(table, where, symbol, pl.Series(same, dtype=pl.Int64) + 1, separator)
    return rows, rejected + unread


def _as_many(line: str, count: int, fields: int) -> bool:
    return count == fields or ('"' in line and count > fields and bool(ROW.match(line)))


def _empty(where: str, header: str, symbol: str) -> Rejected:
    return Rejected(where, "the file has no rows of prices.", header[:SHOWN], symbol)


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


def _read(table: pl.DataFrame, where: str, symbol: str, lines: pl.Series, separator: str = "") -> Read:
    """Dates and numbers of recognised columns; rows with one that can't be read are refused, null is kept as null."""
    names = _names(table.columns)
    if names is None:
        reason = "a date and a close were expected among the columns."
        return pl.DataFrame(schema=SCHEMA), [Rejected(where, reason, ", ".join(table.columns)[:SHOWN], symbol)]
    if table.is_empty():
        whose = "" if "symbol" in names else symbol
        return pl.DataFrame(schema=SCHEMA), [_empty(where, ", ".join(table.columns), whose)]
    raw = table.select(pl.col(theirs).alias(ours) for ours, theirs in names.items())
    named = pl.Series("symbol", [symbol]).new_from_index(0, len(raw))
    if "symbol" in raw.columns:
        named = raw["symbol"].cast(pl.String).str.strip_chars().str.to_uppercase()
    date = _dates(raw["date"])
    latest = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).year
    # The parser takes 13/2/20 for the year 13.
    strange = ~date.dt.year().is_between(FIRST_YEAR, latest)
    short = _short_year(raw["date"]) if strange.any() or date.null_count() else pl.repeat(False, len(raw), eager=True)
    numbers, unsafe, why = _numbers(raw.select(name for name in VALUES if name in raw.columns), separator)
    refused = {
        "the date's year doesn't have four digits.": short,
        f"the date's year is not between {FIRST_YEAR} and {latest}.": strange.fill_null(value=False),
        "the date can't be read.": date.is_null(),
        "the symbol can't be read.": named.is_null() | (named == ""),
        why: unsafe,
    }
    refused |= {
        f"the {name} can't be read.": values.is_null() & ~_nothing(raw[name]) for name, values in numbers.items()
    }
    rows = pl.DataFrame({"symbol": named, "date": date, **numbers})
    rows = rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items()
    )
    whys = pl.DataFrame(refused)
    wrong = whys.select(pl.any_horizontal(pl.all())).to_series()
    if not wrong.any():
        return rows, []
    first = whys.select(pl.coalesce(pl.when(name).then(pl.lit(name)) for name in whys.columns)).to_series()
    return rows.filter(~wrong), _refusals(table, first, where, named, lines)


def _refusals(
    table: pl.DataFrame, reasons: pl.Series, where: str, symbols: pl.Series, lines: pl.Series
) -> list[Rejected]:
    """One piece a refused row; rows one after another that the file's decimal signs refuse are one piece."""
    groups: list[list[int]] = []
    for at in reasons.is_not_null().arg_true():
        last = groups[-1][-1] if groups else -2
        block = reasons[at] in {UNDECIDED, CONTRADICTORY} and last == at - 1
        if block and reasons[last] == reasons[at] and symbols[last] == symbols[at]:
            groups[-1].append(at)
        else:
            groups.append([at])
    rejected = []
    for group in groups:
        shown = table[group[0] : min(group[-1] + 1, group[0] + 5)].rows()
        text = "\n".join(",".join("" if value is None else str(value) for value in row) for row in shown)
        place = f"{where}:{lines[group[0]]}" + (f"-{lines[group[-1]]}" if len(group) > 1 else "")
        rejected.append(Rejected(place, reasons[group[0]], text[:SHOWN], symbols[group[0]] or ""))
    return rejected


def _nothing(values: pl.Series) -> pl.Series:
    if values.dtype != pl.String:
        return values.is_null() | (values.is_nan() if values.dtype.is_float() else False)
    return values.is_null() | values.str.strip_chars().str.to_lowercase().is_in(NOTHING)


def _numbers(raw: pl.DataFrame, separator: str) -> tuple[dict[str, pl.Series], pl.Series, str]:
    """Columns as Float64, null where there is nothing or nothing that is a finite number.

    One decimal sign holds for the whole file, told by the cells that can be read in one way only. Where fields are
    separated by commas it is the point, whatever else is there; cells that don't fit are then unsafe.

    Returns:
        The columns; the rows with a cell that may mean two numbers, a thousand times apart; and why it may.
    """
    texts = {name: raw[name].str.strip_chars(" $€") for name in raw.columns if raw[name].dtype == pl.String}
    cells = pl.concat([pl.Series([], dtype=pl.String), *texts.values()])
    if separator == ",":
        # Only what isn't plain can speak against the point: most files have nothing of the kind.
        odd = cells.filter(cells.cast(pl.Float64, strict=False).is_null())
        cells = cells if odd.str.contains(r"\d").any() else odd
    signed = cells.unique()
    signed = signed.filter(signed.str.contains(r"\d") & signed.str.contains("[.,]"))
    point, comma = (bool(_tells(signed, sign).any()) for sign in ".,")
    decimal, why = "," if comma else ".", CONTRADICTORY
    unclear, doubtful = signed.filter(signed.str.contains(AMBIGUOUS)), signed.clear()
    if separator == ",":
        decimal = "."
        if comma:
            doubtful = signed.filter(~_tells(signed, "."))
        elif not point:
            doubtful, why = unclear.filter(unclear.str.contains(",", literal=True)), UNDECIDED
    elif point and comma:
        doubtful = signed
    elif not point and not comma:
        doubtful, why = unclear, UNDECIDED
    unsafe = pl.repeat(False, len(raw), eager=True)
    values = {}
    for name in raw.columns:
        if name in texts:
            if len(doubtful):
                unsafe |= texts[name].is_in(doubtful.implode()).fill_null(value=False)
            values[name] = _floats(texts[name], decimal)
        else:
            values[name] = raw[name].cast(pl.Float64, strict=False)
        values[name] = values[name].set(~values[name].is_finite(), None)
    return values, unsafe, why


def _tells(cells: pl.Series, decimal: str) -> pl.Series:
    """Whether a cell can only be read with that decimal sign, or only with the other one parting thousands."""
    d, other = re.escape(decimal), "," if decimal == "." else r"\."
    last = cells.str.contains(rf"^[+-]?[\d.,]*{other}[\d.,]*{d}\d*{EXPONENT}$")
    several = cells.str.contains(rf"^[+-]?\d*{other}\d*{other}[\d.,]*{EXPONENT}$")
    single = cells.str.contains(rf"^[+-]?\d*{d}\d*{EXPONENT}$") & ~cells.str.contains(AMBIGUOUS)
    return last | several | single


def _floats(texts: pl.Series, decimal: str) -> pl.Series:
    if decimal == ".":
        plain = texts.cast(pl.Float64, strict=False)
        if plain.null_count() == texts.null_count():
            return plain
    d, other = re.escape(decimal), "," if decimal == "." else r"\."
    whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{other}\d{{3}})+)"
    fits = texts.str.contains(rf"^[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+){EXPONENT}$")
    bare = texts.str.replace_all("," if decimal == "." else ".", "", literal=True)
    return bare.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False).set(~fits, None)


def _short_year(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.contains(r'^[\s"]*\d{1,3}[-/.]\d{1,2}[-/.]\d{1,3}(?:\D|$)').fill_null(value=False)


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
    compact = text.str.to_date("%Y%m%d", strict=False).set(~text.str.contains(r"^\d{8}$"), None)
    seconds = text.cast(pl.Int64, strict=False).set(~text.str.len_chars().is_between(9, 10), None)
    epoch = pl.from_epoch(seconds, time_unit="s").dt.date()
    parts = text.str.extract_groups(r"^(?<one>\d{1,2})/(?<two>\d{1,2})/\d{4}$").struct.unnest().cast(pl.Int64)
    day_first = bool((parts["one"] > 12).any())
    month_first = bool((parts["two"] > 12).any())
    candidates = [iso, compact, epoch]
    if day_first != month_first:
        candidates.append(text.str.to_date("%d/%m/%Y" if day_first else "%m/%d/%Y", strict=False))
    return pl.select(pl.coalesce(candidates)).to_series()


def _blocks(lines: list[str], bad: list[int], where: str, symbol: str) -> list[Rejected]:
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
        rejected.append(Rejected(place, "rows of prices were expected.", text, symbol))
    return rejected
