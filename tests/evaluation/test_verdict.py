import dataclasses

import pytest

from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.contracts import Figure, Scorecard
from alfred.evaluation.significance import MeanTest
from alfred.evaluation.verdict import judged, lowers_loss, naive_verdict, overall_verdict

NO_SKILL = (
    "No skill shown: mean rank IC 0.012 [-0.030, 0.051] over 40 quarters, p 0.300; an IC below 0.058 could not have "
    "been told from zero; direction accuracy 57.1% against 58.3% for always up."
)


def figure(name, value, ends, difference_ends=(-0.1, 0.1)):
    return Figure(name, value, Interval(*ends), Interval(*ends), 0.02, 0.0, Interval(*difference_ends))


def mean_test(p_value, quarters=40):
    """Degrees 14.5, of 40 quarters with a lag of 3."""
    return MeanTest(0.012, 0.022, 14.5, p_value, quarters, 3)


def unjudged(  # noqa: PLR0917
    analyst="ridge", ic=(0.012, -0.030, 0.051), p=0.3, saving_p=0.4, accuracy=0.571, r2=0.001, quarters=40
):
    figures = (
        figure("rank_ic", ic[0], ic[1:]),
        figure("accuracy", accuracy, (0.5, 0.6)),
        figure("loss", 0.0185, (0.01, 0.03), (-0.0002, 0.0001)),
        figure("r2", r2, (-0.01, 0.02)),
    )
    tests = {"ranking": mean_test(p, quarters), "saving": mean_test(saving_p)}
    return Scorecard(analyst, "PM", "mse", 800, 40, 1, 0.583, figures, 1.0, (), "", False, **tests)


def scorecard(analyst="ridge", **changes):
    return judged((unjudged(analyst, **changes),))[0]


def naive():
    card = unjudged("naive")
    return dataclasses.replace(card, verdict=naive_verdict(card))


RANKS = {"ic": (0.08, 0.03, 0.13), "p": 0.004}
SKILL = RANKS | {"saving_p": 0.02}


def test_no_skill():
    card = scorecard()
    assert (card.verdict, card.skilled) == (NO_SKILL, False)
    # (1.755 + 0.867) 0.022: Student's quantiles of 95% and 80% with 14.5 degrees.
    assert card.minimum_detectable_ic == pytest.approx(0.0577, abs=1e-4)


def test_skill_in_ranking_and_in_loss():
    card = scorecard(**SKILL)
    assert card.skilled
    assert lowers_loss(card)
    assert card.verdict == (
        "Skill shown: mean rank IC 0.080 [0.030, 0.130] over 40 quarters, p 0.004; mse loss 0.0185 against the naive "
        "forecast's 0.02, difference [-0.0002, 0.0001]; direction accuracy 57.1% against 58.3% for always up."
    )


def test_skill_in_ranking_only():
    card = scorecard(**RANKS)
    assert card.skilled
    assert not lowers_loss(card)
    assert card.verdict.startswith("Skill shown in ranking only: mean rank IC 0.080 [0.030, 0.130] over 40 quarters, p")
    assert "difference [-0.0002, 0.0001], which is not shown to be lower; direction" in card.verdict


def test_a_lower_loss_alone_is_no_skill():
    card = scorecard(saving_p=0.0001)
    assert not card.skilled
    assert card.both_p == 0.3


@pytest.mark.parametrize(("p", "skilled"), [(0.05, True), (0.0501, False)])
def test_the_level_is_5_percent(p, skilled):
    assert scorecard(**(SKILL | {"p": p})).skilled is skilled


def test_several_analysts_share_the_level():
    cards = judged((naive(), unjudged("a", p=0.03), unjudged("b", p=0.016), unjudged("c", **(SKILL | {"p": 0.0001}))))
    assert [card.analyst for card in cards] == ["naive", "a", "b", "c"]
    assert [card.ranking_p for card in cards[1:]] == pytest.approx([0.032, 0.032, 0.0003])
    assert [card.skilled for card in cards] == [False, True, True, True]
    assert [card.tried for card in cards] == [1, 3, 3, 3]
    # Of ranking and loss at once: 0.4, 0.4 and 0.02, the last of them three times as large.
    assert cards[3].both_p == pytest.approx(0.06)
    assert "p 0.030, corrected for 3 analysts 0.032" in cards[1].verdict
    assert cards[3].verdict.startswith("Skill shown in ranking only: ")
    assert cards[3].minimum_detectable_ic > scorecard().minimum_detectable_ic
    worse = judged((unjudged("a", p=0.03), unjudged("b", p=0.04)))
    assert not any(card.skilled for card in worse)
    assert "p below 0.001" in cards[3].verdict


def test_judging_again_changes_nothing():
    cards = judged((naive(), unjudged("a", p=0.03), unjudged("b", **SKILL)))
    assert judged(cards) == cards


def test_few_quarters_grant_no_skill():
    assert scorecard(**SKILL, quarters=8).skilled
    card = scorecard(**SKILL, quarters=7)
    assert not card.skilled
    assert "skill needs at least 8 quarters" in card.verdict
    longer = judged((dataclasses.replace(unjudged(**SKILL, quarters=31), horizon_quarters=4),))[0]
    assert "skill needs at least 32 quarters" in longer.verdict


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": 0.634}, "direction accuracy 5.1 points above always up over 40 quarters is too good to be true"),
        ({"ic": (0.151, 0.1, 0.2)}, "mean rank IC 0.151 [0.100, 0.200] over 40 quarters, p 0.004 (above 0.15)"),
        ({"r2": 0.11}, "R2 0.110 (above 0.10)"),
    ],
)
def test_too_good(changes, said):
    card = scorecard(**(SKILL | changes))
    assert card.verdict.startswith("Suspicious: ")
    assert said in card.verdict
    assert "look for a leak before believing it" in card.verdict
    assert not card.skilled


def test_good_but_believable():
    assert scorecard(**SKILL | {"ic": (0.149, 0.1, 0.2), "accuracy": 0.632, "r2": 0.099}).skilled


def test_without_a_rank_ic():
    card = judged((dataclasses.replace(unjudged(**SKILL), ranking=None),))[0]
    assert (card.skilled, card.ranking_p, card.minimum_detectable_ic) == (False, 1.0, 1.0)
    assert card.verdict.startswith("No skill shown: there is no rank IC, because fewer than 2 quarters have 3 names;")
    assert overall_verdict([card]).endswith("fewer than 2 quarters have the 3 names that a rank IC needs.")


def test_naive_is_the_one_to_beat():
    assert naive().verdict == (
        "The forecast to beat: mse loss 0.0185 [0.01, 0.03] over 40 quarters; direction accuracy 57.1% against 58.3% "
        "for always up."
    )


def test_overall():
    cards = judged([naive(), unjudged(), unjudged("momentum", ic=(0.02, -0.01, 0.05), p=0.2)])
    assert overall_verdict(cards) == (
        "No skill shown by any of 2 analysts over 40 quarters: the best was momentum (rank IC 0.020 [-0.010, 0.050], "
        "p 0.400 corrected, direction accuracy 57.1% against 58.3% for always up), and an IC below 0.066 could not "
        "have been told from zero."
    )
    some = overall_verdict(judged([naive(), unjudged(), unjudged("good", **SKILL)]))
    assert some.startswith("Skill shown by 1 of 2 analysts, over 40 quarters: good (rank IC 0.080 [0.030, 0.130], ")
    assert "p 0.008 corrected" in some
    only = overall_verdict(judged([naive(), unjudged("good", **RANKS)]))
    assert only.startswith("Skill shown in ranking only by 1 of 1 analyst, over 40 quarters: good (rank IC 0.080")
    leak = overall_verdict(judged([naive(), unjudged("leak", ic=(0.5, 0.4, 0.6)), unjudged("good", **SKILL)]))
    assert leak.startswith("Suspicious: 1 of 2 analysts too good to be true")
    assert "leak (rank IC 0.500" in leak
    assert "good (" not in leak
    assert overall_verdict([naive()]).startswith("Only the naive forecast was evaluated, over 40 quarters")
    with pytest.raises(DataError, match="no scorecards to sum up"):
        overall_verdict([])
