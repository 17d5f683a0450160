"""Bundled data come whole or go on where they were cut off, and are never mixed into another market."""

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from alfred.core.errors import DataError
from alfred.lake import ingest
from alfred.lake.contracts import Batch, Request, Web
from alfred.lake.ingest import admit, ensure
from alfred.lake.providers import synthetic
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import TABLES, make_world
from alfred.lake.synthetic.settings import SyntheticSettings

DEFAULT = SyntheticSettings(symbols=8, first_year=2005, years=2, seed=1)
OTHER = DEFAULT.model_copy(update={"seed": 2})


@pytest.fixture(autouse=True)
def small_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's market in small, in three groups of companies."""

    def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:
        yield from make_world(DEFAULT).batches(3)

    monkeypatch.setattr(synthetic, "fetch", fetch)


def content(lake: Lake) -> dict[str, pl.DataFrame]:
    return {name: pl.read_delta(str(Path(lake.root) / name)).sort(pl.all()) for name in lake.versions()}


def the_same(one: dict[str, pl.DataFrame], two: dict[str, pl.DataFrame]) -> bool:
    return one.keys() == two.keys() and all(frame.equals(two[name]) for name, frame in one.items())


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    lake = Lake(tmp_path_factory.mktemp("default"))
    admit(lake, make_world(DEFAULT).batches())
    return content(lake)


class CutOffError(Exception):
    """The process was killed."""


def cut_off_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    real, done = Lake.write, iter(range(writes))

    def write(lake: Lake, name: str, frame: pl.DataFrame) -> object:
        if next(done, None) is None:
            raise CutOffError
        return real(lake, name, frame)

    monkeypatch.setattr(Lake, "write", write)


def test_what_was_cut_off_goes_on_wherever_that_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default: dict[str, pl.DataFrame]
) -> None:
    """Also where the market is larger than a group of rows: no table is written in parts that pass for a whole."""
    monkeypatch.setattr(ingest, "GROUP_ROWS", 3000)
    for writes in itertools.count(1):
        lake = Lake(tmp_path / str(writes))
        with monkeypatch.context() as patched:
            cut_off_after(patched, writes)
            try:
                ensure(lake, "synthetic")
            except CutOffError:
                pass
            else:
                break
        assert ensure(lake, "synthetic")
        assert the_same(content(lake), default)
        assert ensure(lake, "synthetic") == ()
    assert writes == len(TABLES)


@pytest.mark.parametrize("writes", range(1, 7))
def test_another_market_that_was_cut_off_is_not_filled_with_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    lake = Lake(tmp_path)
    with monkeypatch.context() as patched:
        cut_off_after(patched, writes)
        with pytest.raises(CutOffError):
            admit(lake, make_world(OTHER).batches())
    before = content(lake)
    if "bars" in before:
        assert ensure(lake, "synthetic") == ()
    else:
        with pytest.raises(
            DataError,
            match=r"holds rows of 'synthetic' in \w+ that are not the provider's own, and no bars, as a market of "
            r"other settings does whose writing was cut off; write it to its end, or take an empty lake",
        ):
            ensure(lake, "synthetic")
    assert the_same(content(lake), before)
    admit(lake, make_world(OTHER).batches())
    assert ensure(lake, "synthetic") == ()


def test_a_market_without_articles_is_left_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    bare = OTHER.model_copy(update={"articles_per_quarter": 0.0, "insider_trades_per_quarter": 0.0})
    admit(lake, make_world(bare).batches())
    before = content(lake)
    assert not {"articles", "insider"} & before.keys()
    assert ensure(lake, "synthetic") == ()
    assert the_same(content(lake), before)


def test_rows_of_other_sources_do_not_count(tmp_path: Path, default: dict[str, pl.DataFrame]) -> None:
    lake = Lake(tmp_path)
    row = {"symbol": "REAL", "date": dt.date(2020, 1, 2), "close": 1.0, "source": "csvfile"}
    lake.write("bars", pl.DataFrame([{**row, "known_at": dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC)}]))
    ensure(lake, "synthetic")
    own = {name: frame.filter(pl.col("source") == "synthetic") for name, frame in content(lake).items()}
    assert the_same(own, default)
