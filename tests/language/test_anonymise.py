"""Whom and when an article is about is hidden; what it says stays."""

import datetime as dt
import time

import pytest

from alfred.language.anonymise import NEVER, anonymised, anonymiser
from alfred.language.contracts import Article
from alfred.language.registry import make_digester

NAMES = {"AAPL": ["Apple Inc."], "MSFT": ["Microsoft Corporation"]}


def hidden(text: str, symbol: str = "AAPL", title: str = "") -> Article:
    return anonymised(Article("aapl-1", symbol, dt.datetime(2020, 1, 2, tzinfo=dt.UTC), title, text, "Wire"), NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Apple Inc. said revenue rose 9% to $91.8 billion.", "COMPANYX said revenue rose 9% to $91.8 billion."),
        ("Shares of APPLE (NASDAQ: AAPL) fell; $AAPL lost.", "Shares of COMPANYX (COMPANYX) fell; COMPANYX lost."),
        ("Apple's margins beat Microsoft Corp. and IBM.", "COMPANYX's margins beat OTHERCO and NAME."),
        ("Chief Executive Tim Cook said demand was strong.", "Chief Executive PERSON said demand was strong."),
        ("Luca Maestri expects growth; Maestri is upbeat.", "NAME expects growth; NAME is upbeat."),
        ("Elon R. Musk resigned.", "NAME resigned."),
        ("Mr. McMullen resigned on 5 May 2020.", "Mr. PERSON resigned on DATE."),
        ("On Tuesday, January 28, 2020 sales rose.", "On DATE, DATE sales rose."),
        ("Orders fell in November and since 2019-03-31.", "Orders fell in DATE and since DATE."),
        ("Fiscal 2021 beat FY20 and Q3 2019; the 2010s ended.", "Fiscal YEAR beat YEAR and YEAR; the YEAR ended."),
        ("Sales of $2,021 million may march on.", "Sales of $2,021 million may march on."),
        ("Harlow Tools Ltd lost a contract in New York.", "OTHERCO lost a contract in New NAME."),
        ("<b>App</b>le", "COMPANYX"),
    ],
)  # fmt: skip
def test_who_and_when_is_hidden_and_the_rest_stays(text: str, expected: str) -> None:
    assert hidden(text).text == expected


def test_a_company_without_a_name_given_is_hidden_as_a_name_or_by_its_ticker() -> None:
    article = hidden("Harlow (NYSE: HRLW) cut its outlook. Harlow shares fell.", "HRLW", "Harlow Cuts Its Outlook")
    assert article.text == "COMPANYX (COMPANYX) cut its outlook. COMPANYX shares fell."
    assert article.title == "COMPANYX Cuts Its Outlook"
    assert hidden("Harlow cut its outlook.", "HRLW").text == "NAME cut its outlook."


def test_short_tickers_hide_only_where_they_are_marked() -> None:
    assert hidden("A strong quarter for $A and (NYSE: A) and A.N holders.", "A").text == (
        "A strong quarter for COMPANYX and (COMPANYX) and COMPANYX holders."
    )


def test_nothing_beside_the_text_tells_either() -> None:
    article = hidden("Orders rose.", title="Apple gains")
    assert (article.article_id, article.publisher, article.published_at) == ("", "", NEVER)
    assert (article.symbol, article.title) == ("COMPANYX", "COMPANYX gains")
    assert anonymiser(NAMES).apply(Article("i", "AAPL", NEVER, "Apple gains", "")).title == "COMPANYX gains"


def test_the_lexicon_reads_the_same_without_names() -> None:
    """It knows none, so that hiding them must not move its tone."""
    text = "Apple raised its outlook after a strong quarter. Analysts at Goldman Sachs had feared weak demand in China."
    article = Article("i", "AAPL", NEVER, "Apple gains", text)
    lexicon = make_digester("lexicon", {"names": {"AAPL": ["Apple"]}})
    plain = lexicon.digest(article, "AAPL").digest
    changed = anonymised(article, NAMES)
    digest = lexicon.digest(changed, changed.symbol).digest
    assert digest.sentiment == pytest.approx(plain.sentiment)
    assert digest.relevance == plain.relevance


@pytest.mark.parametrize("part", ["A", "Aa ", "Aa-", "Mr. ", "1/", "May ", "A. ", "Inc ", "A, ", "($", "2020-", "of A"])
def test_time_grows_with_the_length_alone(part: str) -> None:
    begun = time.process_time()
    hidden(part * (20_000 // len(part)))
    assert time.process_time() - begun < 2
