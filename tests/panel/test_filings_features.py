"""Columns of digested filings."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import day, decision_dates
from alfred.core.errors import ConfigError
from alfred.lake.tables import TABLES
from alfred.panel.features.filings import FEATURES
from alfred.panel.sources import FillDays, Sources
from alfred.panel.tables import Tables

DATES = decision_dates(day("2010-01-04"), day("2011-12-30"))
NOTHING = Tables(bars=pl.DataFrame(), market=pl.DataFrame())
COLUMNS = {feature.name: feature for feature in FEATURES}
NAN = np.nan
SCHEMA = TABLES["digests"].schema | TABLES["filing_sections"].schema


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text if "T" in text else f"{text}T12:00").replace(tzinfo=dt.UTC)


def section(
    filing: str, item: str, known: str, words: int = 100, *, form: str = "10-Q", reader: str = "research-lexicon",
    published: str | None = None, **numbers: float | None,
) -> dict:  # fmt: skip
    return {
        "article_id": f"{filing}#{item}", "digester": reader, "prompt_version": "1", "model": "m", "symbol": "A",
        "filing": filing, "item": item, "form": form, "words": words, "known_at": at(known), "source": "edgar",
        "published_at": at(published or known), **numbers,
    }  # fmt: skip


def sources(*rows: dict) -> Sources:
    given = replace(NOTHING, filings=pl.DataFrame(list(rows), schema=SCHEMA))
    return Sources(DATES, ("A", "B"), None, given)  # type: ignore[arg-type]


def value(given: Sources, name: str) -> np.ndarray:
    found = COLUMNS[name].compute(given)
    assert found.shape == (len(DATES), 2)
    assert np.isnan(found[:, 1]).all()
    return found[:, 0]


def test_sections_of_the_last_report_are_weighted_by_words() -> None:
    given = sources(
        section("q1", "I-2", "2010-02-01", 300, cosine=0.9, jaccard=0.6, tone_change=0.2, outlook=0.4),
        section("q1", "II-1A", "2010-02-01", 100, cosine=0.5, jaccard=0.2, tone_change=-1.0, outlook=-0.4),
        section("q2", "I-2", "2010-05-03", 300, outlook=0.1),
        section("q2", "II-1A", "2010-05-03", 100, cosine=0.7, jaccard=0.3, tone_change=0.0, outlook=None),
        section("k", "7", "2010-08-02", 100, form="10-K", outlook=-0.5),
    )
    np.testing.assert_allclose(value(given, "filing_similarity")[:4], [0.8, 0.7, NAN, NAN])
    np.testing.assert_allclose(value(given, "filing_jaccard")[:4], [0.5, 0.3, NAN, NAN])
    np.testing.assert_allclose(value(given, "filing_tone_change")[:4], [-0.1, 0, NAN, NAN], atol=1e-15)
    np.testing.assert_allclose(value(given, "filing_outlook")[:4], [0.2, 0.1, -0.5, -0.5])
    np.testing.assert_array_equal(value(given, "days_since_digested_filing"), [58, 58, 59, 151, NAN, NAN, NAN, NAN])


def test_a_report_after_the_close_counts_for_the_next_date() -> None:
    # 31 March 2010 closes at 20:00 UTC.
    for known, first in (("2010-03-31T20:00", 0.4), ("2010-03-31T20:01", NAN)):
        given = sources(section("q1", "I-2", known, outlook=0.4, cosine=0.5))
        np.testing.assert_array_equal(value(given, "filing_outlook")[:2], [first, 0.4])
        np.testing.assert_array_equal(value(given, "filing_similarity")[:2], [first if np.isnan(first) else 0.5, 0.5])
    late = sources(section("q1", "I-2", "2010-02-01", published="2010-05-01", outlook=0.4))
    np.testing.assert_array_equal(value(late, "filing_outlook")[:2], [NAN, 0.4])


def test_old_reports_are_missing_rather_than_repeated() -> None:
    given = sources(section("q1", "I-2", "2010-03-31T19:00", outlook=0.4))
    short = replace(given, fill_days=FillDays(filings=91))
    np.testing.assert_array_equal(value(short, "filing_outlook")[:3], [0.4, 0.4, NAN])
    np.testing.assert_array_equal(value(given, "filing_outlook")[:4], [0.4, 0.4, 0.4, NAN])


def test_events_count_in_their_quarter_only() -> None:
    given = sources(
        section("e1", "2.02", "2010-02-01", 10, form="8-K", outlook=0.5),
        section("e1", "5.02", "2010-02-01", 900, form="8-K", outlook=-0.1),
        section("e2", "8.01", "2010-04-05", form="8-K", outlook=None),
        section("e3", "8.01", "2010-07-05", form="8-K", outlook=-1.0),
    )
    np.testing.assert_allclose(value(given, "event_outlook")[:4], [0.2, NAN, -1, NAN])
    assert np.isnan(value(given, "filing_outlook")).all()


def test_without_filings_everything_is_missing() -> None:
    for name in COLUMNS:
        assert np.isnan(value(sources(), name)).all()


def test_several_digesters_of_filings_ask_for_a_choice() -> None:
    given = sources(
        section("q1", "I-2", "2010-02-01", outlook=0.4),
        section("q1", "I-2", "2010-02-01", outlook=-0.4, reader="research-endpoint"),
    )
    with pytest.raises(ConfigError, match=r"research-endpoint/1, research-lexicon/1.*set panel.filings_digester"):
        value(given, "filing_outlook")
    chosen = replace(given, filings_digester="research-endpoint", digester="lexicon")
    assert value(chosen, "filing_outlook")[0] == -0.4
