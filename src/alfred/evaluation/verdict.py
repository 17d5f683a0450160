"""One sentence that says what a scorecard's figures allow to be said, and not more.

The rules are in docs/statistics.md. Skill is a rank IC that is shown to be above zero, by a test whose chance to err is
5% for the whole study, however many analysts it holds. Whether the loss is shown to be lower too is said beside it.
"""

from collections.abc import Sequence
from dataclasses import replace

from alfred.core.contracts import Interval
from alfred.core.errors import DataError
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.significance import holm

LEVEL = 0.05
"""Chance that a study without any skill is granted some. Fixed: a level that one could choose would be one more try."""
FEWEST_QUARTERS = 8
"""Test quarters, for each of the horizon, below which no skill is granted: tests of fewer are not to be trusted."""
ACCURACY_MARGIN = 0.05
HIGHEST_IC = 0.15
HIGHEST_R2 = 0.10
SUSPICIOUS = "Suspicious:"
TO_BEAT = "The forecast to beat:"


def naive_verdict(card: Scorecard) -> str:
    """The sentence of the naive forecast."""
    loss = card.figure("loss")
    return (
        f"{TO_BEAT} {card.loss} loss {_value(loss.value)} {_ends(loss.over_quarters)} "
        f"over {card.quarters} quarters; {_accuracy(card)}."
    )


def judged(cards: Sequence[Scorecard]) -> tuple[Scorecard, ...]:
    """The scorecards of one study with their verdicts; p-values are corrected for the number of its analysts.

    Two families of tests, each at 5%: that an analyst ranks, and that it ranks and has a lower loss at once. The second
    needs both tests to find something, so its p-value is the larger of the two (Berger 1982), and what it grants was
    granted by the first. The naive forecast's verdict stays as it is.
    """
    tested = [card for card in cards if not card.verdict.startswith(TO_BEAT)]
    ranking = [1.0 if card.ranking is None else card.ranking.p_value for card in tested]
    saving = [1.0 if card.saving is None else card.saving.p_value for card in tested]
    both = [max(pair) for pair in zip(ranking, saving, strict=True)]
    found = iter([_decided(*one, len(tested)) for one in zip(tested, holm(ranking), holm(both), strict=True)])
    return tuple(card if card.verdict.startswith(TO_BEAT) else next(found) for card in cards)


def verdict(card: Scorecard) -> tuple[str, bool]:
    """The sentence of an analyst whose p-values are known, and whether it grants skill."""
    reasons = _too_good(card)
    if reasons:
        text = (
            f"{SUSPICIOUS} {' and '.join(reasons)} over {card.quarters} quarters is too good to be true: "
            f"look for a leak before believing it; {_loss_difference(card)}; {_accuracy(card)}."
        )
        return text, False
    fewest = FEWEST_QUARTERS * card.horizon_quarters
    enough = card.ranking is not None and card.ranking.quarters >= fewest
    if enough and ranks(card):
        if lowers_loss(card):
            return f"Skill shown: {_ic(card)}; {_loss_difference(card)}; {_accuracy(card)}.", True
        only = f"{_loss_difference(card)}, which is not shown to be lower"
        return f"Skill shown in ranking only: {_ic(card)}; {only}; {_accuracy(card)}.", True
    parts = [_ic(card)]
    if card.ranking is not None:
        parts.append(f"an IC below {card.minimum_detectable_ic:.3f} could not have been told from zero")
    if not enough:
        parts.append(f"skill needs at least {fewest} quarters")
    return f"No skill shown: {'; '.join([*parts, _accuracy(card)])}.", False


def _decided(card: Scorecard, ranking_p: float, both_p: float, tried: int) -> Scorecard:
    detectable = 1.0 if card.ranking is None else min(1.0, card.ranking.detectable(LEVEL / tried))
    with_p = replace(card, tried=tried, ranking_p=ranking_p, both_p=both_p, minimum_detectable_ic=detectable)
    text, skilled = verdict(with_p)
    return replace(with_p, verdict=text, skilled=skilled)


def ranks(card: Scorecard) -> bool:
    """Whether the rank IC is shown to be above zero."""
    return card.ranking_p is not None and card.ranking_p <= LEVEL


def lowers_loss(card: Scorecard) -> bool:
    """Whether, besides, the loss is shown to be lower than the naive forecast's."""
    return card.both_p is not None and card.both_p <= LEVEL


def overall_verdict(scorecards: Sequence[Scorecard]) -> str:
    """One sentence for the top of a report: suspicion first, then skill, then its absence.

    Raises:
        DataError: there is no scorecard.
    """
    if not scorecards:
        raise DataError("there are no scorecards to sum up; evaluate at least one analyst.")
    rivals = [card for card in scorecards if not card.verdict.startswith(TO_BEAT)]
    quarters = scorecards[0].quarters
    if not rivals:
        return f"Only the naive forecast was evaluated, over {quarters} quarters: there is nothing to compare it with."
    suspicious = [card for card in rivals if card.verdict.startswith(SUSPICIOUS)]
    if suspicious:
        return (
            f"{SUSPICIOUS} {_counted(suspicious, rivals)} too good to be true, look for a leak before believing any "
            f"figure here: {_briefly(suspicious)}, over {quarters} quarters."
        )
    skilled = [card for card in rivals if card.skilled]
    if skilled:
        only = "" if any(lowers_loss(card) for card in skilled) else " in ranking only"
        return f"Skill shown{only} by {_counted(skilled, rivals)}, over {quarters} quarters: {_briefly(skilled)}."
    ranked = [card for card in rivals if card.ranking is not None]
    who = "the one analyst" if len(rivals) == 1 else f"any of {len(rivals)} analysts"
    none = f"No skill shown by {who} over {quarters} quarters"
    if not ranked:
        return f"{none}: fewer than 2 quarters have the 3 names that a rank IC needs."
    best = max(ranked, key=lambda card: card.figure("rank_ic").value or 0.0)
    detectable = f"an IC below {best.minimum_detectable_ic:.3f} could not have been told from zero"
    return f"{none}: the best was {_briefly([best])}, and {detectable}."


def _too_good(card: Scorecard) -> list[str]:
    reasons = []
    by_name = {figure.name: figure.value for figure in card.figures}
    accuracy, ic, r2 = (by_name.get(name) for name in ("accuracy", "rank_ic", "r2"))
    if ic is not None and ic > HIGHEST_IC:
        reasons.append(f"{_ic(card)} (above {HIGHEST_IC:.2f})")
    # Always naming the commoner direction takes no knowledge, whichever direction it is.
    without = max(card.rise_share, 1 - card.rise_share)
    if accuracy is not None and accuracy > without + ACCURACY_MARGIN:
        commoner = "up" if card.rise_share >= 0.5 else "down"
        reasons.append(f"direction accuracy {100 * (accuracy - without):.1f} points above always {commoner}")
    if r2 is not None and r2 > HIGHEST_R2:
        reasons.append(f"R2 {r2:.3f} (above {HIGHEST_R2:.2f})")
    return reasons


def _ic(card: Scorecard) -> str:
    figure = card.figure("rank_ic")
    if figure.value is None or card.ranking is None:
        return "there is no rank IC, because fewer than 2 quarters have 3 names"
    ends = _ends(figure.over_quarters, ".3f")
    return f"mean rank IC {figure.value:.3f} {ends} over {card.ranking.quarters} quarters, {_p(card)}"


def _p(card: Scorecard) -> str:
    """The one-sided p-value of the rank IC, and what the correction makes of it."""
    own = 1.0 if card.ranking is None else card.ranking.p_value
    if card.tried == 1 or card.ranking_p is None:
        return f"p {_chance(own)}"
    return f"p {_chance(own)}, corrected for {card.tried} analysts {_chance(card.ranking_p)}"


def _chance(p_value: float) -> str:
    return "below 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _loss_difference(card: Scorecard) -> str:
    figure = card.figure("loss")
    return (
        f"{card.loss} loss {_value(figure.value)} against the naive forecast's {_value(figure.naive)}, "
        f"difference {_ends(figure.difference_over_quarters)}"
    )


def _accuracy(card: Scorecard) -> str:
    accuracy = card.figure("accuracy").value or 0.0
    return f"direction accuracy {accuracy:.1%} against {card.rise_share:.1%} for always up"


def _counted(some: Sequence[Scorecard], rivals: Sequence[Scorecard]) -> str:
    return f"{len(some)} of {len(rivals)} {_analysts(len(rivals))}"


def _analysts(count: int) -> str:
    return "analyst" if count == 1 else "analysts"


def _briefly(cards: Sequence[Scorecard]) -> str:
    return ", ".join(f"{card.analyst} ({_figures_of(card)})" for card in cards)


def _figures_of(card: Scorecard) -> str:
    ic, accuracy = card.figure("rank_ic"), card.figure("accuracy").value or 0.0
    shown = "no rank IC"
    if ic.value is not None and card.ranking_p is not None:
        corrected = " corrected" if card.tried > 1 else ""
        shown = f"rank IC {ic.value:.3f} {_ends(ic.over_quarters, '.3f')}, p {_chance(card.ranking_p)}{corrected}"
    return f"{shown}, direction accuracy {accuracy:.1%} against {card.rise_share:.1%} for always up"


def _value(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _ends(interval: Interval | None, form: str = ".4g") -> str:
    return "[no interval]" if interval is None else f"[{interval.lower:{form}}, {interval.upper:{form}}]"
