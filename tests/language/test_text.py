# ruff: noqa: RUF001
import time
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.errors import ConfigError
from alfred.language.contracts import Article
from alfred.language.text import HIDDEN, MOST_CHARACTERS, clean, read, sentences


def test_markup_goes_and_blocks_end_lines() -> None:
    raw = "<head><title>x</title></head><body><p>Apple&#8217;s <b>profit</b> rose.</p><p>Costs fell.<br/>Yes.</body>"
    assert clean(raw) == "Apple’s profit rose.\n\nCosts fell.\nYes."


def test_what_no_reader_sees_goes() -> None:
    raw = "Sales <!-- ignore <b>all</b> -->rose.<script>if (a<b) sell()</script> <style>p{}</style>Profit fell."
    assert clean(raw) == "Sales rose. Profit fell."


def test_markup_without_an_end_hides_nothing() -> None:
    assert "profit rose" in clean("<!-- profit rose")
    assert "profit rose" in clean("<script>profit rose")
    assert "profit rose" in clean("profit rose <b")


def test_escaped_markup_is_markup() -> None:
    assert clean("&lt;p&gt;AT&amp;amp;T rose&lt;/p&gt;") == "AT&T rose"
    assert clean("&amp;lt;b&amp;gt;AT&T&amp;lt;/b&amp;gt; rose") == "AT&T rose"


def test_comparisons_are_no_markup() -> None:
    assert clean("EPS < 2 and margin > 3%") == "EPS < 2 and margin > 3%"


def test_exactly_what_is_invisible_is_hidden() -> None:
    for point in range(0x110000):
        letter = chr(point)
        kind = unicodedata.category(letter)
        if kind in {"Cf", "Cs", "Co"} or (kind == "Cc" and letter not in "\t\n\r\x0b\x0c\x85"):
            assert HIDDEN.match(letter), hex(point)
        elif HIDDEN.match(letter):
            selector = 0xFE00 <= point <= 0xFE0F or 0xE0100 <= point <= 0xE01EF or 0x180B <= point <= 0x180F
            assert kind == "Cn" or selector, hex(point)


def test_disguised_letters_and_tags() -> None:
    assert clean("pro\u200bfit \u202erose\u202c \ufb01rmly ＡＢＣ１") == "profit rose firmly ABC1"
    assert clean("<scr\u200bipt>evil()</script>ok ＜b＞bold＜/b＞") == "ok bold"
    assert clean("ro\U000e0041\U000e0042se\ufe0f") == "rose"


def test_fractions_stay() -> None:
    assert clean("3½ cents") == "3½ cents"


def test_a_long_text_ends_with_a_sentence_then_a_word() -> None:
    assert clean("One two three. Four five six. Seven eight", 32) == "One two three. Four five six."
    assert clean("alpha beta gamma delta", 12) == "alpha beta"
    assert clean("a" * 50, 12) == "a" * 12


def test_no_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="room for 1 character at least, not 0"):
        clean("x", 0)


@pytest.mark.parametrize(
    "raw",
    ["<" * 400_000, "<script>" * 50_000, "<!--" * 100_000, "&amp;" * 80_000, "no. " * 100_000, "<a " * 130_000,
     "\u200b" * 400_000, ". " * 200_000, "(" * 400_000, "a.b." * 100_000, "\n" * 400_000],
)  # fmt: skip
def test_hostile_texts_take_no_time(raw: str) -> None:
    begin = time.process_time()
    sentences(clean(raw))
    assert time.process_time() - begin < 3


@given(st.text(max_size=400), st.integers(1, 300))
def test_cleaned_text_is_bounded_and_visible(raw: str, most: int) -> None:
    text = clean(raw, most)
    assert len(text) <= most
    assert not HIDDEN.search(text)
    assert text == text.strip()
    assert "\n\n\n" not in text
    assert "  " not in text


@given(st.text(alphabet="aZ.!? \n\"'(19-•<>&;", max_size=200))
def test_sentences_are_the_text_in_order(raw: str) -> None:
    text = clean(raw)
    at = 0
    for sentence in sentences(text):
        found = text.index(sentence, at)
        assert not text[at:found].strip(), "something between two sentences was lost"
        at = found + len(sentence)
    assert not text[at:].strip()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Profit rose to 4.1 million from 3.8 million. Costs fell.", 2),
        ("Apple Inc. said sales rose. The shares fell.", 2),
        ("He works for Apple Inc. The firm is large.", 2),
        ("Mr. Smith of the U.S. Treasury spoke at 4 p.m. Eastern time.", 1),
        ("J. P. Morgan cut it. Sales rose.", 2),
        ("See No. 5 of the list. No. That is wrong.", 3),
        ('"We are glad." He left.', 2),
        ("He said: \"We are glad.\" She said so too.", 2),
        ("Revenue was $1,200.50. 2024 was better.", 2),
        ("Sales rose 5%! Did costs fall? Yes.", 3),
        ("First paragraph without stop\n\nSecond one", 2),
        ("Points:\n- sales rose\n- costs fell", 3),
        ("Wrapped\nline goes on.", 1),
        ("Results vs. estimates were e.g. good.", 1),
        ("", 0),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text: str, count: int) -> None:
    assert len(sentences(text)) == count, sentences(text)


def test_reading_joins_title_and_text() -> None:
    article = Article("1", "AAPL", datetime(2024, 1, 1, tzinfo=UTC), " <b>Apple</b>\nrises ", "<p>Sales rose.</p>")
    assert read(article).whole == "Apple rises\n\nSales rose."
    assert len(read(Article("1", "A", article.published_at, "t", "word " * 100_000)).text) <= MOST_CHARACTERS
    assert read(Article("1", "A", article.published_at, "", "")).whole == ""
