"""No column of the catalogue may know anything after its date: every table's later rows replaced, not a bit moves."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from alfred.lake.scramble import OtherFuture
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language.stories import stories
from alfred.panel.build import build_panel
from alfred.panel.catalogue import catalogue
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import OTHERS, Tables

MARKET = generate(SyntheticSettings(symbols=24, first_year=2004, years=10, articles_per_quarter=4, seed=3))
SETTINGS = PanelSettings()


def digests(articles: pl.DataFrame) -> pl.DataFrame:
    """Scores that an article's identity decides."""
    share = [(pl.col("article_id").hash(seed) % 1000 / 1000).alias(name) for seed, name in enumerate("abc")]
    scored = articles.with_columns(share).select(
        "article_id", "symbol", "published_at", "known_at", "source",
        digester=pl.lit("test"), prompt_version=pl.lit("1"), model=pl.lit("m"), relevance="a",
        sentiment=2 * pl.col("b") - 1, outlook=2 * pl.col("c") - 1,
    )  # fmt: skip
    return scored.with_columns(
        pl.lit(None, pl.String).alias("rationale"), pl.lit(None, pl.Date).alias("knowledge_cutoff"),
        pl.lit(0.0).alias("cost"),
    )  # fmt: skip


def filings(articles: pl.DataFrame) -> pl.DataFrame:
    """Two sections of a filing for each article, with numbers that its identity decides."""
    numbers = ("cosine", "jaccard", "tone_change", "sentiment", "outlook")
    items = pl.DataFrame({"item": ["7", "1A"], "words": [300, 100]})
    event = pl.col("article_id").hash(9) % 3 == 0
    identity = pl.concat_str("article_id", "item")
    return articles.join(items, how="cross").select(
        "symbol", "published_at", "known_at", "source", "item", "words",
        *((identity.hash(seed) % 1000 / 1000).alias(name) for seed, name in enumerate(numbers)),
        article_id=pl.concat_str("article_id", pl.lit("#"), "item"), filing="article_id",
        form=pl.when(event).then(pl.lit("8-K")).otherwise(pl.lit("10-Q")),
        digester=pl.lit("research-test"), prompt_version=pl.lit("1"), model=pl.lit("m"),
    ).sort("article_id")  # fmt: skip


def whole() -> Tables:
    tables = MARKET.tables
    index = tables["series"].filter(pl.col("series") == "^MKT").sort("date")
    return Tables(
        bars=tables["bars"].sort("symbol", "date"),
        market=index.select("date", "value", "known_at"),
        actions=tables["actions"],
        facts=tables["facts"],
        earnings=tables["earnings"],
        series=tables["series"],
        insider=tables["insider"],
        digests=digests(tables["articles"]),
        stories=stories(tables["articles"]),
        filings=filings(tables["articles"]),
    )


TABLES = whole()
PANEL = build_panel(TABLES, SETTINGS, levels_usable=True)
RNG = np.random.default_rng(11)
DATES = [PANEL.dates[at] for at in sorted(RNG.choice(np.arange(4, len(PANEL.dates) - 2), 20, replace=False))]


def other_future(tables: Tables, date: np.datetime64) -> Tables:
    """The same past, served by providers that saw another future."""
    day = date.astype(dt.date)
    future = OtherFuture.of(day, day.toordinal(), "synthetic")
    bars = tables.bars.lazy()

    def altered(table: str, frame: pl.DataFrame) -> pl.DataFrame:
        return future.rows(table, frame.lazy(), bars).collect()

    others = {name: altered(name, getattr(tables, name)) for name in OTHERS}
    return replace(tables, bars=altered("bars", tables.bars), market=altered("series", tables.market), **others)


def test_the_market_exercises_every_column() -> None:
    """A column without values on it would pass any scramble."""
    assert set(PANEL.features) == set(catalogue())
    known = PANEL.mask[[np.searchsorted(PANEL.dates, date) for date in DATES]].sum(axis=(1, 2))
    assert not PANEL.left_out
    assert (known > 0).all()
    for at, name in enumerate(PANEL.features):
        assert PANEL.mask[:, :, at].sum() > 100, name


@pytest.mark.parametrize("date", DATES, ids=str)
def test_nothing_after_a_date_moves_any_column(date: np.datetime64) -> None:
    other = build_panel(other_future(TABLES, date), SETTINGS, levels_usable=True)
    until = np.searchsorted(PANEL.dates, date) + 1
    assert_same(PANEL, other, until)
    after = [
        panel.values[until : len(other.dates), :, panel.features.index("Close_diff_MA_90")] for panel in (PANEL, other)
    ]
    assert not np.array_equal(*after, equal_nan=True)


def assert_same(a: Panel, b: Panel, until: int) -> None:
    assert a.symbols == b.symbols
    np.testing.assert_array_equal(a.listed[:until], b.listed[:until])
    for at, name in enumerate(a.features):
        other = np.full((until, len(b.symbols)), np.nan)
        # Where all later bars of the index have gaps, a column may be missing throughout.
        if name in b.features:
            other = b.values[:until, :, b.features.index(name)]
        np.testing.assert_array_equal(a.values[:until, :, at], other, err_msg=name)
    known = (a.labels.realised_on <= a.dates[until - 1]) & ~np.isnat(a.labels.realised_on)
    for name, values in a.labels.values.items():
        np.testing.assert_array_equal(values[known], b.labels.values[name][known], err_msg=name)
