"""One sentence that says what a scorecard's figures allow to be said, and not more.

The rules are in docs/evaluation.md. Skill needs two things at once, because each alone has a cheap way to be had:
a rank IC whose interval lies above zero, and a loss that is lower than the naive forecast's by an interval that
excludes zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.contracts import Figure, Scorecard

FEWEST_QUARTERS = 8
"""Test quarters, for each of the horizon, below which no skill is granted: intervals from fewer are too short."""
ACCURACY_MARGIN = 0.05
HIGHEST_IC = 0.15
HIGHEST_R2 = 0.10
SUSPICIOUS = "Suspicious:"
TO_BEAT = "The forecast to beat:"


@dataclass(frozen=True)
class Evidence:
    """What a verdict is derived from.

    Attributes:
        figures: every metric by name.
        loss: name of the loss.
        quarters: test quarters with labels.
        quarters_with_ic: those of them that have a rank IC.
        rise_share: accuracy of "always up".
        minimum_detectable_ic: as in `Scorecard`.
        horizon_quarters: of the label.
    """

    figures: Mapping[str, Figure]
    loss: str
    quarters: int
    quarters_with_ic: int
    rise_share: float
    minimum_detectable_ic: float
    horizon_quarters: int = 1


def naive_verdict(evidence: Evidence) -> str:
    """The sentence of the naive forecast."""
    loss = evidence.figures["loss"]
    return (
        f"{TO_BEAT} {evidence.loss} loss {_value(loss.value)} {_ends(loss.over_quarters)} "
        f"over {evidence.quarters} quarters; {_accuracy(evidence)}."
    )


def verdict(evidence: Evidence) -> tuple[str, bool]:
    """The sentence of any other analyst, and whether it grants skill."""
    reasons = _too_good(evidence)
    if reasons:
        text = (
            f"{SUSPICIOUS} {' and '.join(reasons)} over {evidence.quarters} quarters is too good to be true: "
            f"look for a leak before believing it; {_loss_difference(evidence)}; {_accuracy(evidence)}."
        )
        return text, False
    ranks = evidence.figures["rank_ic"]
    ranks_well = ranks.over_quarters is not None and ranks.over_quarters.lower > 0
    difference = evidence.figures["loss"].difference_over_quarters
    loses_less = difference is not None and difference.upper < 0
    fewest = FEWEST_QUARTERS * evidence.horizon_quarters
    if ranks_well and loses_less and evidence.quarters_with_ic >= fewest:
        text = f"Skill shown: {_ic(evidence)}; {_loss_difference(evidence)}; {_accuracy(evidence)}."
        return text, True
    parts = [_ic(evidence)]
    if ranks.value is not None:
        parts.append(f"an IC below {evidence.minimum_detectable_ic:.3f} could not have been told from zero")
    if evidence.quarters_with_ic < fewest:
        parts.append(f"skill needs at least {fewest} quarters")
    elif ranks_well:
        parts.append(f"{_loss_difference(evidence)}, which is not shown to be lower")
    return f"No skill shown: {'; '.join([*parts, _accuracy(evidence)])}.", False


def overall_verdict(scorecards: Sequence[Scorecard]) -> str:
    """One sentence for the top of a report: suspicion first, then skill, then its absence.

    Raises:
        DataError: there is no scorecard.
    """
    if not scorecards:
        raise DataError("there are no scorecards to sum up; evaluate at least one analyst.")
    judged = [card for card in scorecards if not card.verdict.startswith(TO_BEAT)]
    quarters = scorecards[0].quarters
    if not judged:
        return f"Only the naive forecast was evaluated, over {quarters} quarters: there is nothing to compare it with."
    suspicious = [card for card in judged if card.verdict.startswith(SUSPICIOUS)]
    if suspicious:
        return (
            f"{SUSPICIOUS} {_counted(suspicious, judged)} too good to be true, look for a leak before believing any "
            f"figure here: {_briefly(suspicious)}, over {quarters} quarters."
        )
    skilled = [card for card in judged if card.skilled]
    if skilled:
        return f"Skill shown by {_counted(skilled, judged)}, over {quarters} quarters: {_briefly(skilled)}."
    ranked = [card for card in judged if card.figure("rank_ic").value is not None]
    none = f"No skill shown by any of {len(judged)} {_analysts(len(judged))} over {quarters} quarters"
    if not ranked:
        return f"{none}: no quarter has the 3 names that a rank IC needs."
    best = max(ranked, key=lambda card: card.figure("rank_ic").value or 0.0)
    detectable = f"an IC below {best.minimum_detectable_ic:.3f} could not have been told from zero"
    return f"{none}: the best was {_briefly([best])}, and {detectable}."


def _too_good(evidence: Evidence) -> list[str]:
    reasons = []
    accuracy, ranks, r2 = (evidence.figures.get(name) for name in ("accuracy", "rank_ic", "r2"))
    if ranks and ranks.value is not None and ranks.value > HIGHEST_IC:
        reasons.append(f"{_ic(evidence)} (above {HIGHEST_IC:.2f})")
    # Always naming the commoner direction takes no knowledge, whichever direction it is.
    without = max(evidence.rise_share, 1 - evidence.rise_share)
    if accuracy and accuracy.value is not None and accuracy.value > without + ACCURACY_MARGIN:
        commoner = "up" if evidence.rise_share >= 0.5 else "down"
        reasons.append(f"direction accuracy {100 * (accuracy.value - without):.1f} points above always {commoner}")
    if r2 and r2.value is not None and r2.value > HIGHEST_R2:
        reasons.append(f"R2 {r2.value:.3f} (above {HIGHEST_R2:.2f})")
    return reasons


def _ic(evidence: Evidence) -> str:
    figure = evidence.figures["rank_ic"]
    if figure.value is None:
        return "there is no rank IC, because no quarter has 3 names"
    ends = _ends(figure.over_quarters, ".3f")
    return f"mean rank IC {figure.value:.3f} {ends} over {evidence.quarters_with_ic} quarters"


def _loss_difference(evidence: Evidence) -> str:
    figure = evidence.figures["loss"]
    return (
        f"{evidence.loss} loss {_value(figure.value)} against the naive forecast's {_value(figure.naive)}, "
        f"difference {_ends(figure.difference_over_quarters)}"
    )


def _accuracy(evidence: Evidence) -> str:
    accuracy = evidence.figures["accuracy"].value or 0.0
    return f"direction accuracy {accuracy:.1%} against {evidence.rise_share:.1%} for always up"


def _counted(some: Sequence[Scorecard], judged: Sequence[Scorecard]) -> str:
    return f"{len(some)} of {len(judged)} {_analysts(len(judged))}"


def _analysts(count: int) -> str:
    return "analyst" if count == 1 else "analysts"


def _briefly(cards: Sequence[Scorecard]) -> str:
    return ", ".join(f"{card.analyst} ({_figures_of(card)})" for card in cards)


def _figures_of(card: Scorecard) -> str:
    ranks, accuracy = card.figure("rank_ic"), card.figure("accuracy").value or 0.0
    shown = "no rank IC" if ranks.value is None else f"rank IC {ranks.value:.3f} {_ends(ranks.over_quarters, '.3f')}"
    return f"{shown}, direction accuracy {accuracy:.1%} against {card.rise_share:.1%} for always up"


def _value(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _ends(interval: Interval | None, form: str = ".4g") -> str:
    return "[no interval]" if interval is None else f"[{interval.lower:{form}}, {interval.upper:{form}}]"
