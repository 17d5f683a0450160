"""Which articles tell the same story, and which tell something new; by company, and never by what came later.

Wires sell their stories, so that one event makes many articles. An article is a copy of an earlier first one about its
company, known at most `window_days` before it, whose words are so alike (`language/_minhash.py`). What was said of
an article stays when later ones come in; an older one that comes in late may change it, and then it is written again.

The result lies in the lake, beside the articles: it belongs to texts, not to digesters, so that it is worked out once
for all of them, and a panel reads three small columns instead of all texts.
"""

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl
from pydantic import Field

from alfred.core.settings import Settings
from alfred.lake.store import Lake
from alfred.lake.tables import INSTANT, table
from alfred.language import _minhash
from alfred.language.text import HIDDEN, MOST_CHARACTERS

ALWAYS = datetime.max.replace(tzinfo=UTC)
DAY = 86_400_000_000
BATCH = 5_000
MARKS = re.compile(r"[^\w\s]+")
TAG = re.compile(r"<[^<>]{0,2000}>")


class StorySettings(Settings):
    """When two articles tell one story."""

    copy_above: float = Field(
        default=0.7, gt=0, le=1, description="likeness (Jaccard index of three-word runs) from which it is a copy"
    )
    window_days: float = Field(default=7.0, gt=0, description="days after the first copy in which others may come")
    memory_days: float = Field(
        default=365.0, gt=0, description="days for which articles are remembered when a new one is compared"
    )


def stories(articles: pl.DataFrame, settings: StorySettings | None = None) -> pl.DataFrame:
    """What each article tells that was not told before.

    Compared are the texts, or the titles where there is no text, without markup, punctuation and capitals, and up to
    their 20,000th character. An article without a word is a story of its own.

    Args:
        articles: rows of that table; those without a symbol are left out.
        settings: of the comparison.

    Returns:
        Rows of the table `stories`: `story` is the article_id of the first copy; `likeness` of a first copy is the
        largest to other stories of its company in the days remembered, null for copies and where there is none.
    """
    settings = settings or StorySettings()
    known = pl.max_horizontal(pl.col("known_at").cast(INSTANT), pl.col("published_at").cast(INSTANT))
    # Ties by article_id, so that the order of the rows does not matter.
    rows = articles.drop_nulls("symbol").with_columns(known_at=known).sort("symbol", "known_at", "article_id")
    if rows.is_empty():
        return pl.DataFrame(schema=table("stories").schema)
    first, likeness = _minhash.first_copies(
        np.concatenate([_sketched(part) for part in rows.iter_slices(BATCH)]),
        rows["symbol"].rle_id().cast(pl.Int64).to_numpy(),
        rows["known_at"].to_physical().to_numpy(),
        settings.copy_above,
        (int(settings.window_days * DAY), int(settings.memory_days * DAY)),
    )
    found = rows.select("article_id", "symbol", "known_at", "source").with_columns(
        rows["article_id"].gather(first).alias("story"), pl.Series("likeness", likeness, nan_to_null=True)
    )
    return found.select(list(table("stories").schema))


def update_stories(lake: Lake, symbols: Sequence[str] | None = None, settings: StorySettings | None = None) -> int:
    """Bring the table `stories` up to date for all articles about some companies.

    Returns:
        How many rows were written: those that are new or have changed.
    """
    view = lake.asof(ALWAYS)
    now = stories(view.articles(symbols), settings)
    changed = now.join(view.stories(symbols), on=now.columns, how="anti", nulls_equal=True)
    if len(changed):
        lake.write("stories", changed)
    return len(changed)


def _sketched(rows: pl.DataFrame) -> _minhash.Sketches:
    blank = pl.col("text").fill_null("").str.strip_chars() == ""
    raw = rows.select(pl.when(blank).then(pl.col("title").fill_null("")).otherwise("text")).to_series()
    joined = [_without_markup(text).encode() for text in raw]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in joined])]).astype(np.int64)
    return _minhash.sketches(np.frombuffer(b"".join(joined), np.uint8), offsets, *_minhash.factors())


def _without_markup(text: str) -> str:
    """What counts of a text. Looser than `alfred.language.text.clean` and twenty times as fast: nobody reads it."""
    text = text[:MOST_CHARACTERS]
    if "<" in text or "&" in text:
        text = TAG.sub(" ", html.unescape(TAG.sub(" ", text)))
    return text if text.isascii() else MARKS.sub(" ", HIDDEN.sub("", text)).casefold()
