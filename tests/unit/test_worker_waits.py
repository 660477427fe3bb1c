"""A worker asks its agent before it waits, once for all its threads, and receives nothing else."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from node_agent.core.attempts import Attempt
from node_agent.executors.workers.lanes import Lane
from node_agent.protocol.packets import VERDICT, verdict, verdict_of
from node_agent.worker.waits import Waits
from quorate.client.tracking.waiting import TooManyWait

KEY = 7


class Far:
    """The agent's side of a lane, in this process."""

    def __init__(self) -> None:
        self.lane = Lane(0)
        self.lane.ours.setblocking(True)
        self.lane.ours.settimeout(60)
        self.waits = Waits(self.lane.theirs)
        self.waits.serve(KEY)

    def hear(self) -> tuple[str, int]:
        """What the worker said, and the number of the wait."""
        reply = self.lane.replies.read(self.lane.ours.recv(4096))
        assert reply is not None
        key, number, _, answer, _ = reply
        assert key == KEY
        return answer[0], int(number)

    def hears_nothing(self) -> bool:
        return not select.select([self.lane.ours], [], [], 0)[0]

    def begin_in_thread(self) -> tuple[threading.Thread, list[object]]:
        results: list[object] = []

        def run() -> None:
            try:
                results.append(self.waits.begin())
            except TooManyWait as refused:
                results.append(refused.limit)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, results

    def begin(self) -> int:
        """One wait that is allowed."""
        thread, results = self.begin_in_thread()
        sign, number = self.hear()
        assert sign == "yielded"
        self.lane.answer_wait(number, 0)
        thread.join(60)
        assert results == [KEY]
        return KEY


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    yield far
    far.lane.close()


def test_a_wait_and_its_end(far: Far) -> None:
    wait = far.begin()
    assert far.hears_nothing()
    far.waits.end(wait)
    assert far.hear() == ("resumed", 1)


def test_many_waits_at_once_are_one(far: Far) -> None:
    waits = [far.begin(), far.waits.begin(), far.waits.begin()]
    for wait in waits[:-1]:
        far.waits.end(wait)
    assert far.hears_nothing()
    far.waits.end(waits[-1])
    assert far.hear() == ("resumed", 1)
    far.begin()


def test_a_refused_wait_raises_and_leaves_no_trace(far: Far) -> None:
    thread, results = far.begin_in_thread()
    _, number = far.hear()
    far.lane.answer_wait(number, 64)
    thread.join(60)
    assert results == [64]
    assert far.hears_nothing()
    far.begin()


def test_an_attempt_that_was_sent_ahead_stays_for_the_agent(far: Far) -> None:
    far.lane.ours.send(b"an attempt")
    far.lane.pending[KEY] = Attempt("t", 1, None)
    thread, results = far.begin_in_thread()
    assert far.hear() == ("yielded", 1)
    assert far.lane.take_back() == [b"an attempt"]
    far.lane.answer_wait(1, 0)
    thread.join(60)
    assert results == [KEY]


def test_taking_attempts_back_leaves_a_verdict_where_it_is(far: Far) -> None:
    far.lane.answer_wait(3, 0)
    far.lane.ours.send(b"an attempt")
    assert far.lane.take_back() == [b"an attempt"]
    assert verdict_of(far.lane.theirs.recv(64)) == (3, 0)


def test_what_a_call_left_behind_says_nothing_when_it_is_over(far: Far) -> None:
    wait = far.begin()
    far.waits.over()
    far.waits.end(wait)
    assert far.waits.begin() == 0, "between two calls nobody waits"
    assert far.hears_nothing()
    far.waits.serve(KEY)
    # Of the former call with another key.
    far.waits.end(KEY - 1)
    assert far.hears_nothing()


def test_a_forked_child_says_nothing(far: Far) -> None:
    pid = os.fork()
    if pid == 0:
        far.waits.end(far.waits.begin())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert far.hears_nothing()


def test_a_signal_handler_that_raises_ends_the_wait(far: Far) -> None:
    class Alarm(Exception):
        pass

    def on_alarm(*_: object) -> None:
        raise Alarm

    former = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            far.waits.begin()
    finally:
        signal.signal(signal.SIGALRM, former)
    assert far.hear() == ("yielded", 1)
    assert far.hear() == ("resumed", 1)
    # Its verdict comes late, and is not taken for the next one's.
    far.lane.answer_wait(1, 64)
    far.begin()


def test_without_an_agent_it_just_waits(far: Far) -> None:
    far.lane.ours.close()
    assert far.waits.begin() == KEY
    far.waits.end(KEY)


def test_a_verdict_is_no_message() -> None:
    assert verdict(5, 64)[:1] == VERDICT
    assert verdict_of(verdict(2**40, 64)) == (2**40, 64)
