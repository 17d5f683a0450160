"""Sentences that came, went and stayed, and how alike two texts are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.language.comparison import compare, mean_tone, similarity

OLD = (
    "Our plant in Ohio makes clamps. Demand for clamps was strong in every market. "
    "We expect sales of clamps to grow by 4% next year. We sold the mill."
)
NEW = (
    "Demand for clamps was  STRONG in every market! We expect sales of clamps to grow by 2% next year. "
    "We are under investigation and may suffer heavy losses. Our plant in Ohio makes clamps."
)


def test_kept_edited_added_and_dropped_sentences() -> None:
    found = compare(OLD, NEW)
    assert found.kept == 2
    assert found.added == ("We are under investigation and may suffer heavy losses.",)
    assert found.dropped == ("We sold the mill.",)
    assert found.edited == (
        ("We expect sales of clamps to grow by 4% next year.", "We expect sales of clamps to grow by 2% next year."),
    )
    assert found.news == (*found.added, "We expect sales of clamps to grow by 2% next year.")
    new = mean_tone([found.added[0], found.edited[0][1]])
    assert found.tone_change == pytest.approx(new - mean_tone([found.dropped[0], found.edited[0][0]]), abs=1e-6)
    assert found.tone_change < 0


def test_an_edit_that_turns_a_sentence_moves_the_tone() -> None:
    worse = compare("We expect net sales to rise next year.", "We expect net sales to fall next year.")
    assert len(worse.edited) == 1
    assert worse.tone_change < -0.5
    better = compare("We expect net sales to fall next year.", "We expect net sales to rise next year.")
    assert better.tone_change == -worse.tone_change


def test_similarity_by_hand() -> None:
    # a 2, b 1 against a 1, c 1: cosine 2 / (sqrt 5 sqrt 2), one word of three.
    cosine, jaccard = similarity("a a b 1999", "A, c 7")
    assert cosine == pytest.approx(2 / math.sqrt(10))
    assert jaccard == pytest.approx(1 / 3)
    assert similarity("", "a") == (0.0, 0.0)


def test_a_sentence_that_stands_twice_is_kept_as_often_as_in_both() -> None:
    once, twice = "We make good clamps here.", "We make good clamps here. We make good clamps here."
    found = compare(once, twice)
    assert (found.kept, found.added) == (1, ("We make good clamps here.",))
    found = compare(twice, once)
    assert (found.kept, found.dropped) == (1, ("We make good clamps here.",))


SENTENCES = st.lists(
    st.lists(st.sampled_from(["sales", "fell", "rose", "risk", "plant"]), min_size=3, max_size=7), max_size=9
)


def text(words: list[list[str]]) -> str:
    return "\n\n".join(f"{' '.join(one).capitalize()}." for one in words)


@given(SENTENCES, SENTENCES)
def test_every_sentence_is_counted_once_and_the_other_way_round_mirrors(
    old: list[list[str]], new: list[list[str]]
) -> None:
    there, back = compare(text(old), text(new)), compare(text(new), text(old))
    assert there.kept + len(there.edited) + len(there.added) == len(new)
    assert there.kept + len(there.edited) + len(there.dropped) == len(old)
    assert there.kept == back.kept
    assert (there.cosine, there.jaccard) == (back.cosine, back.jaccard)
    assert 0 <= there.cosine <= 1
    assert -2 <= there.tone_change <= 2


@given(SENTENCES)
def test_nothing_changed(words: list[list[str]]) -> None:
    same = compare(text(words), text(words))
    assert (same.added, same.dropped, same.edited, same.tone_change) == ((), (), (), 0)
    assert (same.cosine, same.jaccard) == ((1, 1) if words else (0, 0))
