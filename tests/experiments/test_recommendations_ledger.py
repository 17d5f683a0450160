"""A ledger that tells when an entry was altered, removed, inserted or put elsewhere."""

import json
import multiprocessing
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommended import entry_of

from alfred.core.errors import DataError
from alfred.core.home import Home
from alfred.experiments import recommendations
from alfred.experiments.recommendations import HEAD, LEDGER, PREFIX, START, TAG, read, record
from alfred.experiments.tracking import tracking


def made(number):
    return entry_of({"A": (0.0, 10.0 + number)}, cash=1_000.0, cost=1.5, policy=f"policy {number}")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A home with four entries."""
    home = Home(tmp_path_factory.mktemp("written") / "home")
    for number in range(1, 5):
        record(home, made(number))
    return home


@pytest.fixture
def home(written, tmp_path):
    """A copy of it, to be tampered with."""
    shutil.copytree(written.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def untracked(home):
    """The same without tracking data: the chain and the head alone."""
    shutil.rmtree(home.tracking)
    return home


def lines_of(home):
    return (home.root / "recommendations" / LEDGER).read_text().splitlines()


def write(home, lines):
    (home.root / "recommendations" / LEDGER).write_text("".join(f"{line}\n" for line in lines))


def faults(home):
    return [(fault.number, fault.text) for fault in read(home).faults]


def altered(line, **changes):
    return json.dumps({**json.loads(line), **changes}, sort_keys=True, separators=(",", ":"))


def forged(line, **changes):
    """Altered by someone who knows how a hash is made."""
    form = {**json.loads(line), **changes}
    form["hash"] = recommendations._hash_of(form)
    return json.dumps(form, sort_keys=True, separators=(",", ":"))


def test_entries_come_back_as_they_were_made(home):
    found = read(home)
    assert found.faults == ()
    assert found.remarks == ()
    assert [entry.number for entry in found.entries] == [1, 2, 3, 4]
    for number, entry in enumerate(found.entries, start=1):
        assert entry.recommendation == made(number).recommendation
    assert found.entries[0].previous == START
    assert found.entries[2].previous == found.entries[1].hash
    assert found.head == found.entries[3].hash
    assert len({entry.ledger for entry in found.entries}) == 1


def test_a_hash_by_hand():
    """SHA-256 of the previous hash, a line break, and the sorted JSON of the rest, as any other program makes it."""
    import hashlib

    form = {"previous": START, "b": 1.5, "a": [True, None], "hash": "not looked at"}
    text = f'{START}\n{{"a":[true,null],"b":1.5,"previous":"{START}"}}'
    assert recommendations._hash_of(form) == hashlib.sha256(text.encode()).hexdigest()


def test_an_empty_home_has_an_empty_ledger(tmp_path):
    found = read(Home(tmp_path / "nothing"))
    assert (found.entries, found.faults, found.remarks, found.head) == ((), (), (), START)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_altered_entry_is_named(untracked, number):
    lines = lines_of(untracked)
    lines[number - 1] = altered(lines[number - 1], as_of="2019-12-31")
    write(untracked, lines)
    assert faults(untracked) == [(number, "it was altered: its content does not give its hash")]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_entry_that_was_replaced_with_a_fresh_hash_is_named(untracked, number):
    lines = lines_of(untracked)
    lines[number - 1] = forged(lines[number - 1], as_of="2019-12-31")
    write(untracked, lines)
    assert faults(untracked) == [(number, f"it was replaced: entry {number + 1} followed another one")]


def test_the_last_entry_replaced_with_a_fresh_hash_is_named_by_the_head(untracked):
    lines = lines_of(untracked)
    write(untracked, [*lines[:3], forged(lines[3], as_of="2019-12-31")])
    assert faults(untracked) == [(4, f"it is not the entry that {HEAD} names; the ledger was written anew")]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_entry_is_named(untracked, number):
    lines = lines_of(untracked)
    write(untracked, lines[: number - 1] + lines[number:])
    assert faults(untracked) == [(number, f"entry {number} is missing before entry {number + 1}")]


def test_entries_cut_off_at_the_end_are_named_by_the_head(untracked):
    lines = lines_of(untracked)
    write(untracked, lines[:3])
    assert faults(untracked) == [(4, f"entry 4 is missing at the end, by {HEAD}")]
    write(untracked, lines[:1])
    assert faults(untracked) == [(2, f"entries 2 to 4 are missing at the end, by {HEAD}")]
    write(untracked, [])
    assert faults(untracked) == [(1, f"entries 1 to 4 are missing at the end, by {HEAD}")]


def test_entries_in_another_order_are_named(untracked):
    lines = lines_of(untracked)
    write(untracked, [lines[0], lines[2], lines[1], lines[3]])
    assert faults(untracked) == [
        (2, "entry 2 is missing before entry 3"),
        (2, "it comes after entry 3: entries were put in another order"),
    ]


def test_an_inserted_entry_is_named(untracked):
    lines = lines_of(untracked)
    strange = forged(lines[1], number=3, previous=json.loads(lines[1])["hash"], as_of="2019-12-31")
    write(untracked, [*lines[:2], strange, *lines[2:]])
    assert faults(untracked) == [(3, "it stands there twice: an entry was inserted or repeated")]


def test_what_was_added_by_hand_is_named(untracked):
    lines = lines_of(untracked)
    for number in (5, 6):
        last = json.loads(lines[-1])
        lines.append(forged(lines[-1], number=number, previous=last["hash"]))
    write(untracked, lines)
    assert faults(untracked) == [(5, f"{HEAD} knows entries up to 4 only; what follows was added by hand")]


def test_a_damaged_line_is_named(untracked):
    lines = lines_of(untracked)
    write(untracked, [lines[0], lines[1][:100], *lines[2:]])
    assert faults(untracked) == [(2, "line 2 cannot be read; the entry was damaged or altered")]


def test_a_lost_head_is_named(untracked):
    (untracked.root / "recommendations" / HEAD).unlink()
    assert faults(untracked) == [(4, f"{HEAD}, which names the last entry, is gone or damaged")]


def rewritten(home):
    """The third entry changed, and all after it and the head written anew."""
    lines = lines_of(home)
    lines[2] = forged(lines[2], as_of="2019-12-31")
    lines[3] = forged(lines[3], previous=json.loads(lines[2])["hash"])
    write(home, lines)
    told = {"count": 4, "hash": json.loads(lines[3])["hash"]}
    (home.root / "recommendations" / HEAD).write_text(json.dumps(told))


def test_a_ledger_written_anew_with_its_head_is_named_by_the_tracking_data(home):
    rewritten(home)
    assert faults(home) == [
        (number, "it is not the entry that the tracking data know; it was replaced") for number in (3, 4)
    ]


def test_a_cut_ledger_with_its_head_is_named_by_the_tracking_data(home):
    lines = lines_of(home)[:2]
    write(home, lines)
    (home.root / "recommendations" / HEAD).write_text(json.dumps({"count": 2, "hash": json.loads(lines[1])["hash"]}))
    assert faults(home) == [(3, "entries 3 to 4 are missing at the end, by the tracking data")]


def test_a_ledger_written_anew_everywhere_is_not_found_out(untracked):
    """The limit that the documentation states: without a witness, nothing is left to compare with."""
    rewritten(untracked)
    found = read(untracked)
    assert found.faults == ()
    assert found.remarks == ("not compared with the tracking data, which this home has none of",)


def test_a_ledger_that_was_taken_away_whole_is_remarked(home):
    shutil.rmtree(home.root / "recommendations")
    (remark,) = read(home).remarks
    assert "of 4 entries that is not here; it was moved away or removed" in remark


def test_nothing_is_added_to_a_ledger_that_does_not_fit(home):
    lines = lines_of(home)
    lines[1] = altered(lines[1], run="another")
    write(home, lines)
    with pytest.raises(DataError, match="does not fit at entry 2: it was altered"):
        record(home, made(5))
    assert lines_of(home) == lines


def test_a_killed_write_is_remarked_and_healed(home):
    """The line is there, but neither the head nor the tracking data were told of it."""
    folder = home.root / "recommendations"
    head = (folder / HEAD).read_text()
    fifth = record(home, made(5))
    (folder / HEAD).write_text(head)
    store = tracking(home)
    with store.asked() as client:
        client.delete_experiment_tag(store.find(PREFIX + fifth.ledger).experiment_id, f"{TAG}000005")
    lines = lines_of(home)
    found = read(home)
    assert found.faults == ()
    assert found.remarks == (
        "entry 5 was written, but a killed process did not confirm it; the next entry will",
        "the tracking data do not know entries 5; they were made with other tracking data, or not confirmed",
    )
    record(home, made(6))
    found = read(home)
    assert (found.faults, found.remarks) == ((), ())
    assert lines_of(home)[:5] == lines


def test_the_tracking_data_know_every_hash(home):
    store = tracking(home)
    found = read(home)
    tags = store.find(PREFIX + found.entries[0].ledger).tags
    assert {tag: value for tag, value in tags.items() if tag.startswith(TAG)} == {
        f"{TAG}{entry.number:06d}": entry.hash for entry in found.entries
    }


def test_other_tracking_data_do_not_condemn(home):
    other = replace(home, shared_tracking=f"sqlite:///{home.root}/other.db")
    shutil.copy(home.tracking / "mlflow.db", home.root / "other.db")
    store = tracking(other)
    with store.asked() as client:
        client.delete_experiment_tag(store.find(PREFIX + read(home).entries[0].ledger).experiment_id, f"{TAG}000002")
    found = read(other)
    assert found.faults == ()
    assert found.remarks[0].startswith("the tracking data do not know entries 2;")


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    entry = made(1)
    told = replace(entry.recommendation, cash_usd=float("nan"))
    with pytest.raises(DataError, match="the recommendation cannot be recorded"):
        record(Home(tmp_path / "home"), replace(entry, recommendation=told))
    assert not (tmp_path / "home" / "recommendations" / LEDGER).exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found(untracked, data):
    path = untracked.root / "recommendations" / LEDGER
    text = path.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    fresh = data.draw(st.sampled_from([byte for byte in b'0123456789abcxyz"{}:,.' if byte != text[at]]))
    changed = text[:at] + bytes([fresh]) + text[at + 1 :]
    path.write_bytes(changed)
    try:
        found = read(untracked).faults
    finally:
        path.write_bytes(text)
    assert found or [json.loads(line) for line in changed.splitlines()] == [
        json.loads(line) for line in text.splitlines()
    ]


def _add(root, number):
    record(Home(root), made(number))


@pytest.mark.slow
def test_writers_at_the_same_time_lose_nothing(tmp_path):
    record(Home(tmp_path / "home"), made(1))
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(tmp_path / "home", number)) for number in range(2, 5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    found = read(Home(tmp_path / "home"))
    assert found.faults == ()
    assert len(found.entries) == 4
    assert {entry.recommendation.policy for entry in found.entries} == {f"policy {number}" for number in range(1, 5)}
