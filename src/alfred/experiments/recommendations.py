"""The ledger of recommendations: what was said when, so that nobody can say later that something else was.

`recommendations/ledger.jsonl` in the home has one entry a line, oldest first. Each entry holds the hash of the one
before it, and its own, SHA-256 over its content in one canonical form, so that a change of any entry shows in it or in
its successor. Beside it `head.json` keeps the number and hash of the last entry, and so do the tracking data
(`alfred.experiments.tracking`), which keep those of all entries, in an experiment of the ledger's own.

**What is found out.** An entry that was altered, one that is missing from the middle, and entries in another order or
put in between show in the chain alone. The chain alone cannot show that entries were cut off at its end, or that it was
written anew from some entry on with fresh hashes: those show against `head.json` and the tracking data.

**What is not.** Who writes the ledger, its head and the tracking data anew, all three, leaves no trace here. Keep the
tracking data on a server that others run, or send the hash of the last entry (`alfred ledger` prints it) to someone
else, and that shows too. An entry proves what was recommended and after which other entries, not when: the time in it
is the clock of the machine that wrote it, or the tracking server's record where there is one.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from alfred.core.errors import AlfredError, DataError
from alfred.core.home import Home
from alfred.core.storage import write_whole
from alfred.experiments.tracking import Tracking, tracking
from alfred.lake.place import turn
from alfred.manager.recommendation import Recommendation

LEDGER, HEAD = "ledger.jsonl", "head.json"
PREFIX, TAG = "alfred/recommendations/", "alfred.entry."
START = "0" * 64
"""The hash before the first entry."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: from 1.
        ledger: random name of the ledger that it belongs to.
        previous: hash of the entry before.
        made_at: instant in ISO form, by this machine's clock.
        hindsight: whether the quarter that it is about had closed by then.
        as_of, ends_on, fill_lag_sessions: the decision date, the decision date that ends its quarter, and how many
            sessions after the first its orders are taken to be filled.
        run, study, family: where the forecasts come from.
        provider, market_series: where its prices and the index come from; the series is empty for the provider's own.
        recommendation: what was recommended.
        hash: of all of this.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    number: int
    ledger: str
    previous: str
    made_at: str
    hindsight: bool
    as_of: str
    ends_on: str
    fill_lag_sessions: int
    run: str
    study: str
    family: str
    provider: str
    market_series: str
    recommendation: Recommendation
    hash: str = ""

    def line(self) -> str:
        """The canonical form: JSON with sorted keys and without spaces, numbers as they are read back to the bit."""
        return json.dumps(_ADAPTER.dump_python(self, mode="json"), sort_keys=True, separators=(",", ":"))

    def sealed(self) -> "Entry":
        """With its hash."""
        return replace(self, hash=_hash_of(json.loads(self.line())))


_ADAPTER = TypeAdapter(Entry)


@dataclass(frozen=True)
class Fault:
    """What does not fit: the number of the entry that it shows in, and what, in a sentence."""

    number: int
    text: str


@dataclass(frozen=True)
class Ledger:
    """The ledger as it was read.

    Attributes:
        entries: those that can be read, in their order.
        faults: what was tampered with or damaged; empty where all fits.
        remarks: what is no fault but must be known, such as tracking data that cannot be asked.
        head: hash of the last entry.
    """

    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]
    head: str


def record(home: Home, entry: Entry) -> Entry:
    """Append an entry; its number, ledger, previous hash and hash are filled in.

    Raises:
        DataError: the ledger was tampered with, or the recommendation holds a number that is not finite.
        ConfigError, FetchError: the tracking data cannot be reached.
    """
    try:
        replace(entry, previous=START).sealed()
    except ValueError as error:
        raise DataError(f"the recommendation cannot be recorded: {error}.") from error
    folder, store = _folder(home), tracking(home)
    with turn(folder, "ledger"):
        lines = _lines(folder)
        found = _verified(lines, _head(folder), _witnessed(store, lines))
        if found.faults:
            first = found.faults[0]
            raise DataError(
                f"the ledger of recommendations in {folder} does not fit at entry {first.number}: {first.text}; "
                "`alfred ledger --verify` tells all. Nothing is added to it; move the folder away to begin a new one."
            )
        name = found.entries[-1].ledger if found.entries else secrets.token_hex(8)
        made = replace(entry, number=len(lines) + 1, ledger=name, previous=found.head).sealed()
        write_whole(folder / LEDGER, "".join(f"{line}\n" for line in [*lines, made.line()]))
        write_whole(folder / HEAD, json.dumps({"count": made.number, "hash": made.hash}) + "\n")
        _witness(store, made, lines)
    return made


def read(home: Home) -> Ledger:
    """The ledger, verified against its head and, where they can be asked, the tracking data."""
    folder = _folder(home)
    lines, head = _lines(folder), _head(folder)
    remarks: list[str] = []
    witnessed: Mapping[int, str] | None = None
    if home.shared_tracking or home.tracking.exists():
        try:
            store = tracking(home)
            witnessed = _witnessed(store, lines)
            remarks += [] if home.shared_tracking else _elsewhere(store, lines)
        except AlfredError as error:
            remarks.append(f"not compared with the tracking data: {error}")
    elif lines:
        remarks.append("not compared with the tracking data, which this home has none of")
    found = _verified(lines, head, witnessed)
    return replace(found, remarks=(*remarks, *found.remarks))


def _verified(lines: Sequence[str], head: Mapping[str, Any] | None, witnessed: Mapping[int, str] | None) -> Ledger:
    """Read lines, and compare each with itself, the one before it, the head, and what the tracking data know."""
    parsed = [_entry(line) for line in lines]
    entries = [entry for entry in parsed if entry is not None]
    hashes: dict[int, set[str]] = {0: {START}}
    for entry in entries:
        hashes.setdefault(entry.number, set()).add(entry.hash)
    faults: list[Fault] = []
    remarks: list[str] = []
    last, seen = 0, set[int]()
    for place, (line, one) in enumerate(zip(lines, parsed, strict=True), start=1):
        if one is None:
            last += 1
            faults.append(Fault(last, f"line {place} cannot be read; the entry was damaged or altered"))
            continue
        faults += _by_itself(one, line, hashes)
        faults += _in_order(one.number, last, seen)
        seen.add(one.number)
        last = max(last, one.number)
    faults += _against_head(entries, head, last, remarks)
    if witnessed is not None:
        faults += _against_witness(entries, witnessed, last, remarks)
    ordered = sorted({(fault.number, fault.text) for fault in faults})
    newest = entries[-1].hash if entries else START
    return Ledger(tuple(entries), tuple(Fault(*one) for one in ordered), tuple(remarks), newest)


def _by_itself(entry: Entry, line: str, hashes: Mapping[int, set[str]]) -> Iterator[Fault]:
    """Whether an entry gives its hash, and holds that of the entry before it, wherever that stands."""
    if _hash_of(json.loads(line)) != entry.hash:
        yield Fault(entry.number, "it was altered: its content does not give its hash")
    before = hashes.get(entry.number - 1)
    if before is not None and entry.previous not in before:
        if entry.number == 1:
            yield Fault(1, "it is not the first entry of a ledger, as it follows another")
        else:
            yield Fault(entry.number - 1, f"it was replaced: entry {entry.number} followed another one")


def _in_order(number: int, last: int, seen: set[int]) -> Iterator[Fault]:
    """Whether an entry's number is the one after the last."""
    if number in seen:
        yield Fault(number, "it stands there twice: an entry was inserted or repeated")
    elif number <= last:
        yield Fault(number, f"it comes after entry {last}: entries were put in another order")
    elif number > last + 1:
        yield Fault(last + 1, f"{_many(last + 1, number - 1)} missing before entry {number}")


def _many(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _against_head(
    entries: Sequence[Entry], head: Mapping[str, Any] | None, last: int, remarks: list[str]
) -> Iterator[Fault]:
    """The last entry is the one that the head names; one more is a write that was cut short."""
    if head is None:
        if entries:
            yield Fault(last, f"{HEAD}, which names the last entry, is gone or damaged")
        return
    count, told = int(head["count"]), str(head["hash"])
    by_number = {entry.number: entry.hash for entry in entries}
    if count > last:
        yield Fault(last + 1, f"{_many(last + 1, count)} missing at the end, by {HEAD}")
    elif by_number.get(count, told) != told:
        yield Fault(count, f"it is not the entry that {HEAD} names; the ledger was written anew")
    elif count == last - 1:
        remarks.append(f"entry {last} was written, but a killed process did not confirm it; the next entry will")
    elif count < last:
        yield Fault(count + 1, f"{HEAD} knows entries up to {count} only; what follows was added by hand")


def _against_witness(
    entries: Sequence[Entry], witnessed: Mapping[int, str], last: int, remarks: list[str]
) -> Iterator[Fault]:
    """Every entry has the hash that the tracking data were told of it."""
    for entry in entries:
        if witnessed.get(entry.number, entry.hash) != entry.hash:
            yield Fault(entry.number, "it is not the entry that the tracking data know; it was replaced")
    latest = max(witnessed, default=0)
    if latest > last:
        yield Fault(last + 1, f"{_many(last + 1, latest)} missing at the end, by the tracking data")
    unknown = [entry.number for entry in entries if entry.number not in witnessed]
    if unknown:
        remarks.append(
            f"the tracking data do not know entries {', '.join(map(str, unknown))}; they were made with other tracking "
            "data, or not confirmed"
        )


def _entry(line: str) -> Entry | None:
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


def _hash_of(form: dict[str, Any]) -> str:
    """SHA-256 of the previous hash and of the canonical JSON of everything but the hash."""
    content = {name: value for name, value in form.items() if name != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{form['previous']}\n{text}".encode()).hexdigest()


def _folder(home: Home) -> Path:
    return home.root / "recommendations"


def _lines(folder: Path) -> list[str]:
    try:
        return (folder / LEDGER).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _head(folder: Path) -> Mapping[str, Any] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        form = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        return {"count": int(form["count"]), "hash": str(form["hash"])}
    return None


def _witnessed(store: Tracking, lines: Sequence[str]) -> dict[int, str]:
    """Hashes of the ledger's entries that the tracking data know, by number."""
    names = {entry.ledger for line in lines if (entry := _entry(line)) is not None}
    found: dict[int, str] = {}
    for name in sorted(names):
        experiment = store.find(PREFIX + name)
        tags = {} if experiment is None else experiment.tags
        found |= {int(tag.removeprefix(TAG)): value for tag, value in tags.items() if tag.startswith(TAG)}
    return found


def _elsewhere(store: Tracking, lines: Sequence[str]) -> list[str]:
    """Ledgers that a home's own tracking data know and that are not in it."""
    here = {PREFIX + entry.ledger for line in lines if (entry := _entry(line)) is not None}
    return [
        f"the tracking data know a ledger {one.name.removeprefix(PREFIX)} of "
        f"{sum(tag.startswith(TAG) for tag in one.tags)} entries that is not here; it was moved away or removed"
        for one in store.names(PREFIX)
        if one.name not in here
    ]


def _witness(store: Tracking, made: Entry, lines: Sequence[str]) -> None:
    """Tell the tracking data of an entry, and of those before it that they do not know."""
    number, known = store.experiment(PREFIX + made.ledger), _witnessed(store, lines)
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    with store.asked() as client:
        for entry in [*entries, made]:
            if entry.number not in known:
                client.set_experiment_tag(number, f"{TAG}{entry.number:06d}", entry.hash)
