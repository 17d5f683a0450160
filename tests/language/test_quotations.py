# ruff: noqa: RUF001
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alfred.core.errors import DigestError
from alfred.language.contracts import Digest
from alfred.language.quotations import checked, missing, occurs

TEXT = "Apple’s profit rose to $4.5 million – the “best” quarter.\nCosts fell 12% in 2024…"


@pytest.mark.parametrize(
    "quotation",
    ["profit rose", "Apple's profit", "PROFIT ROSE", '"best" quarter', "quarter. Costs fell", "million - the",
     "“profit  rose to”", "costs fell 12% in 2024...", "$4.5 million", "4.5", "fell 12%"],
)  # fmt: skip
def test_differences_of_typesetting_do_not_count(quotation: str) -> None:
    assert occurs(quotation, TEXT)


@pytest.mark.parametrize(
    "quotation",
    ["profit fell", "rofit rose", "profit ros", "5 million", "$4", "4.5 billion", "202", "", " ", "...", '""', "–"],
)
def test_other_words_and_parts_of_words_do(quotation: str) -> None:
    assert not occurs(quotation, TEXT)


def test_a_second_place_counts() -> None:
    assert occurs("rose", "prose and rose")
    assert missing(["rose", "fell", "prose"], "prose and rose") == ("fell",)


def test_invented_quotations_are_refused() -> None:
    digest = Digest(relevance=1, sentiment=0, outlook=0, quotations=("profit rose", "profit doubled"))
    with pytest.raises(DigestError, match="1 of 2 quotations do not occur in the text, first 'profit doubled'"):
        checked(digest, TEXT)
    with pytest.raises(DigestError, match=r"first 'x{80}\.\.\.'"):
        checked(digest.model_copy(update={"quotations": ("x" * 500,)}), TEXT)


def test_true_quotations_pass() -> None:
    digest = Digest(relevance=1, sentiment=0, outlook=0, quotations=("profit rose", "Costs fell"))
    assert checked(digest, TEXT) is digest


@given(st.lists(st.text(alphabet="abc1.,’\n", min_size=1, max_size=6), min_size=1, max_size=20), st.data())
def test_whole_words_of_a_text_always_occur(words: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin + 1, len(words)))
    quotation = " ".join(words[begin:end])
    assume(any(letter.isalnum() for letter in quotation))
    assert occurs(quotation, " ".join(words))
