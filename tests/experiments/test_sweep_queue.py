"""The queue: of many at once exactly one gets a configuration, and what a dead worker held comes back."""

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from postgres import Postgres
from sqlalchemy.exc import OperationalError

from alfred.core.errors import ConfigError, FetchError
from alfred.experiments.sweeps import queue as queues
from alfred.experiments.sweeps.queue import FAILED, FINISHED, QUEUED, RUNNING, Held, Queue

LEASE_S = 60.0


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'q.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.database()
    found = Queue(url, 1.0)
    yield found
    found.close()


def filled(queue: Queue, count: int) -> None:
    for number in range(count):
        assert queue.add("s", number, f"key{number}", {"a": number})


def take(queue: Queue, owner: str, **more: Any) -> Held | None:
    return queue.claim("s", owner, **{"lease_s": LEASE_S, "attempts": 3, **more})


def silent_for(queue: Queue, seconds: float) -> None:
    """As if nothing had been heard of anyone for so long."""
    queue._asked(
        lambda connection: connection.execute(sa.update(queues._work).values(beat=queues._work.c.beat - seconds))
    )


def test_of_many_at_once_each_configuration_goes_to_one(queue: Queue) -> None:
    filled(queue, 30)
    taken: list[Held] = []

    def work(owner: str) -> None:
        while (held := take(queue, owner)) is not None:
            taken.append(held)
            assert queue.finish(held, FINISHED, {"value": held.number})

    threads = [threading.Thread(target=work, args=(f"w{at}",)) for at in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(held.number for held in taken) == list(range(30))
    rows = queue.rows("s")
    assert [(row.state, row.result["value"], row.point["a"]) for row in rows] == [(FINISHED, n, n) for n in range(30)]


def test_a_configuration_of_two_sweeps_is_run_once(queue: Queue) -> None:
    filled(queue, 1)
    assert queue.add("other", 5, "key0", {"b": 1})
    held = take(queue, "w")
    assert held is not None
    assert queue.claim("other", "v", lease_s=LEASE_S, attempts=3) is None
    queue.finish(held, FINISHED, {"value": 1.0})
    assert [(row.number, row.state, row.point) for row in queue.rows("other")] == [(5, FINISHED, {"b": 1})]


def test_a_number_belongs_to_who_took_it_first(queue: Queue) -> None:
    assert queue.add("s", 0, "key", {})
    assert queue.add("s", 0, "key", {})
    assert not queue.add("s", 0, "another", {})


def test_who_was_not_heard_of_loses_it_and_cannot_tell_anything_any_more(queue: Queue) -> None:
    filled(queue, 1)
    slow = take(queue, "slow")
    assert slow is not None
    assert take(queue, "quick") is None
    assert queue.beat(slow, [0.5])
    silent_for(queue, LEASE_S + 5)
    quick = take(queue, "quick")
    assert quick is not None
    assert quick.deaths == 1
    assert not queue.beat(slow)
    assert not queue.finish(slow, FINISHED, {"value": 1.0})
    assert queue.beat(quick)
    assert queue.finish(quick, FINISHED, {"value": 2.0})
    assert queue.rows("s")[0].result == {"value": 2.0}


def test_asking_again_finds_what_the_lost_answer_did(queue: Queue) -> None:
    filled(queue, 2)
    first = take(queue, "w")
    assert first == take(queue, "w")
    assert first is not None
    assert queue.finish(first, FINISHED, {})
    assert queue.finish(first, FINISHED, {})
    assert not queue.finish(first, FAILED, {})


def test_released_work_is_handed_out_again_and_only_deaths_count(queue: Queue) -> None:
    filled(queue, 1)
    for told in (None, "signal 9", "signal 11; out of memory.", None):
        assert take(queue, "w") is not None
        assert queue.release("w", died=told) == 1
    assert queue.release("w") == 0
    assert take(queue, "w") is not None
    assert queue.release("w", died="signal 9") == 1
    assert take(queue, "w") is None
    row = queue.rows("s")[0]
    assert row.state == FAILED
    assert "3 workers died over it (the last said: signal 9), as happens where there is too little memory" in row.error
    assert queue.retry("s") == 1
    assert (queue.rows("s")[0].state, queue.rows("s")[0].deaths) == (QUEUED, 0)
    assert take(queue, "w") is not None


def test_numbers_below_zero_are_only_given_by_name(queue: Queue) -> None:
    queue.add("s", -1, "judgement", {})
    assert take(queue, "w") is None
    held = take(queue, "w", numbers=[-1])
    assert held is not None
    assert held.number == -1


def test_what_was_written_down_first_stays(queue: Queue) -> None:
    assert queue.form("s") is None
    assert queue.enter("s", {"a": 1}) == {"a": 1}
    assert queue.enter("s", {"a": 2}) == {"a": 1}
    assert queue.form("s") == {"a": 1}


def away(text: str) -> OperationalError:
    return OperationalError("SELECT", {}, Exception(text))


def test_a_database_that_is_away_delays(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "PAUSE_S", 0.01)
    filled(queue, 1)
    held = take(queue, "w")
    assert held is not None
    silent_for(queue, LEASE_S + 5)
    tries = iter([away("connection refused"), away("the database system is starting up")])

    def work(_connection: sa.Connection) -> int:
        for error in tries:
            raise error
        return 7

    assert queue._asked(work) == 7
    # While it was away nobody could be heard of, so nobody is taken to be dead at once.
    assert take(queue, "v") is None
    assert queue.beat(held)


def test_what_no_waiting_puts_right_is_said(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "PAUSE_S", 0.01)

    def failing(error: OperationalError) -> Any:
        def work(_connection: sa.Connection) -> None:
            raise error

        return work

    with pytest.raises(
        FetchError, match=r"cannot be read or written: Exception: attempt to write a readonly database;"
    ):
        queue._asked(failing(away("attempt to write a readonly database")))
    with pytest.raises(FetchError, match=r"cannot be read or written: Exception: connection refused; put it right, or"):
        queue._asked(failing(away("connection refused")))
    with pytest.raises(OSError, match=r"No space left on device, says the database") as full:
        queue._asked(failing(away("database or disk is full")))
    assert full.value.errno == errno.ENOSPC


def test_an_address_that_cannot_be_used_is_not_shown(tmp_path: Path) -> None:
    for url, why in (("s3cret", "its value is no address"), ("mysql://u:s3cret@h/d", "it names mysql")):
        with pytest.raises(ConfigError, match=why) as found:
            Queue(url, 1.0)
        assert "s3cret" not in str(found.value)
    with pytest.raises(FetchError) as closed:
        Queue("postgresql://u:s3cret@127.0.0.1:1/d", 0.1)
    assert "s3cret" not in str(closed.value)
    assert "127.0.0.1:1" in str(closed.value)


def test_times_are_the_databases(queue: Queue) -> None:
    filled(queue, 1)
    assert take(queue, "w") is not None
    row = queue.rows("s")[0]
    assert row.state == RUNNING
    assert abs(row.began - time.time()) < 5
