"""What an agent may say to a leader, whatever it wants to say.

An agent is a program on another machine: its word counts for the attempts that were given to its
process, and for nothing else (`core.attempts` fences each report by instance and attempt). Here are
the bounds that keep one that lies, or is broken, from costing the others anything:

* a message has a size, a number of items, ids of some length; only the first one has an inventory
  (none means that it has nothing), and all are of the instance that was dialled. Anything else is
  an `AgentMisbehaviour`: the session ends, and the next one is tried later and later. A node that
  gets no session without a fault for `unreachable_after` is lost, as one that cannot be reached is;
* a returned attempt can be assigned again at once, so returns are throttled (`ReturnThrottle`);
* what it asks for (credit, slots) counts at most as much as a correct agent can ask for.

An agent's word never deposes a leader: to STALE_EPOCH it looks at its own fence in etcd.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from quorate.runtime.ids import InstanceId, TaskId
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.v1 import node_agent_pb2 as pb
from scheduler.core.model import events as e

# Bytes of one message. Agents cut theirs at 2 MiB and may add one outcome of 1 MiB.
MESSAGE_BYTES: Final = 4 << 20
# Attempts in one message. An agent has 10,000 reports, 4,096 that wait and some 2,000 in lanes at
# most when a session opens.
MOST_ITEMS: Final = 32_768
# Characters of a task's id.
LONGEST_ID: Final = 128
# Events stepped between two turns of the event loop.
AT_ONCE: Final = 1_024
# Returned attempts a second, and at once.
RETURNS_A_SECOND: Final = 1_000.0
RETURNS_AT_ONCE: Final = 10_000.0


# What breaks the protocol between agent and leader; the label `kind` of the metric.
MISCONDUCT: Final = (
    "INVENTORY",
    "MALFORMED_MESSAGE",
    "STALE_EPOCH",
    "TOO_MANY_ITEMS",
    "WRONG_INSTANCE",
)


class AgentMisbehaviour(Exception):
    """An agent said what none may say. `kind` is UPPER_SNAKE, for the metric."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def check(instance: InstanceId, message: Any, *, first: bool = False) -> None:
    """Raise AgentFault unless the message can be one of this process.

    Args:
        message: as read; None when its bytes were no message.
        first: it answers `hello`.
    """
    if not isinstance(message, pb.SessionResponse):
        raise AgentMisbehaviour("MALFORMED_MESSAGE", "it sent bytes that are no SessionResponse")
    if message.instance and message.instance != instance:
        raise AgentMisbehaviour("WRONG_INSTANCE", "it reported in the name of another process")
    if message.HasField("inventory") and not first:
        raise AgentMisbehaviour("INVENTORY", "it sent a second inventory")
    inventory = message.inventory
    items = len(message.started) + len(message.finished) + len(message.returned)
    items += len(message.progress) + len(inventory.progress)
    items += len(message.read_results)
    for report in message.chunk_reports:
        items += 1 + len(report.succeeded) + len(report.failed) + len(report.returned)
        items += len(report.results)
    if first:
        items += len(inventory.running) + len(inventory.waiting) + len(inventory.finished)
        items += len(inventory.suspended)
    if items > MOST_ITEMS:
        raise AgentMisbehaviour(
            "TOO_MANY_ITEMS", f"a message of {items} attempts; at most {MOST_ITEMS}"
        )


def check_id(task: str) -> TaskId:
    """A task's id as an agent wrote it. Raises AgentMisbehaviour when it can be none."""
    if len(task) > LONGEST_ID:
        raise AgentMisbehaviour("MALFORMED_MESSAGE", f"a task's id of {len(task)} characters")
    # `TaskId(task)` is a call more, for each report.
    return task  # type: ignore[return-value]


def parts(events: Sequence[e.Event]) -> Iterator[Sequence[e.Event]]:
    """Events in portions that do not hold the event loop for long; at least one, if it is empty."""
    if len(events) <= AT_ONCE:
        yield events
        return
    rest = iter(events)
    while part := tuple(islice(rest, AT_ONCE)):
        yield part


class ReturnThrottle:
    """How long to wait before the next message of an agent that returns attempts is read.

    An honest agent returns its attempts when it drains, and then grants no credit. One that takes
    and returns attempts all the time would keep leader and etcd busy for nothing.
    """

    def __init__(self, now: float) -> None:
        self._allowed = TokenBucket(RETURNS_A_SECOND, RETURNS_AT_ONCE, now)

    def wait(self, events: Sequence[e.Event], now: float) -> float:
        """Seconds to wait after these events; `now` is monotonic."""
        count = list(map(type, events)).count(e.AttemptReturned)
        return self._allowed.reserve(now, count) if count else 0.0
