"""How often the study's family has tried, and how its vault stands."""

from dataclasses import dataclass
from pathlib import Path

from alfred.experiments.counting import counted, spent
from alfred.experiments.record import RunRecord, TrialCount
from alfred.report.format import COUNT, instant
from alfred.report.table import Column, Table, texts


@dataclass(frozen=True)
class TrialSection:
    """Sentences in the order to be read.

    Attributes:
        warnings: what must stand before any figure: that the vault was opened.
        lead: how many trials there were; empty for a run that was never counted.
        states: how they ended.
        vault: what is sealed.
        unsealed: every look into the vault, None where there was none.
    """

    warnings: tuple[str, ...]
    lead: str
    states: str
    vault: str
    unsealed: Table | None


def trial_section(record: RunRecord, folder: Path) -> TrialSection:
    """The count as it stood when the page was written, or when the run ended."""
    found = counted(folder, record)
    if found is None:
        return TrialSection((), "", "", "", None)
    many = found.count != 1
    lead = (
        f"The study family {found.family} has had {COUNT.text(found.count)} trial{'s' * many}, those of this run "
        "included. The best of many looks better than it is; read every figure with this number beside it."
    )
    states = (
        f"{COUNT.text(found.finished)} finished, {COUNT.text(found.failed)} failed, {COUNT.text(found.unfinished)} "
        f"stopped, killed or still running. Counted {instant(found.counted_at)}, on every machine with the same "
        "tracking data."
    )
    return TrialSection(spent(found, record.digest), lead, states, _vault(found), _unsealed(found))


def _vault(found: TrialCount) -> str:
    if not found.sealed_after:
        return "No quarters are sealed: nothing is kept for one last test of what is chosen here."
    if found.unsealed:
        return f"The vault, what became known after {found.sealed_after[:10]}, has been opened."
    return (
        f"What became known after {found.sealed_after[:10]} is sealed: no analyst, label or account of this family has "
        "seen it. It can be asked once, by alfred unseal."
    )


def _unsealed(found: TrialCount) -> Table | None:
    if not found.unsealed:
        return None
    columns = (Column("Look", numeric=True), Column("When", whole=True), Column("Study"), Column("Digest"),
               Column("Found"))  # fmt: skip
    rows = tuple(
        texts((str(one.number), instant(one.opened_at), one.study, one.digest[:10], one.verdict or "no result"))
        for one in found.unsealed
    )
    return Table("Looks into the vault", columns, rows)
