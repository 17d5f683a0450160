"""What may be said where the quarters that were trained on are tested: how much is remembered, never skill."""

from collections.abc import Sequence
from dataclasses import replace

from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.protocols import IN_SAMPLE, SAME_YEARS
from alfred.evaluation.verdict import TO_BEAT

MEMORY = "Memory, not skill:"


def as_memory(cards: Sequence[Scorecard], protocol: str) -> tuple[Scorecard, ...]:
    """The scorecards as the protocol allows them to speak: unchanged, but where years are the same without skill."""
    if protocol not in SAME_YEARS:
        return tuple(cards)
    return tuple(
        card if card.verdict.startswith(TO_BEAT) else replace(card, verdict=_said([card], protocol), skilled=False)
        for card in cards
    )


def memory_verdict(cards: Sequence[Scorecard], protocol: str) -> str:
    """The one sentence for the top of such a report."""
    judged = [card for card in cards if not card.verdict.startswith(TO_BEAT)]
    if not judged:
        return f"{MEMORY} only the naive forecast was evaluated."
    return _said(judged, protocol)


def _said(cards: Sequence[Scorecard], protocol: str) -> str:
    what = "the very rows it learnt from" if protocol == IN_SAMPLE else "the very quarters it learnt from"
    best = max(cards, key=lambda card: card.figure("accuracy").value or 0.0)
    accuracy, ranks = best.figure("accuracy").value or 0.0, best.figure("rank_ic").value
    told = "no rank IC" if ranks is None else f"rank IC {ranks:.3f}"
    who = f"{best.analyst} was tested on" if len(cards) == 1 else f"the best of {len(cards)}, {best.analyst}, on"
    return (
        f"{MEMORY} {who} {what}: direction accuracy {accuracy:.1%} against {best.rise_share:.1%} for always up, "
        f"{told}, over {best.quarters} quarters. None of it says anything about quarters to come."
    )
