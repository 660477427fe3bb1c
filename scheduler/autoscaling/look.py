"""What of the leader's state a trigger asks about.

Reads the state and keeps nothing. What it looks at is bounded: each node that is scaled, each queue
by name, and of the waiting tasks the kinds of needs and rules, not the tasks.
"""

from __future__ import annotations

from itertools import chain, islice
from math import inf
from typing import Final

from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.plan import Demand, NodeSeen, Seen, allows, new_node
from scheduler.core.handlers.start_limits import room_of, room_of_shared
from scheduler.core.model.rows import NodeRow, QueueRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.place_rules import Rules
from scheduler.core.placement.choosing import taints_of
from scheduler.core.values import NO_LIMITS, NO_NEEDS, Kind, Needs

# Kinds of needs and rules that are distinguished. Tasks of further kinds count as if they needed
# only a slot. Kinds that a new node of the pool could not run are apart, a few, and further ones
# are not counted: whoever asks for nodes that there are not takes no other one's place.
MAX_KINDS: Final = 128
MAX_ELSEWHERE: Final = 16
# Each kind is compared with each node (`plan`), at most so often: some 0.1 s. Of a pool of 10,000
# nodes fewer kinds are distinguished.
MAX_COMPARED: Final = 100_000
_LEAST_KINDS: Final = 8
# Lanes of one queue that are looked at: tasks of each kind, priority and tenant are one. Those
# behind are counted once the others have started.
MOST_LANES: Final = 10_000


def look(state: State, ask: Ask, now: float) -> Seen:
    """What there is at `now`, seconds since the epoch."""
    nodes = [_seen(state, node, now) for node in state.nodes.values() if ask.owns(node.labels)]
    new = new_node(ask.shape, nodes)
    most = min(MAX_KINDS, max(_LEAST_KINDS, MAX_COMPARED // max(1, len(nodes))))
    kinds: dict[tuple[bool, Needs, Rules | None], int] = {}
    elsewhere: dict[tuple[bool, Needs, Rules | None], int] = {}
    oldest = now
    ended = 0.0
    # By the shared limits that they name: of how many starts it was said that they come.
    coming: dict[tuple[str, ...], int] = {}
    for queue in state.queues.values():
        if not ask.takes(queue.name):
            continue
        ended = max(ended, queue.last_finish)
        # What waits in a paused queue waits for its operator, not for nodes.
        if queue.paused or not queue.pending.size:
            continue
        slotless = queue.name == SERVICES_QUEUE
        # What a limit holds back waits for others to end, not for nodes.
        more = _subtasks(queue)
        left = queue.pending.size + sum(count for _, count in more)
        if queue.limits is not NO_LIMITS:
            left = room_of(state, queue, left, now)
        for waits, waiting in chain(islice(queue.pending.open_kinds(), MOST_LANES), more):
            count, rules = min(waiting, left), None
            if isinstance(waits, Kind):
                needs, rules = waits.needs, waits.rules
                said = coming.get(waits.shared, 0)
                count = room_of_shared(state, waits.shared, said + count, now) - said
            else:
                needs = waits
            if count <= 0:
                continue
            left -= count
            if isinstance(waits, Kind) and waits.shared:
                coming[waits.shared] = coming.get(waits.shared, 0) + count
            kind = (slotless, needs, rules)
            if rules is not None and not allows(new, rules):
                if kind in elsewhere or len(elsewhere) < min(most, MAX_ELSEWHERE):
                    elsewhere[kind] = elsewhere.get(kind, 0) + count
                continue
            if kind not in kinds and len(kinds) >= most:
                kind = (slotless, NO_NEEDS, None)
            kinds[kind] = kinds.get(kind, 0) + count
        first = queue.pending.oldest()
        if first is not None:
            # Since it was created: rows do not say when a delay or a backoff ended.
            oldest = min(oldest, first.create_time)
    return Seen(
        nodes=nodes,
        demands=[
            Demand(needs, count, own, rules)
            for (own, needs, rules), count in chain(kinds.items(), elsewhere.items())
        ],
        oldest=now - oldest,
        ended=max(0.0, now - ended) if ended else inf,
    )


def _subtasks(queue: QueueRow) -> list[tuple[Needs | Kind, int]]:
    """Of each job the subtasks that wait, but for one: the job itself stands in the order."""
    found: list[tuple[Needs | Kind, int]] = []
    for entry in queue.entries.values():
        job = entry.job
        if job is None or (isinstance(entry.kind, Kind) and entry.kind.pause):
            continue
        count, limit = job.array.pending, job.spec.max_parallel
        if limit:
            count = min(count, limit - len(job.chunks))
        found.append((entry.kind, count - 1))
    return found


def _seen(state: State, node: NodeRow, now: float) -> NodeSeen:
    allocation, control = node.allocation, state.control(node.name)
    mark = state.scaling_down.get(node.name)
    replicas = sum(1 for row in allocation.rows.values() if row.replica is not None)
    return NodeSeen(
        name=node.name,
        slots=node.slots,
        cpu=node.cpu,
        memory=node.memory,
        counters=node.counters,
        labels=node.labels,
        taints=taints_of(state, node),
        running=allocation.labels,
        held=len(allocation.rows),
        # Of those that have given their slots up its agent reported a second ago at most.
        slots_held=max(0, len(allocation.rows) - replicas - node.stats.yielded),
        cpu_held=allocation.cpu,
        memory_held=allocation.memory,
        counters_held=allocation.counters,
        idle=0.0 if allocation.rows else max(0.0, now - allocation.idle_since),
        # What cannot write takes no work: it is no capacity.
        open=not control.cordoned and not control.draining and not node.stats.disk_error,
        instance=node.instance,
        marked=None if mark is None else max(0.0, now - mark.since),
        draining=control.draining,
    )
