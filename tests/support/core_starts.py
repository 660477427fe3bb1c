"""What must hold of every start of a `Cluster`, by rules of its own: limits, pauses, taints, labels
of nodes, ordering keys, what a task of a graph waits for."""

from __future__ import annotations

from scheduler.core.graphs.members import Condition, condition_of, place_of
from scheduler.core.model import effects as fx
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import FINISHED, TaskState


def check_starts(state: State, out: fx.Effects) -> None:
    """Look at what one pass of placement started."""
    for effect in out.after:
        if isinstance(effect, fx.StartAttempt):
            _check_limits(state, effect.row)
            _check_held_back(state, effect.row)
            _check_node(state, effect.row)


def _check_limits(state: State, row: TaskRow) -> None:
    """No start exceeds a limit, whatever was changed before."""
    queue = row.queue
    held: list[tuple[int, int, str]] = [(queue.limits.max_running, queue.running, queue.name)]
    if row.limits is not None:
        key = row.limits.key
        if key:
            most = queue.limits.max_running_per_key
            held.append((most, queue.running_by_key[key], f"{queue.name}/{key}"))
        for name in row.limits.shared:
            shared = state.permits.shared.get(name)
            most = shared.max_running if shared is not None else 0
            held.append((most, state.permits.running[name], name))
    for most, running, name in held:
        assert not most or running <= most, f"{running} of {most} run by {name}"


def _check_held_back(state: State, row: TaskRow) -> None:
    """Nothing holds it back: no pause, no task of its ordering key, no task that it waits for."""
    assert not row.queue.paused, f"{row.id} starts, and {row.queue.name!r} is paused"
    for pause in state.pauses.rows.values() if row.replica is None else ():
        matches = (
            pause.queue in ("", row.queue.name)
            and pause.tenant in ("", row.tenant)
            and set(pause.labels) <= set(row.labels)
        )
        assert not (matches and pause.scope.dispatch), f"{row.id} starts, and {pause} holds"
    key = row.limits.ordering if row.limits is not None else ""
    for other in state.tasks.values() if key else ():
        same = other.queue is row.queue and other.limits is not None
        if not same or other is row or other.limits is None or other.limits.ordering != key:
            continue
        assert other.state is not TaskState.RUNNING, f"{row.id} and {other.id} of {key!r} run"
        waits = other.state is TaskState.PENDING and other.id < row.id
        assert not waits, f"{row.id} of {key!r} starts before {other.id}"
    member = row.member
    if member is not None and member.of.in_graph:
        members = member.job.members
        assert members is not None
        assert not member.job.loading, f"{row.id} starts before its graph is complete"
        for code in member.of.edges:
            other_node = members.nodes[place_of(code)]
            again = other_node.job.round > 0 or row.attempt > 1
            # One that had not succeeded may have been retried by name since it let this one in.
            again = again or condition_of(code) is not Condition.ON_SUCCESS
            assert again or other_node.state in FINISHED, (
                f"{row.id} starts before {other_node.task}"
            )


def _check_node(state: State, row: TaskRow) -> None:
    """Its node has no taint that it does not tolerate, and the labels that it wants."""
    node = state.nodes[row.node]
    control = state.controls.get(node.name)
    rules = row.rules
    for taint in (*node.taints, *(control.taints if control is not None else ())):
        tolerated = rules is not None and any(
            one.key in ("*", taint.key) and one.value in (None, taint.value)
            for one in rules.tolerations
        )
        assert tolerated, f"{row.id} starts on {node.name}, which has {taint}"
    for rule in rules.nodes if rules is not None else ():
        holds = rule.preferred or rule.holds(node.name, node.labels)
        assert holds, f"{row.id} starts on {node.name}, and {rule}"
