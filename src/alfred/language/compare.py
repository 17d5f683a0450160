"""Two digesters' digests of the same articles side by side, such as with and without the company's name."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from alfred.core.contracts import Floats
from alfred.language.anonymise import NAME

SCORES = ("relevance", "sentiment", "outlook")
KEY = ["digester", "prompt_version", "model"]
FEWEST = 3
Row = tuple[str, str, str]
"""Name, version of the prompt, model."""


@dataclass(frozen=True)
class ScorePair:
    """One score in digests of the same articles.

    Attributes:
        score: relevance, sentiment or outlook.
        articles: that both digested.
        rank_correlation, correlation: Spearman's and Pearson's; None for fewer than 3 articles, or where one of the
            two gives all articles the same score.
        mean_change: of the second over the first.
        turned: share of articles whose score has the other sign, neither being 0.
    """

    score: str
    articles: int
    rank_correlation: float | None
    correlation: float | None
    mean_change: float | None
    turned: float | None


def twin_of(digests: pl.DataFrame, own: Row) -> Row | None:
    """The version that read the same articles with names hidden, or the plain one of a version that did."""
    name, version, model = own
    other = version.removesuffix(f"+{NAME}") if version.endswith(f"+{NAME}") else f"{version}+{NAME}"
    twin = (name, other, model)
    return twin if len(digests.filter(_of(twin)).head(1)) else None


def compare_scores(digests: pl.DataFrame, one: Row, other: Row) -> tuple[ScorePair, ...]:
    """How the scores of two digesters agree on the articles that both digested.

    Args:
        digests: rows of that table.
        one, other: whose.
    """
    both = digests.filter(_of(one)).join(digests.filter(_of(other)), on="article_id", suffix="_other")
    return tuple(_pair(score, both[score].to_numpy(), both[f"{score}_other"].to_numpy()) for score in SCORES)


def _pair(score: str, one: Floats, other: Floats) -> ScorePair:
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if not len(one):
        return ScorePair(score, 0, None, None, None, None)
    told_apart = len(one) >= FEWEST and np.ptp(one) > 0 and np.ptp(other) > 0
    return ScorePair(
        score,
        len(one),
        float(stats.spearmanr(one, other).statistic) if told_apart else None,
        float(np.corrcoef(one, other)[0, 1]) if told_apart else None,
        float((other - one).mean()),
        float((one * other < 0).mean()),
    )


def _of(row: Row) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == value for name, value in zip(KEY, row, strict=True))
