# ruff: noqa: SIM905 -- words are read as running text
"""What every digester promises that runs without a server. A new file is tested here by its name."""

import functools
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from injections import INJECTIONS, TITLE, article, base, injected
from small_bert import small_bert

from alfred.core.errors import AlfredError, ConfigError, MissingExtraError
from alfred.core.settings import Settings
from alfred.language.contracts import Article, Digest, Digested
from alfred.language.quotations import missing
from alfred.language.registry import digester_names, make_digester, settings_class
from alfred.language.text import read

SERVERS = {"endpoint"}
"""Digesters that ask a server: their own tests start one."""
NAMES = tuple(name for name in digester_names() if name not in SERVERS)
TITLES = ("", TITLE, "Profit rises", "Sales slump at Harlow")
ODD = (
    "",
    " \n\n ",
    "\x00\x01\u202e\u200b",
    "<" * 5000,
    "(" * 5000,
    "profit rose " * 20_000,
    "Umsatz und Gewinn sind stark gestiegen.",
    "利润大幅增长。",
    "!!! ??? ...",
    "1 2 3 4 5 6 7 8 9 10 from 3 to 4 compared with 5",
    "\ud800 profit rose",
    "a" * 50_000 + " profit rose sharply",
    "not not not never no profit without loss",
)


NETWORKS = {"embedding", "finbert"}
CASES = [pytest.param(name, marks=pytest.mark.slow) if name in NETWORKS else name for name in NAMES]


@functools.cache
def made(name: str, named: bool = False):
    """The digester, or a reason to skip; `named` tells it the company's name."""
    options = {"names": {"HRLW": ["Harlow Tools"]}} if named else {}
    if name == "finbert":
        options["folder"] = str(small_bert(Path(tempfile.mkdtemp())))
    try:
        return make_digester(name, options)
    except MissingExtraError as error:
        return error


@pytest.fixture(params=CASES)
def digester(request: pytest.FixtureRequest):
    found = made(request.param)
    if isinstance(found, AlfredError):
        pytest.skip(str(found))
    return found


def digest(digester, of: Article) -> Digest:
    found = digester.digest(of, of.symbol)
    assert isinstance(found, Digested)
    return found.digest


def test_there_are_digesters() -> None:
    assert {"lexicon", "embedding", "finbert"} <= set(NAMES)
    assert not isinstance(made("lexicon"), AlfredError)


@pytest.mark.parametrize("name", digester_names())
def test_settings_have_defaults_and_refuse_unknown_keys(name: str) -> None:
    assert issubclass(settings_class(name), Settings)
    with pytest.raises(ConfigError, match=f"settings of digester {name}: unknown setting 'nmaes'"):
        make_digester(name, {"nmaes": {}})


def test_an_unknown_digester_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no 'lexikon' among the digesters; did you mean 'lexicon'\?"):
        make_digester("lexikon")


def test_it_says_what_it_is(digester) -> None:
    assert digester.name in NAMES
    assert digester.model
    assert digester.prompt_version
    assert digester.concurrency >= 1
    assert digester.knowledge_cutoff is None or isinstance(digester.knowledge_cutoff, date)


def test_settings_show_in_the_version(digester) -> None:
    other = made(digester.name, named=True)
    assert other.prompt_version != digester.prompt_version
    assert other.model == digester.model


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:12]))
def test_odd_texts_are_digested(digester, text: str) -> None:
    for title in TITLES[:2]:
        of = article(text, title)
        found = digest(digester, of)
        assert not missing(found.quotations, read(of).whole)


def test_quotations_occur_and_stand_in_the_rationale(digester) -> None:
    found = digest(digester, base())
    assert found.quotations
    assert not missing(found.quotations, read(base()).whole)
    assert all(quotation in found.rationale for quotation in found.quotations)


def test_a_second_reading_is_the_same(digester) -> None:
    first = digest(digester, base())
    for text in ("Profit fell.", "x" * 3000, "", "Shares of all its rivals collapsed. Nobody was spared."):
        digest(digester, article(text))
    assert digest(digester, base()) == first
    another = digest(made(digester.name, named=True), base())
    assert (another.sentiment, another.outlook, another.rationale) == (first.sentiment, first.outlook, first.rationale)


def test_neither_key_nor_date_nor_publisher_moves_it(digester) -> None:
    other = Article("x", "HRLW", datetime(1999, 1, 1, tzinfo=UTC), TITLE, base().text)
    assert digest(digester, other) == digest(digester, base())


@pytest.mark.parametrize("injection", INJECTIONS, ids=range(len(INJECTIONS)))
def test_injected_texts_change_nothing(digester, injection: str) -> None:
    untouched = digest(digester, base())
    for at in range(4):
        assert digest(digester, injected(injection, at)) == untouched


VOCABULARY = """profit loss rose fell not no costs from to 4.1m 3.8m but despite although expected below estimates
    strong Harlow Tools Inc. HRLW $AAPL growth slowed , . ; ? offset by record 2021 % beat missed guidance 5 -"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n\n"])


@pytest.mark.parametrize("name", ["lexicon"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(words=st.lists(WORDS, max_size=60), title=st.lists(WORDS, max_size=8))
def test_whatever_the_words_the_schema_holds(name: str, words: list[str], title: list[str]) -> None:
    of = article(" ".join(words), " ".join(title))
    found = digest(made(name), of)
    assert not missing(found.quotations, read(of).whole)
    assert found == digest(made(name), of)
