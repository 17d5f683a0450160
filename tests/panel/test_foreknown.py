"""Rows that rest on digests by a model that may have known the future."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import day, decision_dates
from alfred.core.errors import ConfigError
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import INSTANT, TABLES
from alfred.language.contracts import UNKNOWN_CUTOFF
from alfred.panel.asof import of_digester
from alfred.panel.build import build_panel
from alfred.panel.catalogue import feature
from alfred.panel.foreknown import foreknown
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

DATES = decision_dates(day("2010-01-04"), day("2011-12-30"))
NOTHING = Tables(bars=pl.DataFrame(), market=pl.DataFrame())
LEVEL, CHANGE = feature("mean_sentiment"), feature("delta_mean_sentiment")


def rows(*given: tuple[str, str, dt.date | None], version: str = "1") -> pl.DataFrame:
    """Digests: of each the symbol, the day of publication at noon in UTC, and the model's cutoff."""
    at = [dt.datetime.fromisoformat(f"{when}T12:00").replace(tzinfo=dt.UTC) for _, when, _ in given]
    frame = pl.DataFrame(
        {
            "article_id": [f"{version}-{place}" for place in range(len(given))], "digester": "d",
            "prompt_version": version, "model": "m", "symbol": [who for who, _, _ in given], "sentiment": 0.5,
            "known_at": at, "published_at": at, "source": "wire",
            "knowledge_cutoff": pl.Series([cutoff for *_, cutoff in given], dtype=pl.Date),
        }
    )  # fmt: skip
    schema = TABLES["digests"].schema | {"symbol": pl.String(), "published_at": INSTANT}
    return frame.select(
        pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    )


def flags(digests: pl.DataFrame, *columns: object) -> np.ndarray:
    given = Sources(DATES, ("A", "B"), None, replace(NOTHING, digests=digests))  # type: ignore[arg-type]
    return foreknown(given, columns)  # type: ignore[arg-type]


def test_articles_up_to_the_cutoff_flag_their_quarter() -> None:
    cutoff = dt.date(2010, 8, 10)
    digests = rows(
        ("A", "2010-02-01", cutoff), ("A", "2010-08-10", cutoff), ("A", "2010-10-10", cutoff),
        ("B", "2010-08-11", cutoff), ("B", "2010-05-03", None), ("B", "2011-05-03", UNKNOWN_CUTOFF),
    )  # fmt: skip
    np.testing.assert_array_equal(np.flatnonzero(flags(digests, LEVEL)[:, 0]), [0, 2])
    np.testing.assert_array_equal(np.flatnonzero(flags(digests, LEVEL)[:, 1]), [5])
    # A change rests on the quarter before as well.
    np.testing.assert_array_equal(np.flatnonzero(flags(digests, LEVEL, CHANGE)[:, 0]), [0, 1, 2, 3])
    np.testing.assert_array_equal(np.flatnonzero(flags(digests, CHANGE)[:, 1]), [5, 6])
    assert not flags(digests, feature("surprise")).any()


def test_digests_of_anonymised_articles_are_chosen_by_their_version_only() -> None:
    both = pl.concat([rows(("A", "2010-02-01", None)), rows(("A", "2010-02-01", None), version="1+anonymous-1")])
    assert of_digester(both, "d")["prompt_version"].to_list() == ["1"]
    assert of_digester(both, "d/1+anonymous-1")["prompt_version"].to_list() == ["1+anonymous-1"]
    assert len(of_digester(both.filter(pl.col("prompt_version") != "1"), "d")) == 1
    with pytest.raises(ConfigError, match=r"d/1, d/1\+anonymous-1.*panel.digester"):
        of_digester(both, "")


def test_flags_are_part_of_the_panel_and_survive_its_files(tmp_path: Path) -> None:
    market = generate(SyntheticSettings(symbols=8, first_year=2004, years=3, articles_per_quarter=4, seed=1)).tables
    digests = market["articles"].select("article_id", "symbol", "published_at", "known_at", "source").with_columns(
        digester=pl.lit("d"), prompt_version=pl.lit("1"), model=pl.lit("m"), relevance=pl.lit(1.0),
        sentiment=pl.lit(0.5), outlook=pl.lit(0.5), knowledge_cutoff=pl.lit(dt.date(2005, 6, 30)),
    )  # fmt: skip
    index = market["series"].filter(pl.col("series") == "^MKT").sort("date").select("date", "value", "known_at")
    tables = Tables(bars=market["bars"].sort("symbol", "date"), market=index, digests=digests)
    settings = PanelSettings(features=("mean_sentiment", "price_change_term_*"))
    panel = build_panel(tables, settings, levels_usable=True)
    early = panel.dates <= np.datetime64("2005-06-30")
    assert panel.foreknown[early].any(axis=1).all()
    assert not panel.foreknown[~early].any()
    assert not (panel.foreknown & ~panel.listed).any()
    panel.save(tmp_path)
    loaded = Panel.load(tmp_path)
    np.testing.assert_array_equal(loaded.foreknown, panel.foreknown)
    assert replace(panel, foreknown=~panel.foreknown).digest() != panel.digest()
    plain = build_panel(tables, PanelSettings(features=("price_change_term_*",)), levels_usable=True)
    assert plain.foreknown.size == 0
    plain.save(tmp_path / "plain")
    assert Panel.load(tmp_path / "plain").foreknown.size == 0
