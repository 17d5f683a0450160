"""Columns of digested articles: what was written about a company in the quarter."""

from collections.abc import Callable

import numpy as np

from alfred.core.contracts import Floats
from alfred.panel.asof import DAY
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

TABLES = ("digests", "articles")
COVERED_DAYS = 400
"""A quarter without an article is one without news for a company that was written about in so many days."""
QUARTER = (
    "the digests of panel.digester that became known in the quarter (after the decision date before, up to this one's "
    "close), copies of one story counted once, as the first of them"
)
WEIGHT = (
    "weighted by relevance (1 where it is not given; 0 leaves the article out) times 0.5^(days before the close / "
    "panel.articles.half_life_days)"
)
KNOWN = "from the digest's known_at or the publication, whichever is later; after the close it counts for the next date"


def _weights(sources: Sources, score: Floats) -> Floats:
    """(N,) weight of each digest with that score; 0 where it has none, or came in no quarter."""
    digests = sources.digests
    relevance = digests.number("relevance")
    weight = np.where(np.isnan(relevance), 1.0, np.maximum(relevance, 0.0))
    closes = np.repeat(sources.deadlines[:, None].astype(np.float64), len(sources.symbols), axis=1)
    age = np.nan_to_num((digests.of_quarter(closes) - digests.known) / DAY)
    weight *= 0.5 ** (age / sources.articles.half_life_days)
    return np.where(np.isnan(score), 0.0, weight)


def _weighted_mean(sources: Sources, score: Floats) -> Floats:
    digests, weight = sources.digests, _weights(sources, score)
    total = digests.sums(weight)
    return digests.sums(weight * score) / np.where(total > 0, total, np.nan)


def _mean(score: str) -> Callable[[Sources], Floats]:
    def compute(sources: Sources) -> Floats:
        return _weighted_mean(sources, sources.digests.number(score))

    return compute


def _count(sources: Sources) -> Floats:
    digests = sources.digests
    count = digests.sums(np.ones(len(digests.rows)))
    return np.where((count > 0) | digests.covered(COVERED_DAYS), count, np.nan)


def _novelty(sources: Sources) -> Floats:
    likeness = sources.digests.number("likeness")
    new = np.where(np.isnan(likeness), np.nan, likeness < sources.articles.novel_below)
    return _weighted_mean(sources, new)


def _disagreement(sources: Sources) -> Floats:
    digests, score = sources.digests, sources.digests.number("sentiment")
    distance = score - digests.of_quarter(_weighted_mean(sources, score))
    several = digests.sums(_weights(sources, score) > 0) >= 2
    return np.where(several, np.sqrt(_weighted_mean(sources, distance**2)), np.nan)


FEATURES = (
    Feature(
        "mean_sentiment", f"mean sentiment of {QUARTER}, {WEIGHT}", "score from -1 to 1", TABLES, KNOWN,
        "in a quarter without a digest that has a sentiment and a weight", "standard", _mean("sentiment"),
        delta="absolute",
    ),
    Feature(
        "mean_outlook", f"mean outlook of {QUARTER}, {WEIGHT}", "score from -1 (bearish) to 1 (bullish)", TABLES,
        KNOWN, "in a quarter without a digest that has an outlook and a weight", "standard", _mean("outlook"),
        delta="absolute",
    ),
    Feature(
        "article_count", f"number of {QUARTER}, whatever their relevance", "articles", TABLES, KNOWN,
        f"without a digest in the last {COVERED_DAYS} days, as no one may have looked for articles; with one, a "
        "quarter without is 0", "signed-log", _count, delta="absolute",
    ),
    Feature(
        "sentiment_disagreement", f"standard deviation of the sentiment of {QUARTER} around mean_sentiment, {WEIGHT}",
        "score from 0 to 1", TABLES, KNOWN, "with fewer than 2 digests that have a sentiment and a weight",
        "standard", _disagreement, delta="absolute",
    ),
    Feature(
        "novelty",
        f"share of {QUARTER}, whose likeness to earlier articles about the company (table stories: the largest Jaccard "
        f"index of three-word runs with those of the last 365 days) is below panel.articles.novel_below, {WEIGHT}",
        "fraction", ("digests", "articles", "stories"), KNOWN,
        "in a quarter without a digest that has a weight and an earlier article to compare with", "standard",
        _novelty, delta="absolute",
    ),
)  # fmt: skip
