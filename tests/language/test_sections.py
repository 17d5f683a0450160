"""Items of filings, found in invented texts of many styles."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from filing_texts import BUSINESS, CAPITALS, CURRENT, MARKET, MODERN, QUARTER, RISK, TALK, TYPED, UNNUMBERED

from alfred.language.sections import paragraphs, sections_of


def whole(*sentences: str) -> str:
    return "\n\n".join(sentences)


def test_the_table_of_contents_running_heads_and_references_are_no_sections() -> None:
    found = sections_of("10-K", MODERN)
    assert list(found) == ["1", "1A", "7", "7A", "8"]
    assert found["1"].text == BUSINESS
    assert found["1A"].text == whole(*RISK)
    assert found["7"].text.startswith(TALK[0])
    assert found["7"].text.endswith(TALK[2])
    assert "4,200 $" not in found["7"].text
    assert found["7A"].text == MARKET


def test_capitals_titles_in_the_next_line_and_items_without_text() -> None:
    found = sections_of("10-K", CAPITALS)
    assert found["1"].text == BUSINESS
    assert found["1A"].text == whole(*RISK)
    assert found["7"].text == whole(*TALK)
    assert "7A" not in found


def test_lines_of_a_typewriter_are_put_together() -> None:
    found = sections_of("10-K", TYPED)
    assert found["1"].text == BUSINESS
    assert " ".join(found["1A"].text.split()) == " ".join((*RISK, "See Item 7, Management's Discussion, for figures."))
    # The title's second line cannot be told from text.
    assert found["7"].text == f"Condition and Results of Operations\n\n{TALK[0]}\n\n{TALK[1]} {TALK[2]}"


def test_the_parts_of_a_10q_are_told_apart_by_titles() -> None:
    found = sections_of("10-Q", QUARTER)
    assert list(found) == ["I-1", "I-2", "I-3", "I-4", "II-1", "II-1A", "II-6"]
    assert found["I-2"].text == whole(*TALK)
    assert found["II-1"].text == "We are party to no suit of any size today."
    assert found["II-1A"].text.startswith("There have been no material changes")


def test_events_of_an_8k() -> None:
    found = sections_of("8-K", CURRENT)
    assert list(found) == ["2.02", "5.02"]
    assert found["2.02"].text.startswith("On May 4")
    assert found["2.02"].text.endswith("shall not be deemed filed.")
    assert found["5.02"].text == "On May 3, the chief financial officer resigned with immediate effect."


def test_titles_without_numbers_are_a_last_resort() -> None:
    found = sections_of("10-K", UNNUMBERED)
    assert found["1A"].text == whole(*RISK)
    assert found["7"].text == whole(*TALK)


@pytest.mark.parametrize("gone", ["Item 1A.", "Item 7.", "Item 8.", "SIGNATURES"])
def test_a_missing_item_leaves_the_others(gone: str) -> None:
    lines = [line for line in MODERN.split("\n") if not line.startswith(gone)]
    found = sections_of("10-K", "\n".join(lines))
    assert found["1"].text.startswith(BUSINESS)
    assert ("1A" in found) == (gone != "Item 1A.")
    assert ("7" in found) == (gone != "Item 7.")
    assert found["7A"].text.startswith(MARKET)


@pytest.mark.parametrize("form", ["10-K", "10-Q", "8-K"])
@pytest.mark.parametrize("text", ["", "Item 7.", "Item 1A. Risk Factors 9\nItem 7. 12", "nothing of the kind\n" * 50])
def test_texts_without_sections_give_none(form: str, text: str) -> None:
    assert sections_of(form, text) == {}  # type: ignore[arg-type]


def test_time_grows_with_the_length_alone() -> None:
    began = time.perf_counter()
    sections_of("10-K", "Item 1A. Risk Factors\n" * 3_000)
    sections_of("10-K", "Item 7. Management's Discussion and " + "Financial Condition or " * 20_000)
    sections_of("10-K", "\n".join(f"Item {n % 16}. {'Business risk factors of ' * 9}" for n in range(4_000)))
    assert time.perf_counter() - began < 5


def test_paragraphs_of_single_lines_stay_lines() -> None:
    assert paragraphs("One.\nTwo.") == ["One.", "Two."]
    assert paragraphs("One\nline.\n\nTwo.") == ["One line.", "Two."]
