"""Articles whose words carry a tone, among neutral ones and copies that several wires print.

An article is a headline and three sentences. Its tone is (sentences with good words - sentences with bad words) / 3;
whoever reads the words recovers it exactly.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.core.contracts import Bools, Floats
from alfred.lake.synthetic.bars import Quotes
from alfred.lake.synthetic.companies import Companies
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Positions, Purpose, Span, stream

Instants = NDArray[np.datetime64]

GOOD = (
    "Orders at {} grew faster than the firm had promised.",
    "Customers praised the reliable service of {} and renewed early.",
    "{} raised its outlook after a strong month.",
    "A profitable new plant of {} opened ahead of schedule.",
    "Margins at {} improved as costs fell.",
    "{} won a large contract against able rivals.",
)
BAD = (
    "Orders at {} shrank for lack of demand.",
    "Customers complained about faulty deliveries by {} and left.",
    "{} cut its outlook after a weak month.",
    "A costly fault stopped the main plant of {}.",
    "Margins at {} suffered as costs rose.",
    "{} lost a large contract to a rival.",
)
NEUTRAL = (
    "{} will hold its yearly meeting in the spring.",
    "The board of {} consists of nine members.",
    "{} moved its records to another office.",
    "A spokesperson for {} named the date of the next report.",
    "{} has been listed for some years.",
    "The staff of {} took part in a regional fair.",
)
HEADLINES = {1: "{}: encouraging news", 0: "{}: notes from the company", -1: "{}: worrying news"}
WIRES = ("Harbour Wire", "Meridian News", "Northgate Press")
MOST = 6
"""Articles on a company in a quarter, copies not counted."""


@dataclass(frozen=True, eq=False)
class Articles:
    """Up to K articles on each of S companies in each of Q quarters.

    Attributes:
        there: (S, Q, K) whether there is such an article.
        published: (S, Q, K) instants in UTC, after the previous quarter's last close and up to this one's.
        kinds: (S, Q, K, 3) of each sentence: 1 good, 0 neutral, -1 bad.
    """

    there: Bools
    published: Instants
    kinds: NDArray[np.int8]

    def tone(self, span: Span, companies: Companies) -> Floats:
        """(S, Q) mean tone of a quarter's articles under the ticker in force at its end; NaN where there is none."""
        days = self.published.astype("datetime64[D]")
        session = np.searchsorted(span.sessions, days).astype(np.int64)
        current = companies.line_first(np.broadcast_to(span.decisions[None, :, None], session.shape))
        usable = self.there & (session >= current) & (session <= companies.last[:, None, None])
        tone = self.kinds.mean(axis=3)
        counts = usable.sum(axis=2)
        return np.where(counts > 0, (tone * usable).sum(axis=2) / np.maximum(counts, 1), np.nan)


def make_articles(settings: SyntheticSettings, span: Span, companies: Companies) -> Articles:
    """Draw when articles appear and what kind their sentences are; a quarter of them is neutral throughout."""
    shape = (len(companies), span.quarters, MOST)
    closes = span.closes.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    until = closes[span.decisions]
    since = np.concatenate([[span.sessions[0].astype("datetime64[us]")], until[:-1]])
    there, kinds = np.empty(shape, np.bool_), np.empty((*shape, 3), np.int8)
    published = np.empty(shape, "datetime64[us]")
    for company in range(len(companies)):
        rng = stream(settings.seed, Purpose.ARTICLES, company)
        number = rng.poisson(settings.articles_per_quarter, span.quarters)
        there[company] = np.arange(MOST) < number[:, None]
        mood = rng.standard_normal((span.quarters, 1, 1))
        lean = 0.7 * mood + 0.7 * rng.standard_normal((span.quarters, MOST, 3))
        neutral = rng.random((span.quarters, MOST)) < 0.25
        kinds[company] = np.where(neutral[..., None], 0, (lean > 0.5).astype(np.int8) - (lean < -0.5))
        share = 1 - rng.random((span.quarters, MOST))
        published[company] = since[:, None] + (share * (until - since)[:, None].astype(np.float64)).astype(np.int64)
    return Articles(there, published, kinds)


def article_rows(seed: int, quotes: Quotes, articles: Articles, rows: slice) -> pl.DataFrame:
    """Articles on the companies `rows` while they are listed; one in ten is printed again by another wire."""
    span, companies = quotes.span, quotes.companies
    row, quarter, at = np.nonzero(articles.there[rows])
    company = row + rows.start
    published = articles.published[rows][row, quarter, at]
    session = np.searchsorted(span.sessions, published.astype("datetime64[D]")).astype(np.int64)
    listed = (session >= companies.first[company]) & (session <= companies.last[company])
    row, quarter, at, company, published, session = (
        array[listed] for array in (row, quarter, at, company, published, session)
    )
    kinds = articles.kinds[rows][row, quarter, at]
    drawn = np.stack(
        [stream(seed, Purpose.TEXTS, one).random((span.quarters, MOST, 6)) for one in range(rows.start, rows.stop)]
    )[row, quarter, at]
    tickers = pl.Series("symbol", companies.ticker(company, session), dtype=pl.String)
    first = pl.DataFrame(
        {
            "article_id": [f"synthetic-{c}-{q}-{k}" for c, q, k in zip(company, quarter, at, strict=True)],
            "symbol": tickers,
            "published_at": pl.Series(published).dt.replace_time_zone("UTC"),
            "title": _filled(_headlines(kinds), tickers),
            "text": pl.select(pl.concat_str(*_texts(kinds, drawn, tickers), separator=" ")).to_series(),
            "publisher": [WIRES[at] for at in (drawn[:, 3] * 3).astype(int).tolist()],
        },
        schema_overrides={"article_id": pl.String, "publisher": pl.String},
    )
    copied = drawn[:, 4] < 0.1
    delay = (drawn[copied, 5] * 6 * 3600e6).astype(np.int64)
    later = published[copied] + np.maximum(delay, 60_000_000)
    copies = first.filter(pl.Series(copied, dtype=pl.Boolean)).with_columns(
        pl.col("article_id") + "-copy",
        pl.Series("published_at", later).dt.replace_time_zone("UTC"),
        pl.col("publisher").replace_strict(dict(zip(WIRES, (*WIRES[1:], WIRES[0]), strict=True))),
    )
    both = pl.concat([first, copies.filter(pl.col("published_at") <= span.closes[-1])])
    return both.with_columns(
        pl.col("published_at").alias("known_at"), ("https://news.invalid/" + pl.col("article_id")).alias("url")
    )


def _headlines(kinds: NDArray[np.int8]) -> list[str]:
    return [HEADLINES[sign] for sign in np.sign(kinds.sum(axis=1, dtype=np.int64)).tolist()]


def _texts(kinds: NDArray[np.int8], drawn: Floats, tickers: pl.Series) -> list[pl.Series]:
    """The three sentences of each article, no sentence twice in one."""
    pool = pl.Series([*NEUTRAL, *GOOD, *BAD])
    kind = np.where(kinds < 0, 2, kinds).astype(np.int64)
    begin = (drawn[:, :1] * len(GOOD)).astype(np.int64)
    which: Positions = len(GOOD) * kind + (begin + np.arange(3)) % len(GOOD)
    return [_filled(pool.gather(which[:, at]).to_list(), tickers).alias(str(at)) for at in range(3)]


def _filled(templates: list[str], tickers: pl.Series) -> pl.Series:
    return pl.Series(
        "text",
        [text.replace("{}", ticker) for text, ticker in zip(templates, tickers, strict=True)],
        dtype=pl.String,
    )
