"""What a message becomes in message queues and in task queues is one commit as long as it fits."""

from __future__ import annotations

from collections import deque

import pytest
from google.protobuf.duration_pb2 import Duration

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.routing.rows import Destination, DestinationKind
from tests.support.broker import HOST, Broker, publication
from tests.support.made_tasks import Tasks


class Both(Broker):
    """With tasks.

    Attributes:
        commits: of each step that writes: message queues that it adds to, and tasks that it makes.
    """

    def __init__(self, limits: BrokerLimits) -> None:
        super().__init__(limits)
        self.tasks = self.state.tasks = Tasks()
        self.commits: list[tuple[int, int]] = []

    def commit(self, out: fx.BrokerEffects) -> list[object]:
        if out.additions or self.tasks.made:
            self.commits.append((len(out.additions), len(self.tasks.made)))
            self.tasks.made.clear()
        return super().commit(out)

    def bound(self, queues: int, tasks: int, source: str = "x") -> None:
        """A fanout exchange with message queues and task queues."""
        self.exchange(source, "fanout")
        for number in range(queues):
            self.declare(f"q{number}")
            self.bind(source, f"q{number}")
        for number in range(tasks):
            to = Destination(DestinationKind.TASK_QUEUE, f"t{number}")
            self.ask(e.BindingAsked, HOST, source, to, b"", ())


@pytest.mark.parametrize("sent", [1, 3])
def test_a_message_is_not_split_if_one_commit_takes_all_of_it(sent: int) -> None:
    """Two queues and two tasks: ten writes, as many as a step takes."""
    broker = Both(BrokerLimits(step_writes=10))
    broker.bound(2, 2)
    broker.publish(*(publication(b"a", "", "x") for _ in range(sent)))
    assert broker.commits == [(2, 2)] * sent


def test_bytes_of_tasks_count_beside_those_of_copies() -> None:
    broker = Both(BrokerLimits(step_bytes=2_000))
    broker.bound(1, 1)
    for _ in range(2):
        broker.publish(publication(bytes(300), "", "x"), publication(bytes(300), "", "x"))
    assert broker.commits == [(1, 1)] * 4


def test_what_one_commit_does_not_take_is_split_and_its_tasks_come_last() -> None:
    broker = Both(BrokerLimits(step_writes=10))
    broker.bound(7, 1)
    broker.publish(publication(b"a", "", "x"))
    assert broker.commits == [(7, 0), (0, 1)]
    assert [broker.bodies(f"q{number}") for number in range(7)] == [[b"a"]] * 7


def test_dead_letters_are_split_in_the_same_way_and_prepared_once() -> None:
    broker = Both(BrokerLimits(step_writes=10))
    broker.bound(2, 2)
    jobs = broker.declare("jobs", dead_letter_exchange="x")
    broker.publish(publication(b"a", "jobs"), publication(b"b", "jobs"))
    broker.commits.clear()
    taken = jobs.next_ready(100, broker.now).deliveries
    broker.step(DeadLetterAsked(jobs.row.uid, tuple(one.id for one in taken), Reason.REJECTED))
    assert broker.commits == [(2, 2), (2, 2)]
    # Those of the second message did not fit beside the first one.
    assert broker.tasks.prepared == 2 * 3
    assert jobs.unacknowledged == 0


def test_a_dead_letter_that_several_commits_take_is_removed_with_the_last() -> None:
    broker = Both(BrokerLimits(step_writes=10))
    broker.bound(12, 2)
    jobs = broker.declare("jobs", dead_letter_exchange="x")
    broker.publish(publication(b"a", "jobs"))
    broker.commits.clear()
    broker.effects.clear()
    taken = jobs.next_ready(100, broker.now).deliveries
    broker.step(DeadLetterAsked(jobs.row.uid, tuple(one.id for one in taken), Reason.REJECTED))
    assert broker.commits == [(10, 0), (2, 2)]
    assert [bool(out.writes) for out in broker.effects if out.writes or out.additions] == [
        False,
        True,
    ]
    assert [broker.bodies(f"q{number}") for number in range(12)] == [[b"a"]] * 12


@pytest.mark.parametrize("size", [4, 600 << 10])
def test_a_body_is_given_up_when_a_task_queue_refuses_beside_its_last_part(size: int) -> None:
    """It is shared by two queues: 600 KiB are two parts, and the queues are asked with the last."""
    broker = Both(BrokerLimits(inline_bytes=3))
    broker.bound(2, 1)
    broker.tasks.full["t0"] = None
    answer = broker.publish(publication(bytes(size), "", "x"))
    assert [one.error.reason for one in answer.results] == ["QUEUE_FULL"]
    assert not broker.parts
    assert not broker.state.bodies.on_record
    assert not broker.state.bodies.writing
    assert not broker.bodies("q0")
    broker.tasks.full.clear()
    assert not broker.publish(publication(bytes(size), "", "x")).results
    assert len(broker.parts) == 1
    assert broker.bodies("q0") == broker.bodies("q1") == [bytes(size)]


def test_a_delayed_message_that_expires_waits_for_its_body_to_become_a_task() -> None:
    broker = Both(BrokerLimits(inline_bytes=3))
    broker.bound(0, 1)
    jobs = broker.declare("jobs", dead_letter_exchange="x")
    due, expires = Duration(seconds=9), Duration(seconds=5)
    broker.publish(publication(b"a body", "jobs", deliver_after=due, expiration=expires))
    broker.commits.clear()
    broker.state.window.bodies.clear()
    broker.now += 6.0
    events: deque[object] = deque([e.TimePassed()])
    loads: list[fx.LoadBody] = []
    # It is not stepped again and again before its body is there.
    for _ in range(10):
        if events:
            out = broker.machine.step(events.popleft(), broker.now)
            events += out.then
            for effect in out.now:
                if isinstance(effect, fx.LoadBody):
                    loads.append(effect)
                elif isinstance(effect, fx.LoadChunks):
                    events += [e.ChunkLoaded(*one, broker.stored[one]) for one in effect.chunks]
    assert not events
    assert [load.ref.size for load in loads] == [6]
    broker.step(e.BodyLoaded(loads[0].ref, broker.body(loads[0].ref)))
    assert broker.commits == [(0, 1)]
    assert jobs.ready == jobs.unacknowledged == 0
    assert not broker.parts
