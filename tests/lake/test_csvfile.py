import datetime as dt
import gzip
import io
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from bar_rows import sessions, walk
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.errors import ConfigError, DataError
from alfred.lake.contracts import Batch, Request
from alfred.lake.ingest import Admission, admit, provider
from alfred.lake.providers import _pricetext
from alfred.lake.providers._pricetext import bars_of_frame, bars_of_text
from alfred.lake.store import Lake

SHARED = Path(__file__).parents[3] / "shared" / "data"
BROKEN = SHARED / "broken_csv"
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
HEADER = "Date,Open,High,Low,Close,Adj Close,Volume\n"
ERROR = '{\n    "finance": {\n        "error": {\n            "code": "Unauthorized"\n        }\n    }\n}\n'


def fetched(path: Path, **wish: object) -> dict[str, Batch]:
    """Batches of a file or folder by table."""
    source, request = provider("csvfile"), Request(path=path, **wish)  # type: ignore[arg-type]
    return {batch.table: batch for task in source.tasks(request) for batch in source.fetch(task, request, None)}


def ingested(lake: Lake, path: Path) -> Admission:
    source, request = provider("csvfile"), Request(path=path)
    return admit(lake, (batch for task in source.tasks(request) for batch in source.fetch(task, request, None)))


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def line(date: dt.date, close: float, volume: float) -> str:
    return f"{date},{close},{close},{close},{close},{close},{volume}\n"


def closes(batch: Batch) -> list[float | None]:
    return batch.rows["close"].to_list()


def places(batch: Batch) -> list[str]:
    """Where the rejected pieces are, without the folder."""
    return [Path(piece.where).name for piece in batch.rejected]


def test_a_plain_file_is_read_with_the_symbol_of_its_name(tmp_path: Path) -> None:
    folder = written(tmp_path / "prices", "bf.b.csv", HEADER + "2020-01-02,1,4,0.5,2,1.9,300\n")
    row = fetched(folder)["bars"].rows.row(0, named=True)
    assert row == {
        "symbol": "BF.B",
        "date": dt.date(2020, 1, 2),
        "open": 1.0,
        "high": 4.0,
        "low": 0.5,
        "close": 2.0,
        "adj_close": 1.9,
        "volume": 300.0,
        "known_at": dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC),
        "source": "csvfile",
    }


@pytest.mark.parametrize(
    "text",
    [
        "date,close,volume\n2020-01-02,2.5,300\n",
        "TIMESTAMP;Adjusted_Close;CLOSE;Vol\n2020-01-02 00:00:00-05:00;2.4;2.5;300\n",
        "\ufeffDate\tClose/Last\tVolume\n01/02/2020\t$2.5\t300\n12/31/2019\t2.6\t1\n",
        'Date,Close,Volume\n"20200102","2.5","300"\n',
        "timestamp,close,volume\n1577923200,2.5,300\n",
        "Volume,Close,Date,Note\n300,2.5,2020/01/02,\n",
    ],
)
def test_columns_dates_and_numbers_are_recognised_however_written(tmp_path: Path, text: str) -> None:
    batch = fetched(written(tmp_path / "prices", "A.csv", text))["bars"]
    assert batch.rejected == ()
    assert batch.rows.select("date", "close", "volume").row(0) == (dt.date(2020, 1, 2), 2.5, 300.0)
    assert batch.rows["open"].null_count() == len(batch.rows)


def test_a_file_without_a_header_is_taken_in_the_usual_order(tmp_path: Path) -> None:
    batch = fetched(written(tmp_path / "prices", "A.csv", "2020-01-02,1,4,0.5,2,1.9,300\n"))["bars"]
    assert batch.rows.select("open", "close", "adj_close", "volume").row(0) == (1.0, 2.0, 1.9, 300.0)


def test_dates_with_slashes_are_only_read_where_the_file_tells_day_from_month(tmp_path: Path) -> None:
    first = fetched(written(tmp_path / "us", "A.csv", "Date,Close\n01/02/2020,1\n01/15/2020,2\n"))["bars"]
    assert first.rows["date"].to_list() == [dt.date(2020, 1, 2), dt.date(2020, 1, 15)]
    day = fetched(written(tmp_path / "eu", "A.csv", "Date,Close\n02/01/2020,1\n15/01/2020,2\n"))["bars"]
    assert day.rows["date"].to_list() == [dt.date(2020, 1, 2), dt.date(2020, 1, 15)]
    either = fetched(written(tmp_path / "both", "A.csv", "Date,Close\n01/02/2020,1\n01/03/2020,2\n"))["bars"]
    assert either.rows.is_empty()
    assert [piece.where for piece in either.rejected] == [f"{tmp_path / 'both' / 'A.csv'}:{at}" for at in (2, 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a decimal comma, told by 12,34 or by the last of two signs, holds for every cell of the file
        ("Date;Close;Volume\n2020-01-02;12,34;1.234\n2020-01-03;1.234,56;7\n", [(12.34, 1234.0), (1234.56, 7.0)]),
        ("Date;Close\n2020-01-02;1.234,567\n2020-01-03;1,234\n", [(1234.567, None), (1.234, None)]),
        ("Date\tClose\n2020-01-02\t0,123\n2020-01-03\t1,234\n", [(0.123, None), (1.234, None)]),
        # several equal signs part thousands
        ("Date;Close;Volume\n2020-01-02;1,234;1.234.567\n", [(1.234, 1234567.0)]),
        ("Date;Close;Volume\n2020-01-02;1.234;1,234,567\n", [(1.234, 1234567.0)]),
        ("Date;Close\n2020-01-02;1.5e-3\n2020-01-03;1,234\n", [(0.0015, None), (1234.0, None)]),
        # separated by commas
        ('Date,Close,Volume\n2020-01-02,"$1,234.5","3,000"\n', [(1234.5, 3000.0)]),
        ("Date,Close\n2020-01-02,1.234\n2020-01-03,-1\n", [(1.234, None), (-1.0, None)]),
        # without a header decimal commas may outnumber the semicolons
        ("2020-01-02;1,0;4,0;0,5;2,5;1,9;1.000,00\n", [(2.5, 1000.0)]),
    ],
)
def test_the_decimal_sign_is_the_files(tmp_path: Path, text: str, expected: list[tuple[float, float | None]]) -> None:
    batch = fetched(written(tmp_path / "prices", "A.csv", text))["bars"]
    assert batch.rejected == ()
    assert batch.rows.select("close", "volume").rows() == expected


@pytest.mark.parametrize(
    ("text", "kept", "where", "reason"),
    [
        ("Date;Close\n2020-01-02;1,234\n2020-01-03;1,235\n2020-01-06;7\n", [7.0], "A.csv:2-3", "doesn't tell whether"),
        ("Date;Close\n2020-01-02;1.234\n", [], "A.csv:2", "doesn't tell whether"),
        ('Date,Close\n2020-01-02,"1,234"\n', [], "A.csv:2", "doesn't tell whether"),
        ("Date;Close\n2020-01-02;1,5\n2020-01-03;1.5\n", [], "A.csv:2-3", "both with commas and with points"),
        ('Date,Close\n2020-01-02,"12,34"\n2020-01-03,"12,345"\n2020-01-06,2.5\n', [2.5], "A.csv:2-3", "both with"),
        ("Date;Close\n2020-01-02;1.5\n2020-01-03;1,23,4.5\n", [1.5], "A.csv:3", "the close can't be read"),
    ],
)
def test_a_number_that_may_be_a_thousand_times_another_is_refused(
    tmp_path: Path, text: str, kept: list[float], where: str, reason: str
) -> None:
    batch = fetched(written(tmp_path / "prices", "A.csv", text))["bars"]
    assert closes(batch) == kept
    assert places(batch) == [where]
    assert reason in batch.rejected[0].reason
    assert batch.rejected[0].symbol == "A"


@given(
    st.lists(st.decimals(1, 99_999, places=3), min_size=1, max_size=6),
    st.sampled_from([(".", ","), (",", "."), (".", ""), (",", "")]),
    st.sampled_from([";", "\t", ","]),
    st.integers(0, 3),
)
def test_no_price_is_ever_off(prices: list[Decimal], signs: tuple[str, str], separator: str, places: int) -> None:
    decimal, thousands = signs
    cells = [f"{price:,.{places}f}".translate({ord(","): thousands, ord("."): decimal}) for price in prices]
    rows = [f'{dt.date(2020, 1, 1 + at)}{separator}"{cell}"' for at, cell in enumerate(cells)]
    bars, rejected = bars_of_text("\n".join([f"Date{separator}Close", *rows]).encode(), "A.csv", "A")
    true = {dt.date(2020, 1, 1 + at): float(f"{price:.{places}f}") for at, price in enumerate(prices)}
    # A comma-separated file is said to have a decimal point, so only 1.234 for 1234 can't be told there.
    if separator != "," or decimal == ".":
        assert all(close == true[date] for date, close in bars.select("date", "close").rows())
    assert bool(rejected) == (len(bars) < len(prices))


@pytest.mark.parametrize(
    ("date", "reason"),
    [
        ("01/02/03", "the date's year doesn't have four digits."),
        ("13/2/20", "the date's year doesn't have four digits."),
        ("20-01-02", "the date's year doesn't have four digits."),
        ("1899-12-29", "the date's year is not between 1900 and"),
        ("2999-01-02", "the date's year is not between 1900 and"),
        ("00200102", "the date's year is not between 1900 and"),
    ],
)
def test_a_year_needs_four_digits_and_a_market(tmp_path: Path, date: str, reason: str) -> None:
    batch = fetched(written(tmp_path / "prices", "A.csv", f"Date,Close\n2020-01-02,1\n{date},2\n"))["bars"]
    assert closes(batch) == [1.0]
    assert places(batch) == ["A.csv:3"]
    assert batch.rejected[0].reason.startswith(reason)
    typed = pl.DataFrame({"date": [dt.date(13, 2, 20), dt.date(2020, 1, 2)], "close": [1.0, 2.0]})
    bars, rejected = bars_of_frame(typed, "A.parquet", "A")
    assert (bars["close"].to_list(), [piece.where for piece in rejected]) == ([2.0], ["A.parquet:1"])


def test_what_is_no_price_file_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alfred.lake.providers.csvfile.TASK_FILES", 1)
    folder = written(tmp_path / "prices", "A.csv", "Date,Close\n2020-01-02,1\n")
    written(folder, "B.csv", "Date,Close\n2020-01-02,2\n")
    written(folder, "C.csv.bz2", "BZh9")
    written(folder, "D.xlsx", "PK")
    written(folder / "E.csv", "F.csv", HEADER)
    (folder / "G.csv").symlink_to(folder / "gone.csv")
    pl.DataFrame(schema={"date": pl.Date, "close": pl.Float64}).write_parquet(folder / "H.parquet")
    source, request = provider("csvfile"), Request(path=folder)
    batches = [batch for task in source.tasks(request) for batch in source.fetch(task, request, None)]
    found = {Path(piece.where): piece.reason for batch in batches for piece in batch.rejected}
    assert sum(len(batch.rejected) for batch in batches) == len(found) == 5
    assert "ends in one of .csv" in found[folder / "C.csv.bz2"]
    assert "ends in one of .csv" in found[folder / "D.xlsx"]
    assert "not a folder" in found[folder / "E.csv"]
    assert "not a link that leads nowhere" in found[folder / "G.csv"]
    assert found[folder / "H.parquet"] == "the file has no rows of prices."


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "prices", "A.csv", "Date,Close\n2020-01-02,1\n")
    written(folder, "B.csv", "Date,Close\n2020-01-02,2\n")
    read = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.name == "B.csv":
            raise PermissionError(13, "Permission denied")
        return read(path)

    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", guarded)
    batch = fetched(folder)["bars"]
    assert [(piece.where, piece.reason) for piece in batch.rejected] == [
        (str(folder / "B.csv"), "the file can't be read (PermissionError).")
    ]
    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(ConfigError, match=r"can't be read \(PermissionError\); check who may read it"):
        fetched(folder)


def test_two_folders_findings_are_two(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for name in ("one", "two"):
        ingested(lake, written(tmp_path / name, "AAPL.csv", "Date,Close\n2020-01-02,1\n2020-01-03,x\n"))
    findings = pl.read_delta(str(tmp_path / "lake" / "findings")).filter(pl.col("check") == "unreadable")
    keys = {f'{{"where": "{tmp_path / name / "AAPL.csv"}:3"}}' for name in ("one", "two")}
    assert set(findings["row_key"]) == keys
    assert set(findings["symbol"]) == {"AAPL"}


def test_unreadable_numbers_and_lines_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    text = HEADER + "2020-01-02,1,1,1,1,1,1\n2020-01-03,1,1,1,x7,1,1\nyesterday,1,1,1,1,1,1\n2020-01-07,1,1,1,inf,1,1\n"
    batch = fetched(written(tmp_path / "prices", "A.csv", text + "2020-01-08,null,,1,2,NaN,1\n"))["bars"]
    assert closes(batch) == [1.0, 2.0]
    assert [(Path(piece.where).name, piece.reason) for piece in batch.rejected] == [
        ("A.csv:3", "the close can't be read."),
        ("A.csv:4", "the date can't be read."),
        ("A.csv:5", "the close can't be read."),
    ]
    assert batch.rejected[0].text == "2020-01-03,1,1,1,x7,1,1"
    assert batch.rows.select("open", "high", "adj_close").row(1) == (None, None, None)


def test_error_pages_before_between_and_instead_of_rows_are_handed_on(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "prices", "A.csv", ERROR + "2020-01-02,1,1,1,1,1,1\n" + ERROR + "2020-01-03,1,1,1,2,1,1\n"
    )
    written(folder, "B.csv", HEADER + "2020-01-02,1,1,1,5,1,1\n<html><body>Too many requests</body></html>\n")
    written(folder, "C.csv", "404 Not Found: Timestamp data missing.\n")
    written(folder, "D.csv", "")
    written(folder, "E.csv", "what,ever\n1,2\n")
    written(folder, "F.csv", HEADER)
    batch = fetched(folder)["bars"]
    assert closes(batch) == [1.0, 2.0, 5.0]
    assert places(batch) == ["A.csv:1-7", "A.csv:9-15", "B.csv:3", "C.csv:1", "D.csv", "E.csv:1-2", "F.csv"]
    assert [piece.symbol for piece in batch.rejected] == ["A", "A", "B", "C", "D", "E", "F"]
    assert {piece.reason for piece in batch.rejected if piece.symbol in "DF"} == {"the file has no rows of prices."}
    assert "Unauthorized" in batch.rejected[0].text


def test_one_table_with_a_symbol_column_in_csv_gzip_and_parquet(tmp_path: Path) -> None:
    table = pl.DataFrame({"Ticker": ["a", "B"], "Date": ["2020-01-02", "2020-01-03"], "Close": [1.5, 2.5]})
    table.write_csv(tmp_path / "all.csv")
    (tmp_path / "all.csv.gz").write_bytes(gzip.compress((tmp_path / "all.csv").read_bytes()))
    typed = table.with_columns(pl.col("Date").str.to_datetime(), pl.col("Close").cast(pl.Float32))
    typed.write_parquet(tmp_path / "all.parquet")
    for name in ("all.csv", "all.csv.gz", "all.parquet"):
        rows = fetched(tmp_path / name)["bars"].rows
        assert rows.select("symbol", "date", "close").rows() == [
            ("A", dt.date(2020, 1, 2), 1.5),
            ("B", dt.date(2020, 1, 3), 2.5),
        ]


def test_a_file_that_is_not_what_its_name_says_stops_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path / "prices", "A.csv", HEADER + "2020-01-02,1,1,1,1,1,1\n")
    written(folder, "B.parquet", "no parquet")
    (folder / "C.csv.gz").write_bytes(b"\x1f\x8bcut off")
    batch = fetched(folder)["bars"]
    assert len(batch.rows) == 1
    assert places(batch) == ["B.parquet", "C.csv.gz"]


def test_a_packed_file_that_would_fill_the_memory_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pricetext, "LARGEST_BYTES", 10_000)
    folder = written(tmp_path / "prices", "A.csv", HEADER + "2020-01-02,1,1,1,1,1,1\n")
    (folder / "B.csv.gz").write_bytes(gzip.compress(b"0" * 10_001))
    batch = fetched(folder)["bars"]
    assert len(batch.rows) == 1
    assert places(batch) == ["B.csv.gz"]
    assert "it unpacks to more than 10,000 bytes" in batch.rejected[0].text


def test_symbols_and_dates_may_be_chosen(tmp_path: Path) -> None:
    text = "symbol,date,close\nA,2020-01-02,1\nA,2020-01-03,2\nB,2020-01-03,3\nA,2020-01-06,4\n"
    (tmp_path / "all.csv").write_text(text)
    batch = fetched(tmp_path / "all.csv", symbols=("A",), since=dt.date(2020, 1, 3), until=dt.date(2020, 1, 5))["bars"]
    assert closes(batch) == [2.0]


def test_a_date_without_a_session_is_handed_on_for_the_check_to_refuse(tmp_path: Path) -> None:
    folder = written(tmp_path / "prices", "A.csv", "Date,Close\n2020-01-03,1\n2020-01-04,1.1\n")
    assert closes(fetched(folder)["bars"]) == [1.0, 1.1]
    assert ingested(Lake(tmp_path / "lake"), folder).quarantined == {"off-calendar": 1}


def test_an_index_becomes_a_series_too(tmp_path: Path) -> None:
    folder = written(tmp_path / "prices", "^GSPC.csv", "Date,Close,Adj Close\n2020-01-02,3257.85,3257.85\n")
    written(folder, "SPY.csv", "Date,Close,Adj Close\n2020-01-02,324.87,300.29\n2020-01-03,,\n")
    written(folder, "A.csv", "Date,Close\n2020-01-02,10\n")
    batches = fetched(folder)
    assert set(batches["bars"].rows["symbol"]) == {"^GSPC", "SPY", "A"}
    assert batches["series"].rows.sort("series").select("series", "value").rows() == [
        ("SPY", 300.29),
        ("^GSPC", 3257.85),
    ]
    assert provider("csvfile").DESCRIPTION.market_series == "^GSPC"


def test_a_folder_that_changes_under_a_fetch_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "prices", "A.csv", "Date,Close\n2020-01-02,10\n")
    written(folder, "B.csv", "Date,Close\n2020-01-02,10\n")
    source, request = provider("csvfile"), Request(path=folder)
    (task,) = source.tasks(request)
    assert task == "A.csv to B.csv"
    (folder / "B.csv").unlink()
    with pytest.raises(DataError, match=r"no longer has the files A\.csv to B\.csv; fetch again"):
        list(source.fetch(task, request, None))


def test_a_path_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    source = provider("csvfile")
    with pytest.raises(ConfigError, match="needs the path of a file or folder"):
        source.tasks(Request())
    with pytest.raises(ConfigError, match="there is no file or folder"):
        source.tasks(Request(path=tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"has no price files; their names end in \.csv"):
        source.tasks(Request(path=tmp_path))


def miniatures(folder: Path) -> Path:
    """Every defect of the six real files, in small."""
    days = sessions(60)
    level = walk(60, start=48.0)
    rows = [line(day, close, 1000 + at % 7) for at, (day, close) in enumerate(zip(days, level, strict=True))]
    written(folder, "XLNX.csv", ERROR * 3)
    written(folder, "BF.B.csv", "404 Not Found: Timestamp data missing.\n")
    written(folder, "TWTR.csv", ERROR + "".join(rows[:20]) + line(days[19], level[19], 900) + ERROR)
    spun = [line(day, round(close * 0.81, 4), 1001) for day, close in zip(days[20:], level[20:], strict=True)]
    written(
        folder,
        "T.csv",
        ERROR + "".join(rows[:20]) + line(days[20], round(level[20] * 0.81, 4), 2900) + "".join(spun[1:]),
    )
    halted = "".join(line(day, 106.04, 0) for day in days[21:31])
    after = "".join(line(day, price, 5e6 + price) for day, price in zip(days[31:34], (0.4, 0.895, 0.905), strict=True))
    stale = f"{days[34]},0.0,106.04,106.04,106.04,106.04,0\n" + "".join(
        line(day, 106.04, 11485729) for day in days[35:50]
    )
    fall = line(days[20], 106.04, 36332500)
    early = "".join(
        line(day, round(close * 5, 4), 1e6 + close) for day, close in zip(days[:20], level[:20], strict=True)
    )
    written(folder, "SIVB.csv", ERROR + early + fall + halted + ERROR + after + stale + stale.splitlines()[5] + "\n")
    null = f"{days[20]},null,null,null,null,null,null\n"
    twice = line(days[22], level[22], 800)
    ended = "".join(line(day, level[39], 0) for day in days[40:])
    written(
        folder,
        "DRE.csv",
        HEADER + "".join(rows[:20]) + null + "".join(rows[21:23]) + twice + "".join(rows[23:40]) + ended,
    )
    return folder


def test_every_defect_in_small_is_kept_apart_from_what_is_good(tmp_path: Path) -> None:
    folder, lake, days = miniatures(tmp_path / "prices"), Lake(tmp_path / "lake"), sessions(60)
    admission = ingested(lake, folder)
    assert admission.quarantined == {"duplicate-date": 2, "flat-quotes": 20 + 10 + 16, "null-row": 1}
    assert admission.warned == {"basis-change": 1, "repeated-row": 1, "unexplained-jump": 1}
    assert admission.rejected == 7  # XLNX, BF.B, two pieces of TWTR, T, two pieces of SIVB
    bars = lake.asof(LATE).bars()
    assert set(bars["symbol"]) == {"TWTR", "T", "SIVB", "DRE"}
    last = dict(bars.group_by("symbol").agg(pl.col("date").max()).rows())
    assert last == {"TWTR": days[19], "T": days[59], "SIVB": days[33], "DRE": days[39]}
    failed = bars.filter(pl.col("symbol") == "SIVB")["close"].to_list()
    assert failed[-4:] == [106.04, 0.4, 0.895, 0.905]
    findings = pl.read_delta(str(tmp_path / "lake" / "findings"))
    assert findings.filter(pl.col("check") == "basis-change").select("symbol", "date").row(0) == ("T", days[20])
    assert not ingested(lake, folder).changed


@pytest.mark.skipif(not BROKEN.is_dir(), reason="the folder shared/data/broken_csv is not beside the repository")
def test_the_six_broken_files(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    admission = ingested(lake, BROKEN)
    assert admission.quarantined == {"duplicate-date": 47, "flat-quotes": 45 + 10 + 15, "null-row": 1}
    bars = lake.asof(LATE).bars()
    assert dict(bars.group_by("symbol").len().rows()) == {"DRE": 5724, "SIVB": 217, "T": 545, "TWTR": 100}
    failed = bars.filter(pl.col("symbol") == "SIVB").select("date", "close")
    assert failed.row(-1) == (dt.date(2023, 5, 11), 0.475)
    assert (dt.date(2023, 3, 9), 106.040001) in failed.rows()
    assert (dt.date(2023, 3, 28), 0.4) in failed.rows()
    assert bars.filter(pl.col("symbol") == "DRE")["date"].max() == dt.date(2022, 9, 30)
    findings = pl.read_delta(str(tmp_path / "findings"))
    flagged = findings.filter(pl.col("check") == "basis-change").select("symbol", "date").rows()
    assert flagged == [("T", dt.date(2022, 4, 11))]
    unreadable = findings.filter(pl.col("check") == "unreadable")["row_key"].to_list()
    assert {Path(key.split('"')[3]).name.split(":")[0] for key in unreadable} == {
        "BF.B.csv", "SIVB.csv", "T.csv", "TWTR.csv", "XLNX.csv",
    }  # fmt: skip
    assert not ingested(lake, BROKEN).changed


def test_reading_back_what_polars_wrote(tmp_path: Path) -> None:
    days = sessions(300)
    table = pl.DataFrame({"date": days, "close": walk(300)})
    text = io.StringIO()
    table.write_csv(text)
    rows = fetched(written(tmp_path / "prices", "A.csv", text.getvalue()))["bars"].rows
    assert rows.select("date", "close").equals(table)
