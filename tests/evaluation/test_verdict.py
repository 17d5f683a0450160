import dataclasses

import pytest

from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.contracts import Figure, Scorecard
from alfred.evaluation.verdict import Evidence, naive_verdict, overall_verdict, verdict

NO_SKILL = (
    "No skill shown: mean rank IC 0.012 [-0.030, 0.051] over 40 quarters; an IC below 0.060 could not have been told "
    "from zero; direction accuracy 57.1% against 58.3% for always up."
)


def figure(name, value, ends, difference_ends=(-0.1, 0.1)):
    return Figure(name, value, Interval(*ends), Interval(*ends), 0.02, 0.0, Interval(*difference_ends))


def evidence(ic=(0.012, -0.030, 0.051), accuracy=0.571, r2=0.001, loss=(-0.0002, 0.0001), quarters=40):
    figures = (
        figure("rank_ic", ic[0], ic[1:]),
        figure("accuracy", accuracy, (0.5, 0.6)),
        figure("loss", 0.0185, (0.01, 0.03), loss),
        figure("r2", r2, (-0.01, 0.02)),
    )
    return Evidence({one.name: one for one in figures}, "mse", quarters, quarters, 0.583, 0.06)


def scorecard(analyst="ridge", **changes):
    proof = evidence(**changes)
    text, skilled = verdict(proof)
    figures = tuple(proof.figures.values())
    return Scorecard(analyst, "PM", "mse", 800, 40, 1, 0.583, figures, 0.06, (), text, skilled)


def naive():
    return dataclasses.replace(scorecard("naive"), verdict=naive_verdict(evidence()), skilled=False)


SKILL = {"ic": (0.08, 0.03, 0.13), "loss": (-0.0002, -0.0001)}


def test_no_skill():
    assert verdict(evidence()) == (NO_SKILL, False)


def test_skill_needs_both():
    text, skilled = verdict(evidence(**SKILL))
    assert skilled
    assert text == (
        "Skill shown: mean rank IC 0.080 [0.030, 0.130] over 40 quarters; mse loss 0.0185 against the naive forecast's "
        "0.02, difference [-0.0002, -0.0001]; direction accuracy 57.1% against 58.3% for always up."
    )
    text, skilled = verdict(evidence(ic=SKILL["ic"]))
    assert not skilled
    assert "difference [-0.0002, 0.0001], which is not shown to be lower" in text
    assert verdict(evidence(loss=SKILL["loss"]))[1] is False


@pytest.mark.parametrize(
    "changes",
    [{"ic": (0.08, 0.0, 0.13)}, {"loss": (-0.0002, 0.0)}, {"loss": (0.0001, 0.0002)}, {"ic": (-0.1, -0.2, -0.01)}],
)
def test_an_end_at_zero_is_no_skill(changes):
    assert verdict(evidence(**(SKILL | changes)))[1] is False


def test_few_quarters_grant_no_skill():
    assert verdict(evidence(**SKILL, quarters=8))[1] is True
    text, skilled = verdict(evidence(**SKILL, quarters=7))
    assert not skilled
    assert "skill needs at least 8 quarters" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": 0.634}, "direction accuracy 5.1 points above always up over 40 quarters is too good to be true"),
        ({"ic": (0.151, 0.1, 0.2)}, "mean rank IC 0.151 [0.100, 0.200] over 40 quarters (above 0.15)"),
        ({"r2": 0.11}, "R2 0.110 (above 0.10)"),
    ],
)
def test_too_good(changes, said):
    text, skilled = verdict(evidence(**(SKILL | changes)))
    assert text.startswith("Suspicious: ")
    assert said in text
    assert "look for a leak before believing it" in text
    assert not skilled


def test_good_but_believable():
    assert verdict(evidence(**SKILL | {"ic": (0.149, 0.1, 0.2), "accuracy": 0.632, "r2": 0.099}))[1] is True


def test_naive_is_the_one_to_beat():
    assert naive_verdict(evidence()) == (
        "The forecast to beat: mse loss 0.0185 [0.01, 0.03] over 40 quarters; direction accuracy 57.1% against 58.3% "
        "for always up."
    )


def test_overall():
    nothing = overall_verdict([naive(), scorecard(), scorecard("momentum", ic=(0.02, -0.01, 0.05))])
    assert nothing == (
        "No skill shown by any of 2 analysts over 40 quarters: the best was momentum (rank IC 0.020 [-0.010, 0.050], "
        "direction accuracy 57.1% against 58.3% for always up), and an IC below 0.060 could not have been told "
        "from zero."
    )
    some = overall_verdict([naive(), scorecard(), scorecard("good", **SKILL)])
    assert some.startswith("Skill shown by 1 of 2 analysts, over 40 quarters: good (rank IC 0.080 [0.030, 0.130]")
    leak = overall_verdict([naive(), scorecard("leak", ic=(0.5, 0.4, 0.6)), scorecard("good", **SKILL)])
    assert leak.startswith("Suspicious: 1 of 2 analysts too good to be true")
    assert "leak (rank IC 0.500" in leak
    assert "good (" not in leak
    assert overall_verdict([naive()]).startswith("Only the naive forecast was evaluated, over 40 quarters")
    with pytest.raises(DataError, match="no scorecards to sum up"):
        overall_verdict([])
