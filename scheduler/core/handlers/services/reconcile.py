"""Which replicas of a service to start and which to end: a pure function of what there is.

Owns nothing and remembers nothing: it is asked again after every change, and after an election,
and finds nothing to do once the service is as its owner wants it. Replicas that are being ended
are not shown to it: they take no new request, and however long they drain, they hold up nothing.

    current   of the newest generation, on a node that is not being emptied
    ready     running, and its instance is HEALTHY
    waiting   no process: it waits for a slot, or out its backoff

What holds for every plan, as for a Deployment of Kubernetes:

* current and outdated replicas together are never more than `replicas + max_surge`;
* a ready replica is ended only while `replicas - max_unavailable` others are ready, or when there
  are more current ones than are wanted;
* replicas that are not ready go before ready ones, newer before older.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import TaskId


class DesiredState(NamedTuple):
    """How many replicas are wanted, and how far an update may deviate from it."""

    replicas: int
    max_surge: int
    max_unavailable: int


class ReplicaSeen(NamedTuple):
    """One replica that is not being ended."""

    task: TaskId
    current: bool
    ready: bool
    waiting: bool


class Plan(NamedTuple):
    """What to do. The ends come first: the room they make is counted in `create`."""

    end: tuple[TaskId, ...]
    create: int


def plan(desired: DesiredState, replicas: Sequence[ReplicaSeen]) -> Plan:
    """What brings `replicas` nearer to the desired state."""
    current = sorted((r for r in replicas if r.current), key=_usefulness)
    outdated = sorted((r for r in replicas if not r.current), key=_usefulness)
    ends = current[desired.replicas :]
    current = current[: desired.replicas]

    # Nothing is lost with one that has no process.
    ends += [r for r in outdated if r.waiting]
    outdated = [r for r in outdated if not r.waiting]

    least = max(0, desired.replicas - desired.max_unavailable)
    starting = sum(1 for r in current if not r.ready)
    # Not ready is not useless: it may be starting, or its health unknown for a moment. So those
    # too go only as far as others can make up for them.
    ends += _take(outdated, len(current) + len(outdated) - least - starting, ready=False)
    ready = sum(1 for r in current if r.ready) + sum(1 for r in outdated if r.ready)
    ends += _take(outdated, ready - least, ready=True)

    # Scaled down, or a smaller surge: what is not ready makes room.
    most = desired.replicas + desired.max_surge
    ends += _take(outdated, len(current) + len(outdated) - most, ready=False)
    ends += _take(current, len(current) + len(outdated) - most, ready=False)

    left = len(current) + len(outdated)
    create = max(0, min(desired.replicas - len(current), most - left))
    return Plan(tuple(r.task for r in ends), create)


def _usefulness(replica: ReplicaSeen) -> tuple[bool, bool, TaskId]:
    """The most useful first: ready, then running, then old."""
    return not replica.ready, replica.waiting, replica.task


def _take(replicas: list[ReplicaSeen], most: int, *, ready: bool) -> list[ReplicaSeen]:
    """Take up to `most` replicas off the end of a list in the order of usefulness."""
    taken: list[ReplicaSeen] = []
    for replica in reversed(replicas):
        if len(taken) >= most:
            break
        if replica.ready == ready:
            taken.append(replica)
    gone = {replica.task for replica in taken}
    replicas[:] = [replica for replica in replicas if replica.task not in gone]
    return taken
