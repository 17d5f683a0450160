import errno
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.storage import cell, whole_folder, write_whole
from room import no_room


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with whole_folder(tmp_path / "stage") as scratch:
            (scratch / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_systems_error_whichever_library_noticed(tmp_path: Path) -> None:
    def written(error: Exception) -> None:
        with whole_folder(tmp_path / "stage"):
            raise error

    with pytest.raises(OSError, match="No space left on device") as full:
        written(RuntimeError("parquet: underlying IO error: No space left on device (os error 28)"))
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "stage"))
    with pytest.raises(OSError, match="Disk quota exceeded") as full:
        written(RuntimeError("parquet: underlying IO error: Disk quota exceeded (os error 122)"))
    assert full.value.errno == errno.EDQUOT
    with pytest.raises(RuntimeError, match="something else"):
        written(RuntimeError("something else"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses in the middle of a file, for Python and for a library that writes by itself."""
    rows = pl.DataFrame({"x": np.random.default_rng(0).normal(size=10_000)})

    def table(folder: Path) -> None:
        rows.write_parquet(folder / "rows.parquet")

    def text(folder: Path) -> None:
        (folder / "rows.txt").write_bytes(bytes(80_000))

    for write in (table, text):
        with pytest.raises(OSError, match="File too large"), no_room(), whole_folder(tmp_path / "stage") as scratch:
            write(scratch)
        assert list(tmp_path.iterdir()) == []
    write_whole(tmp_path / "kept", b"old")
    with pytest.raises(OSError, match="File too large"), no_room():
        write_whole(tmp_path / "kept", bytes(80_000))
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["kept"]


def test_a_folder_appears_whole_and_the_first_of_two_stays(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "stage") as late:
        (late / "who").write_text("late")
        with whole_folder(tmp_path / "stage") as first:
            (first / "who").write_text("first")
    assert (tmp_path / "stage" / "who").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    write_whole(tmp_path / "report.html", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "report.html").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_is_no_formula_in_a_spreadsheet(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "AAPL", "^GSPC", "BRK-B", "ridge:excess"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert cell(text) == text
