"""What was recommended from a run, and what became of it; the table that the dashboard's ledger shows too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alfred.core.errors import AlfredError
from alfred.core.home import Home, home
from alfred.experiments import recommendations
from alfred.experiments.recommendations import Entry, Ledger
from alfred.experiments.scoring import Score, scores
from alfred.report.format import DASH, PERCENT, SIGNED_PERCENT, NumberStyle
from alfred.report.table import Cell, Column, Table, measured

_DOLLARS = NumberStyle(0)
_POINTS = NumberStyle(2, percent=True, signed=True)
_STATES = {
    "open": "its quarter runs until {ends_on}",
    "sealed": "its quarter is sealed in the vault of {family}",
    "no prices": "no prices of {ends_on} yet",
}


@dataclass(frozen=True)
class RecommendationSection:
    """What the page shows: the ledger's state in a sentence, its faults, what must be known, and the entries."""

    state: str
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    table: Table | None


def recommendation_section(folder: Path) -> RecommendationSection | None:
    """Entries of the ledger that were made from a run; None where it has none, or lies in no home."""
    place = _home_of(folder)
    path = None if place is None else place.root / "recommendations" / recommendations.LEDGER
    if place is None or path is None or not path.is_file() or folder.name not in path.read_text(encoding="utf-8"):
        return None
    section = ledger_section_of(place, run=folder.name)
    return section if section.table is not None or section.faults else None


def ledger_section_of(place: Home, run: str = "") -> RecommendationSection:
    """The ledger, verified and scored as far as it can be; of one run, or of all."""
    found = recommendations.read(place)
    entries = [entry for entry in found.entries if run in {"", entry.run}]
    known, remarks = _scores(place, entries)
    for number, score in known.items():
        remarks += [f"Entry {number}: {remark}." for remark in score.remarks[:5]]
    state = _state(found)
    return RecommendationSection(
        state,
        tuple(f"Entry {fault.number}: {fault.text}." for fault in found.faults),
        (*(f"{remark[:1].upper()}{remark[1:]}." for remark in found.remarks), *remarks),
        entry_table(entries, known) if entries else None,
    )


def _state(found: Ledger) -> str:
    faults, entries = len(found.faults), len(found.entries)
    if faults:
        return f"The ledger was altered or damaged: {faults} fault{'s' * (faults > 1)}, named below."
    if not entries:
        return ""
    told = "The one entry of the ledger is" if entries == 1 else f"All {entries} entries of the ledger stand"
    return f"{told} as written; the last has the hash {found.head[:16]}."


def entry_table(entries: Sequence[Entry], known: Mapping[int, Score]) -> Table:
    """One row an entry, oldest first."""
    columns = (
        Column("Entry", numeric=True), Column("As of", whole=True), Column("Policy"), Column("Run"),
        Column("Names", numeric=True),
        Column("Expected", numeric=True, title="until the quarter's end, before costs"),
        Column("Came", numeric=True, title="change of the weights by what was forecast, before costs"),
        Column("Return", numeric=True, title="of the account, after costs"),
        Column("1/N", numeric=True), Column("Index", numeric=True),
        Column("After, $", numeric=True, title="worth of the account at the quarter's end"),
    )  # fmt: skip
    return Table(
        "Recommendations, oldest first", columns, tuple(_row(entry, known.get(entry.number)) for entry in entries)
    )


def _row(entry: Entry, score: Score | None) -> tuple[Cell, ...]:
    told = entry.recommendation
    hindsight = ("made in hindsight",) if entry.hindsight else ()
    why = "not scored" if score is None else _STATES.get(score.state, "").format(**vars(entry))
    done = score is not None and score.state == "scored"
    came: tuple[float | None, ...] = (None, None, None, None)
    hit = ""
    if score is not None and done:
        came = (score.gain, score.equal_weight, score.index, score.after_usd)
        hit = "" if score.hit is None else "inside" if score.hit else "outside"
    expected = told.expected
    span = f"{SIGNED_PERCENT.text(expected.lower)} to {SIGNED_PERCENT.text(expected.upper)}"
    change = measured(None if score is None else score.change, SIGNED_PERCENT, title=why, remark=hit)
    return (
        Cell(str(entry.number), sort=entry.number),
        Cell(entry.as_of, (f"until {entry.ends_on}",)),
        Cell(told.policy, hindsight),
        Cell(entry.run, (f"made {entry.made_at[:10]}", entry.hash[:8])),
        Cell(str(count := sum(line.shares != 0.0 for line in told.lines)), sort=count),
        Cell(SIGNED_PERCENT.text(expected.mean), (span,), expected.mean, f"{PERCENT.text(expected.level)} interval"),
        change if done else Cell(DASH, (why,)),
        *(measured(value, style, title=why) for value, style in zip(came, (_POINTS,) * 3 + (_DOLLARS,), strict=True)),
    )


def _scores(place: Home, entries: Sequence[Entry]) -> tuple[dict[int, Score], list[str]]:
    """By entry, one at a time, so that what one lacks hides no other; and what could not be scored."""
    known, remarks = {}, list[str]()
    for entry in entries:
        try:
            (known[entry.number],) = scores(place, [entry])
        except AlfredError as error:
            remarks.append(f"Entry {entry.number} is not scored: {error}")
    return known, remarks


def _home_of(folder: Path) -> Home | None:
    """The home that a run's folder lies in: the environment's where it does, otherwise by its place."""
    own, runs = home(), folder.absolute().parent
    if own.runs == runs:
        return own
    return Home(runs.parent) if runs.name == own.runs.name else None
