"""Columns of announced earnings, macro series, insiders' filings and digests."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import close_instants, day, decision_dates
from alfred.core.errors import ConfigError
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import INSTANT, TABLES
from alfred.language.stories import stories
from alfred.panel.features import earnings, insiders, language, macro
from alfred.panel.sources import ArticleSettings, FillDays, Sources
from alfred.panel.tables import Tables

DATES = decision_dates(day("2010-01-04"), day("2011-12-30"))
SYMBOLS = ("A", "B")
NOTHING = Tables(bars=pl.DataFrame(), market=pl.DataFrame())
FEATURES = {feature.name: feature for family in (earnings, insiders, language, macro) for feature in family.FEATURES}


def sources(**tables: pl.DataFrame) -> Sources:
    """Nothing but the tables named; these columns need no bars."""
    return Sources(DATES, SYMBOLS, None, replace(NOTHING, **tables))  # type: ignore[arg-type]


def value(given: Sources, name: str) -> np.ndarray:
    found = FEATURES[name].compute(given)
    assert found.shape == (len(given.dates), len(given.symbols))
    assert found.dtype == np.float64
    return found


def at(text: str) -> dt.datetime:
    """Noon, or the hour given, in UTC."""
    return dt.datetime.fromisoformat(text if "T" in text else f"{text}T12:00").replace(tzinfo=dt.UTC)


def table(name: str, rows: list[dict], **others: pl.DataType) -> pl.DataFrame:
    return pl.DataFrame([{"source": "test", **row} for row in rows], schema=TABLES[name].schema | others)


def report(symbol: str, end: str, known: str, **values: float | str | None) -> dict:
    announced = values.pop("announced", known[:10])
    return {
        "symbol": symbol, "period_end": dt.date.fromisoformat(end), "known_at": at(known),
        "announced": announced and dt.date.fromisoformat(str(announced)), **values,
    }  # fmt: skip


# Earnings


def earnings_of(*rows: dict, actions: list[dict] | None = None) -> Sources:
    return sources(earnings=table("earnings", list(rows)), actions=table("actions", actions or []))


def test_the_latest_quarter_announced_counts_until_it_is_too_old() -> None:
    given = earnings_of(
        report("A", "2010-03-31", "2010-04-20", reported_eps=1.0, estimated_eps=0.8, surprise=0.2, surprise_pct=25.0),
        report("A", "2010-06-30", "2010-07-20", reported_eps=1.1, estimated_eps=1.0, surprise=0.1, surprise_pct=10.0),
    )
    nan = np.nan
    assert DATES[1:5].astype(str).tolist() == ["2010-06-30", "2010-09-30", "2010-12-31", "2011-03-31"]
    for name, first, second in (
        ("reportedEPS", 1.0, 1.1), ("estimatedEPS", 0.8, 1.0), ("surprise", 0.2, 0.1), ("surprisePercentage", 25, 10),
    ):  # fmt: skip
        np.testing.assert_array_equal(value(given, name)[:, 0], [nan, first, second, second, nan, nan, nan, nan])
        assert np.isnan(value(given, name)[:, 1]).all()
    days = value(given, "days_since_report")[:, 0]
    np.testing.assert_array_equal(days, [nan, 71, 72, 164, nan, nan, nan, nan])
    for limit, last in ((164, 1.1), (163, nan)):
        limited = replace(given, fill_days=FillDays(earnings=limit))
        np.testing.assert_array_equal(value(limited, "reportedEPS")[:5, 0], [nan, 1.0, 1.1, last, nan])


def test_an_announcement_after_the_close_counts_on_the_next_date() -> None:
    close = "2010-06-30T20:00"
    given = earnings_of(
        report("A", "2010-05-31", close, reported_eps=1.0),
        report("B", "2010-05-31", f"{close}:00.000001", reported_eps=1.0),
    )
    np.testing.assert_array_equal(value(given, "reportedEPS")[1], [1.0, np.nan])
    np.testing.assert_array_equal(value(given, "reportedEPS")[2], [1.0, 1.0])


def test_a_correction_counts_as_a_whole_from_when_it_was_known_and_an_older_quarter_never_again() -> None:
    given = earnings_of(
        report("A", "2010-03-31", "2010-04-20", reported_eps=1.0, estimated_eps=0.8, surprise=0.2),
        report("A", "2010-03-31", "2010-08-01", reported_eps=1.5, announced="2010-04-20"),
        report("A", "2009-12-31", "2010-08-02", reported_eps=9.0, announced="2010-02-02"),
    )
    np.testing.assert_array_equal(value(given, "reportedEPS")[:3, 0], [np.nan, 1.0, 1.5])
    np.testing.assert_array_equal(value(given, "estimatedEPS")[:3, 0], [np.nan, 0.8, np.nan])
    np.testing.assert_array_equal(value(given, "surprise")[:3, 0], [np.nan, 0.2, np.nan])
    # It was announced in April, whenever it was corrected.
    np.testing.assert_array_equal(value(given, "days_since_report")[:3, 0], [np.nan, 71, 163])


def test_an_estimate_of_the_coming_quarter_leaves_the_last_one_in_place() -> None:
    given = earnings_of(
        report("A", "2010-03-31", "2010-04-20", reported_eps=1.0),
        report("A", "2010-06-30", "2010-06-01", estimated_eps=2.0, announced="2010-07-20"),
    )
    assert value(given, "reportedEPS")[1, 0] == 1.0
    assert np.isnan(value(given, "estimatedEPS")[1, 0])


def test_a_surprise_that_the_source_does_not_tell_is_worked_out() -> None:
    given = earnings_of(
        report("A", "2010-03-31", "2010-04-20", reported_eps=-0.3, estimated_eps=-0.4),
        report("B", "2010-03-31", "2010-04-20", reported_eps=0.3, estimated_eps=0.0, surprise_pct=17.0),
        report("A", "2010-06-30", "2010-07-20", reported_eps=1.0, surprise=0.0, surprise_pct=0.0),
        report("B", "2010-06-30", "2010-07-20", reported_eps=1.0, estimated_eps=float("inf")),
    )
    np.testing.assert_allclose(value(given, "surprise")[1:3], [[0.1, 0.3], [np.nan, np.nan]])
    np.testing.assert_allclose(value(given, "surprisePercentage")[1:3], [[25, np.nan], [np.nan, np.nan]])


def test_earnings_a_share_are_on_the_share_basis_of_the_date() -> None:
    def split(symbol: str, date: str, ratio: float) -> dict:
        return {
            "symbol": symbol, "date": dt.date.fromisoformat(date), "kind": "split", "ratio": ratio,
            "known_at": at(date),
        }  # fmt: skip

    rows = [report(name, "2010-03-31", "2010-04-20", reported_eps=1.2, estimated_eps=0.9) for name in SYMBOLS]
    # Before the announcement, between it and the first date, between the two dates, and after both.
    actions = [split("A", day, 2.0) for day in ("2010-04-19", "2010-05-03", "2010-08-02", "2010-10-04")]
    given = earnings_of(*rows, actions=actions)
    np.testing.assert_allclose(value(given, "reportedEPS")[1:3], [[0.6, 1.2], [0.3, 1.2]])
    np.testing.assert_allclose(value(given, "estimatedEPS")[1:3], [[0.45, 0.9], [0.225, 0.9]])
    np.testing.assert_allclose(value(given, "surprise")[1:3], [[0.15, 0.3], [0.075, 0.3]])
    np.testing.assert_allclose(value(given, "surprisePercentage")[1:3], 100 / 3)


# Macro


def point(series: str, date: str, known: str, level: float | None, source: str = "test") -> dict:
    return {
        "series": series, "date": dt.date.fromisoformat(date), "known_at": at(known), "value": level, "source": source,
    }  # fmt: skip


def test_a_series_gives_its_latest_day_in_the_vintage_known_last() -> None:
    given = sources(
        series=table(
            "series",
            [
                point("10year", "2010-03-29", "2010-03-30", 3.8),
                point("10year", "2010-03-30", "2010-03-31", 3.9),
                # Known after the close, and revised later.
                point("10year", "2010-03-31", "2010-03-31T21:00", 9.9),
                point("10year", "2010-06-29", "2010-06-29", 3.0, "one"),
                point("10year", "2010-06-29", "2010-06-30", 3.1, "another"),
                point("10year", "2010-06-28", "2010-06-30T15:00", 7.0),
                point("10year", "2010-06-30", "2010-06-30", None),
                # Ten days old, and eleven.
                point("10year", "2010-09-20", "2010-09-20", 2.5),
                point("10year", "2010-12-20", "2010-12-20", 2.6),
                # A source that claims to know a day before it came.
                point("10year", "2011-06-01", "2011-03-31", 99.0),
                point("2year", "2010-03-30", "2010-03-30", 1.0),
            ],
        )
    )
    nan = np.nan
    for column in (0, 1):
        np.testing.assert_array_equal(value(given, "10year")[:5, column], [3.9, 3.1, 2.5, nan, nan])
        np.testing.assert_allclose(value(given, "yield_slope")[:3, column], [2.9, nan, nan])
    assert np.isnan(value(given, "SPY")).all()


def test_nothing_is_filled_backwards_before_a_series_begins() -> None:
    given = sources(series=table("series", [point("BTC=F", "2011-06-30", "2011-06-30", 15.0)]))
    np.testing.assert_array_equal(np.isfinite(value(given, "BTC=F")[:, 0]), DATES.astype(str) == "2011-06-30")


def test_prices_have_relative_deltas_and_rates_absolute_ones() -> None:
    relative = {feature.name for feature in macro.FEATURES if feature.delta == "relative"}
    assert relative == {"SPY", "CL=F", "BZ=F", "GC=F", "BTC=F"}
    absolute = {feature.name for feature in macro.FEATURES if feature.delta == "absolute"}
    assert absolute == {"^VIX", "2year", "3year", "5year", "10year", "yield_slope"}


# Insiders


def filing(symbol: str, known: str, number: int, **values: float | None) -> dict:
    return {
        "accession": f"{symbol}-{known}", "line": number, "symbol": symbol, "known_at": at(known),
        "trade_date": at(known).date(), **values,
    }  # fmt: skip


def test_insiders_trades_are_summed_over_the_quarter_of_their_filing() -> None:
    given = sources(
        insider=table(
            "insider",
            [
                filing("A", "2010-03-31T20:00", 1, acquired_shares=1.0, acquired_value=7.0),
                filing("A", "2010-03-31T20:01", 1, acquired_shares=1.0, acquired_value=20.0),
                filing("A", "2010-06-30T20:00", 1, acquired_shares=1.0, acquired_value=30.0, disposed_shares=0.0),
                filing("A", "2010-06-30T20:01", 1, disposed_shares=2.0, disposed_value=50.0),
                # One line with a value and one without; one without only; one of 0 USD; one that tells nothing.
                filing("A", "2010-11-01", 1, disposed_shares=2.0),
                filing("A", "2010-11-01", 2, disposed_shares=3.0, disposed_value=8.0),
                filing("A", "2011-02-01", 1, acquired_shares=2.0),
                filing("A", "2011-05-02", 1, acquired_shares=2.0, acquired_value=0.0),
                filing("A", "2011-08-01", 1),
            ],
        )
    )
    nan = np.nan
    np.testing.assert_array_equal(value(given, "insider_acquisition")[:, 0], [7, 50, 0, 0, nan, nan, nan, 0])
    np.testing.assert_array_equal(value(given, "insider_disposal")[:, 0], [0, 0, 50, 8, 0, 0, nan, 0])
    # No filing was ever seen of B: nobody may have looked.
    assert np.isnan(value(given, "insider_acquisition")[:, 1]).all()


def test_a_symbol_without_filings_for_long_is_not_taken_for_one_without_trades() -> None:
    rows = [filing("A", "2010-03-31T20:00", 1, acquired_shares=1.0, acquired_value=7.0)]
    given = replace(sources(insider=table("insider", rows)), fill_days=FillDays(insider=91))
    assert (DATES[1] - DATES[0]).astype(int) == 91
    nan = np.nan
    np.testing.assert_array_equal(value(given, "insider_acquisition")[:4, 0], [7, 0, nan, nan])
    np.testing.assert_array_equal(value(given, "insider_disposal")[:4, 0], [0, 0, nan, nan])


# Language


def digest(number: int, known: str, *scores: float | None, published: str | None = None, version: str = "1") -> dict:
    relevance, sentiment, outlook = scores
    return {
        "article_id": str(number), "digester": "lexicon", "prompt_version": version, "model": "m", "symbol": "A",
        "relevance": relevance, "sentiment": sentiment, "outlook": outlook, "known_at": at(known),
        "published_at": at(published or known),
    }  # fmt: skip


def digested(*rows: dict) -> Sources:
    return sources(digests=table("digests", list(rows), symbol=pl.String(), published_at=INSTANT))


def test_scores_are_weighted_by_relevance_over_the_quarter() -> None:
    given = digested(
        digest(1, "2010-01-05", 0.5, 0.4, -1.0),
        digest(2, "2010-02-01", None, -0.2, 0.5),
        digest(3, "2010-02-01", 0.0, -1.0, -1.0),
        digest(4, "2010-03-31T20:00", 0.5, None, 0.5),
        digest(5, "2010-03-31T20:01", 1.0, 0.3, None),
    )
    # The close is at 20:00, 85 1/3, 58 1/3 and 0 days after them; every 45 days halve.
    old, new = 0.5 * 0.5 ** (85 / 45 + 1 / 135), 0.5 ** (58 / 45 + 1 / 135)
    mean = (old * 0.4 - new * 0.2) / (old + new)
    spread = np.sqrt((old * (0.4 - mean) ** 2 + new * (-0.2 - mean) ** 2) / (old + new))
    outlook = (-old + new * 0.5 + 0.5 * 0.5) / (old + new + 0.5)
    nan = np.nan
    np.testing.assert_allclose(value(given, "mean_sentiment")[:3, 0], [mean, 0.3, nan])
    np.testing.assert_allclose(value(given, "mean_outlook")[:3, 0], [outlook, nan, nan])
    np.testing.assert_allclose(value(given, "sentiment_disagreement")[:3, 0], [spread, nan, nan])
    # Zero for 400 days from the last one, which came the minute after the first date's close.
    np.testing.assert_array_equal(value(given, "article_count")[:, 0], [4, 1, 0, 0, 0, nan, nan, nan])
    assert np.isnan(value(given, "article_count")[:, 1]).all()


def test_with_an_endless_half_life_all_days_weigh_alike() -> None:
    rows = (digest(1, "2010-01-05", 1.0, 0.4, -1.0), digest(2, "2010-03-30", 0.5, -0.2, 0.5))
    given = replace(digested(*rows), articles=ArticleSettings(half_life_days=1e6))
    assert value(given, "mean_sentiment")[0, 0] == pytest.approx((0.4 - 0.5 * 0.2) / 1.5, rel=1e-4)


def told(*rows: tuple[int, str, int, float | None]) -> pl.DataFrame:
    """Rows of the table `stories`: article, known_at, first copy, likeness."""
    forms = [
        {"article_id": str(article), "known_at": at(known), "symbol": "A", "story": str(story), "likeness": likeness}
        for article, known, story, likeness in rows
    ]
    return table("stories", forms)


def test_copies_of_a_story_count_once_at_the_time_of_the_first() -> None:
    given = digested(
        digest(1, "2010-03-31", 1.0, 0.4, 0.1),
        digest(2, "2010-03-31T21:00", 1.0, -0.9, 0.1),
        digest(3, "2010-03-31T19:00", 1.0, -0.5, 0.1),
        digest(4, "2010-04-20", 1.0, 0.3, 0.1),
        digest(5, "2010-04-21", 1.0, 0.9, 0.1),
    )
    days = ((1, "2010-03-31"), (2, "2010-03-31T21:00"), (3, "2010-03-31T19:00"), (4, "2010-04-20"), (5, "2010-04-21"))
    firsts = ((1, 0.1), (1, None), (3, 0.8), (9, None), (9, None))
    stories = told(*((*day, *first) for day, first in zip(days, firsts, strict=True)))
    given = replace(given, tables=replace(given.tables, stories=stories))
    np.testing.assert_array_equal(value(given, "article_count")[:3, 0], [2, 1, 0])
    # The copy after the close is that of an article before it; article 9 was not digested, and 4 is its first copy.
    np.testing.assert_allclose(value(given, "mean_sentiment")[:2, 0], [-0.05, 0.3], atol=3e-3)
    # Of articles 1 and 3 the first was news; of 4 it is not known.
    np.testing.assert_allclose(value(given, "novelty")[:2, 0], [0.5, np.nan], atol=3e-3)
    strict = replace(given, articles=ArticleSettings(novel_below=0.05))
    assert value(strict, "novelty")[0, 0] == 0


def test_articles_that_agree_do_not_disagree() -> None:
    given = digested(*(digest(at, "2010-02-01", 0.1 * at, 0.7, 0.0) for at in range(1, 8)))
    assert value(given, "sentiment_disagreement")[0, 0] == pytest.approx(0, abs=1e-15)
    assert value(given, "mean_sentiment")[0, 0] == pytest.approx(0.7)


def test_a_digest_counts_once_both_it_and_its_article_are_out() -> None:
    given = digested(
        digest(1, "2010-02-01", 1.0, 0.5, 0.5, published="2010-04-05"),
        digest(2, "2010-07-05", 1.0, -0.5, 0.5, published="2010-02-01"),
    )
    np.testing.assert_array_equal(value(given, "mean_sentiment")[:4, 0], [np.nan, 0.5, -0.5, np.nan])


def test_one_digester_is_used_and_several_ask_for_a_choice() -> None:
    given = digested(digest(1, "2010-02-01", 1.0, 0.5, 0.5), digest(1, "2010-02-01", 1.0, -0.5, 0.5, version="2"))
    with pytest.raises(ConfigError, match=r"lexicon/1, lexicon/2.*panel.digester"):
        value(given, "mean_sentiment")
    assert value(replace(given, digester="lexicon/1"), "mean_sentiment")[0, 0] == 0.5
    assert value(replace(given, digester="lexicon"), "mean_sentiment")[0, 0] == -0.5


# All of them, on a whole market

MARKET = generate(SyntheticSettings(symbols=16, first_year=2004, years=6, articles_per_quarter=3, seed=5))
SPAN = decision_dates(day("2004-01-02"), day("2009-12-31"))
TICKERS = tuple(MARKET.tables["bars"]["symbol"].unique().sort())


def scored(articles: pl.DataFrame) -> pl.DataFrame:
    """Digests whose numbers are made of the articles' names."""
    share = [(pl.col("article_id").hash(seed) % 1000 / 1000).alias(name) for seed, name in enumerate("abc")]
    return articles.with_columns(share).select(
        "article_id", "symbol", "published_at", "known_at", "source", digester=pl.lit("test"),
        prompt_version=pl.lit("1"), model=pl.lit("m"), relevance="a", sentiment=2 * pl.col("b") - 1,
        outlook=2 * pl.col("c") - 1,
    )  # fmt: skip


WHOLE = replace(
    NOTHING,
    digests=scored(MARKET.tables["articles"]),
    stories=stories(MARKET.tables["articles"]),
    **{name: MARKET.tables[name] for name in ("actions", "earnings", "series", "insider")},
)


def market(tables: Tables) -> Sources:
    return Sources(SPAN, TICKERS, None, tables)  # type: ignore[arg-type]


def columns(tables: Tables) -> dict[str, np.ndarray]:
    given = market(tables)
    return {name: feature.compute(given) for name, feature in FEATURES.items()}


COLUMNS = columns(WHOLE)


def test_no_value_is_infinite_and_every_column_has_values() -> None:
    there = set(WHOLE.series["series"].unique())
    for name, found in COLUMNS.items():
        assert not np.isinf(found).any(), name
        wanted = FEATURES[name].tables != ("series",) or name == "yield_slope" or name in there
        assert np.isfinite(found).mean() > (0.3 if wanted else -1), name


@pytest.mark.parametrize("quarter", [3, 11, 20])
def test_columns_agree_with_a_plain_search_in_the_tables(quarter: int) -> None:
    close = pl.lit(close_instants(SPAN)[quarter]).dt.replace_time_zone("UTC")
    since = pl.lit(close_instants(SPAN)[quarter - 1]).dt.replace_time_zone("UTC")
    before = pl.col("known_at") <= close
    reports = WHOLE.earnings.filter(before).sort("period_end", "known_at").group_by("symbol").last()
    lines = WHOLE.insider.filter(before & (pl.col("known_at") > since))
    about = WHOLE.digests.join(WHOLE.stories.select("article_id", "story"), on="article_id")
    firsts = about.filter(pl.col("story") == pl.col("article_id"))
    news = firsts.filter(before & (pl.col("known_at") > since))
    compared = 0
    for at_symbol, symbol in enumerate(TICKERS):
        cell = {name: found[quarter, at_symbol] for name, found in COLUMNS.items()}
        mine = pl.col("symbol") == symbol
        for told in reports.filter(mine).iter_rows(named=True):
            age = (SPAN[quarter].item() - told["announced"]).days
            expected = told["surprise_pct"] if age <= 200 else None
            np.testing.assert_array_equal(cell["surprisePercentage"], np.nan if expected is None else expected)
            compared += 1
        assert cell["article_count"] == len(news.filter(mine)) or np.isnan(cell["article_count"])
        if len(articles := news.filter(mine)):
            days = articles.select((close - pl.col("known_at")).dt.total_microseconds()).to_series() / 86_400e6
            weight = articles["relevance"].to_numpy() * 0.5 ** (days.to_numpy() / 45)
            mean = np.average(articles["outlook"].to_numpy(), weights=weight)
            assert cell["mean_outlook"] == pytest.approx(mean, rel=1e-12)
        if len(traded := lines.filter(mine)):
            assert cell["insider_disposal"] == pytest.approx(traded["disposed_value"].sum(), rel=1e-12)
    assert compared > 5
    yields = WHOLE.series.filter(before & (pl.col("series") == "5year")).sort("date")
    assert (COLUMNS["5year"][quarter] == yields["value"][-1]).all()


@pytest.mark.parametrize("quarter", [2, 7, 12, 18, 22])
def test_another_future_moves_nothing_to_the_last_bit(quarter: int) -> None:
    deadline = pl.lit(close_instants(SPAN)[quarter]).dt.replace_time_zone("UTC")
    rng = np.random.default_rng(quarter)

    def altered(frame: pl.DataFrame) -> pl.DataFrame:
        late = pl.col("known_at") > deadline
        numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64]
        noise = {name: pl.Series(np.exp(rng.normal(2, 1.5, len(frame)))) for name in numbers}
        changed = frame.with_columns(
            pl.when(late & pl.col(name).is_not_null()).then(noise[name]).otherwise(pl.col(name)).alias(name)
            for name in numbers
        )
        return changed.filter(~late | pl.Series(rng.random(len(frame)) > 0.3))

    names = ("actions", "digests", "earnings", "series", "insider", "stories")
    other = columns(replace(WHOLE, **{name: altered(getattr(WHOLE, name)) for name in names}))
    for name, found in COLUMNS.items():
        assert found[: quarter + 1].tobytes() == other[name][: quarter + 1].tobytes(), name
    moved = [name for name, found in COLUMNS.items() if not np.array_equal(found, other[name], equal_nan=True)]
    assert {"reportedEPS", "5year", "insider_disposal", "mean_sentiment", "article_count", "novelty"} <= set(moved)
