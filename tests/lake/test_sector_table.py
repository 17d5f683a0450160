"""The table of sectors: who fills it, and since when each row is known."""

import datetime as dt
import gzip
import os
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from alfred.core.errors import DataError
from alfred.lake.contracts import Batch, Request
from alfred.lake.fetch import fetch
from alfred.lake.ingest import ensure, provider
from alfred.lake.providers._industries import OTHER, RANGES, industry_of
from alfred.lake.scramble import OTHER_SECTOR, OtherFuture, ScrambledLake
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import TABLES, generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import table

NOW = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
PRICES = "Date,Close\n2020-01-02,1\n2020-01-03,2\n"


def batches(path: Path, **wish: object) -> list[Batch]:
    source, request = provider("csvfile"), Request(path=path, **wish)  # type: ignore[arg-type]
    return [batch for task in source.tasks(request) for batch in source.fetch(task, request, None)]


def told(path: Path, text: str | bytes, name: str = "sectors.csv", **wish: object) -> Batch:
    path.mkdir(exist_ok=True)
    (path / "AAA.csv").write_text(PRICES)
    data = text if isinstance(text, bytes) else text.encode()
    (path / name).write_bytes(data)
    (found,) = [batch for batch in batches(path, **wish) if batch.table == "sectors"]
    return found


def test_a_file_of_sectors_lies_beside_the_prices(tmp_path: Path) -> None:
    text = (
        "Symbol,Sector,known_at,SIC\n"
        'aaa,Energy,2015-03-31,1311\n"BBB","Oil, gas",2015-03-31T16:00:00-04:00,\n\nCCC,Banks,,\n'
    )
    before = dt.datetime.now(dt.UTC)
    batch = told(tmp_path / "prices", text)
    assert batch.rejected == ()
    rows = {row["symbol"]: row for row in batch.rows.iter_rows(named=True)}
    # A date counts from the next session's open, 9:30 in New York; an instant as it is.
    assert rows["AAA"] == {
        "symbol": "AAA", "known_at": dt.datetime(2015, 4, 1, 13, 30, tzinfo=dt.UTC), "source": "csvfile",
        "sector": "Energy", "sic": "1311",
    }  # fmt: skip
    assert rows["BBB"]["sector"] == "Oil, gas"
    assert rows["BBB"]["known_at"] == dt.datetime(2015, 3, 31, 20, 0, tzinfo=dt.UTC)
    assert rows["BBB"]["sic"] is None
    assert abs(rows["CCC"]["known_at"] - before) < dt.timedelta(minutes=1)
    assert {batch.table for batch in batches(tmp_path / "prices")} == {"bars", "sectors"}


def test_a_file_that_was_set_back_in_time_is_known_since_it_came(tmp_path: Path) -> None:
    told(tmp_path / "prices", "symbol,sector\nAAA,Energy\n")
    os.utime(tmp_path / "prices" / "sectors.csv", (315532800, 315532800))  # 1980, as archives have it
    (batch,) = [one for one in batches(tmp_path / "prices") if one.table == "sectors"]
    assert dt.datetime.now(dt.UTC) - batch.rows["known_at"][0] < dt.timedelta(minutes=1)


@pytest.mark.parametrize("name", ["SECTORS.txt", "sectors.csv.gz", "Sectors.parquet"])
def test_it_may_be_written_in_the_ways_of_price_files(tmp_path: Path, name: str) -> None:
    text = "\ufeffTicker;GICS Sector;since\nAAA;Energy;2015-03-31\n".encode()
    if name.endswith("parquet"):
        rows = {"Ticker": ["AAA"], "GICS Sector": ["Energy"], "since": [dt.date(2015, 3, 31)]}
        pl.DataFrame(rows).write_parquet(tmp_path / "sectors.parquet")
        text = (tmp_path / "sectors.parquet").read_bytes()
    batch = told(tmp_path / "prices", gzip.compress(text) if name.endswith("gz") else text, name)
    assert batch.rejected == ()
    assert batch.rows.select("symbol", "sector", "known_at").row(0) == (
        "AAA", "Energy", dt.datetime(2015, 4, 1, 13, 30, tzinfo=dt.UTC),
    )  # fmt: skip


def test_an_instant_of_a_typed_column_keeps_its_zone(tmp_path: Path) -> None:
    known = pl.Series("known_at", [dt.datetime(2015, 3, 31, 20, tzinfo=dt.UTC)]).dt.convert_time_zone(
        "America/New_York"
    )
    frame = pl.DataFrame({"symbol": ["AAA"], "sector": ["Energy"]}).with_columns(known)
    frame.write_parquet(tmp_path / "one.parquet")
    batch = told(tmp_path / "prices", (tmp_path / "one.parquet").read_bytes(), "sectors.parquet")
    assert batch.rows["known_at"].to_list() == [dt.datetime(2015, 3, 31, 20, 0, tzinfo=dt.UTC)]


def test_what_cannot_be_read_is_kept_with_its_reason(tmp_path: Path) -> None:
    text = (
        "symbol,sector,known_at\nAAA,Energy,last year\nBBB,,2015-03-31\n,Banks,\nCCC,Banks,2015-03-31T16:00:00\nDDD\n"
    )
    batch = told(tmp_path / "prices", text)
    assert batch.rows.is_empty()
    assert [Path(piece.where).name for piece in batch.rejected] == [f"sectors.csv:{line}" for line in (2, 3, 4, 5, 6)]
    assert [piece.reason.split(",")[0] for piece in batch.rejected] == [
        "known_at must be a date such as 2015-03-31",
        "the row has no symbol or no sector.",
        "the row has no symbol or no sector.",
        "known_at must be a date such as 2015-03-31",
        "the row has no symbol or no sector.",
    ]
    for text in ("symbol,industry\nAAA,Energy\n", ""):
        (piece,) = told(tmp_path / "prices", text).rejected
        assert piece.reason.startswith("a symbol and a sector were expected among the columns of a file called sectors")
    (piece,) = told(tmp_path / "prices", b"symbol,sector\n\xff\xfe,x\n").rejected
    assert piece.reason == "the file can't be read (UnicodeDecodeError)."


def test_only_the_symbols_asked_for_come_and_a_file_alone_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    batch = told(folder, "symbol,sector\nAAA,Energy\nBBB,Banks\n", symbols=("BBB",))
    assert batch.rows["symbol"].to_list() == ["BBB"]
    (alone,) = batches(folder / "sectors.csv")
    assert (alone.table, len(alone.rows)) == ("sectors", 2)


def test_a_second_fetch_of_the_same_files_brings_nothing_new(tmp_path: Path) -> None:
    told(tmp_path / "prices", "symbol,sector\nAAA,Energy\nAAA,Banks\n")
    lake, request = Lake(tmp_path / "lake"), Request(path=tmp_path / "prices")
    first = fetch(lake, tmp_path / "fetches", "csvfile", request)
    assert (first.rows, first.inserted, first.quarantined) == (4, 3, 1)  # A company is in one sector at a time.
    assert lake.asof(NOW).sectors()["sector"].to_list() == ["Banks"]
    assert fetch(lake, tmp_path / "fetches", "csvfile", request).nothing_new
    with pytest.raises(DataError, match="found no rows of ZZZ"):
        fetch(lake, tmp_path / "fetches", "csvfile", Request(("ZZZ",), path=tmp_path / "prices"))


def test_industries_have_hand_checked_codes_and_no_code_has_two() -> None:
    known = {
        3571: "Business equipment", 7372: "Business equipment", 3674: "Business equipment", 2834: "Healthcare",
        3841: "Healthcare", 6021: "Finance", 6798: "Finance", 1311: "Energy", 2911: "Energy", 4911: "Utilities",
        4813: "Telecommunications", 5331: "Shops", 2086: "Consumer nondurables", 3711: "Consumer durables",
        3721: "Manufacturing", 2821: "Chemicals", 1531: OTHER, 4512: OTHER, 7011: OTHER,
    }  # fmt: skip
    assert {code: industry_of(code) for code in known} == known
    ends = sorted(span for ranges in RANGES.values() for span in ranges)
    assert all(first <= last for first, last in ends)
    assert all(last < following for (_, last), (following, _) in pairwise(ends))


def test_a_lake_that_an_earlier_version_filled_is_not_filled_over(tmp_path: Path) -> None:
    """A market of one's own without sectors stays as it is, though the provider knows a table more by now."""
    market = generate(SyntheticSettings(seed=5, symbols=4, first_year=2010, years=3, articles_per_quarter=1.0))
    lake = Lake(tmp_path)
    for name, rows in market.tables.items():
        if name != "sectors":
            lake.write(name, rows.head(3))
    assert {name for name in TABLES if not lake.holds(name, "synthetic")} == {"sectors"}
    assert ensure(lake, "synthetic") == ()
    assert len(lake.asof(NOW).bars()) == 3


def test_sectors_told_later_are_others_in_another_future(tmp_path: Path) -> None:
    early, late = dt.datetime(2015, 1, 2, tzinfo=dt.UTC), dt.datetime(2016, 1, 4, tzinfo=dt.UTC)
    names = [f"N{at}" for at in range(60)]
    rows = pl.DataFrame(
        {"symbol": names * 2, "known_at": [early] * 60 + [late] * 60, "sector": ["Energy"] * 60 + ["Banks"] * 60}
    )
    rows = table("sectors").conform(rows.with_columns(source=pl.lit("csvfile"))).sort("symbol", "known_at")
    Lake(tmp_path).write("sectors", rows)
    bars = pl.DataFrame(
        {"symbol": ["N0"], "date": [dt.date(2015, 1, 2)], "source": ["sample"], "close": [1.0], "known_at": [early]}
    )
    Lake(tmp_path).write("bars", bars)
    future = OtherFuture.of(dt.date(2015, 6, 30), 1, "sample")
    found = ScrambledLake(tmp_path, future).asof(NOW).sectors()
    assert found.filter(pl.col("known_at") == early).equals(rows.filter(pl.col("known_at") == early))
    later = found.filter(pl.col("known_at") == late)
    assert 20 < len(later) < 60
    assert set(later["sector"]) == {"Banks", OTHER_SECTOR}
