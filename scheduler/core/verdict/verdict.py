"""The verdict: one list of problems, the worst first, from the state and a few facts. Pure.

Bounded: it looks at `ROWS` waiting tasks, compares at most `KINDS_TIMES_NODES` pairs of a kind of
task and a node, and keeps `MOST` problems of a code. `shortened` names `EACH` of them; what is more
is one problem that counts the rest. It never looks at all tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from quorate.runtime.sizes import plural
from scheduler.core.handlers.services.services import replicas_seen
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import TaskState
from scheduler.core.verdict import outside
from scheduler.core.verdict.facts import Facts
from scheduler.core.verdict.problems import Code, Problem, Severity
from scheduler.core.verdict.rising import Rising

EACH: Final = 20
MOST: Final = 1_000
ROWS: Final = 2_000
KINDS_TIMES_NODES: Final = 12_000
_ROWS_OF_QUEUE: Final = 16
# Seconds.
STALLED_AFTER: Final = 900.0


def verdict(state: State, facts: Facts, rising: Rising, now: float) -> list[Problem]:
    """All problems at `now`, the worst first; of those alike, by code and name."""
    unplaceable = list(_unplaceable(state))
    stuck = {problem.queue for problem in unplaceable}
    found = [
        *_lost(state),
        *_no_nodes(state),
        *unplaceable,
        *_paused(state),
        *_stalled(state, stuck, now),
        *_services(state),
        *outside.problems(facts, now),
        *_rising(rising),
    ]
    found.sort(key=lambda one: (-one.severity, one.code, one.name))
    counts: Counter[Code] = Counter()
    kept = []
    for one in found:
        counts[one.code] += 1
        if counts[one.code] <= MOST:
            kept.append(one)
    return kept


def shortened(found: Iterable[Problem]) -> Iterator[Problem]:
    """At most `EACH` of a code; of the others how many they are. For one caller, of those that it
    may see: what it may not see takes no place and is not counted."""
    counts: dict[Code, int] = {}
    last: dict[Code, Problem] = {}
    for problem in found:
        count = counts[problem.code] = counts.get(problem.code, 0) + 1
        if count <= EACH:
            yield problem
        last[problem.code] = problem
    for code, count in counts.items():
        if count > EACH:
            one = last[code]
            sentence = f"{plural(count - EACH, 'more problem')} of the kind {code}."
            # Of no name: it may be about several queues.
            yield Problem(code, one.severity, sentence, one.kind)


def _lost(state: State) -> Iterator[Problem]:
    for name, row in state.lost.items():
        had = f" It had {plural(row.attempts, 'attempt')}." if row.attempts else ""
        sentence = f"Node {name} is lost: {row.why}.{had}"
        yield Problem(Code.NODE_LOST, Severity.WARNING, sentence, "node", name, since=row.since)


def _no_nodes(state: State) -> Iterator[Problem]:
    if not any(queue.pending.size for queue in state.waiting.values() if not queue.paused):
        return
    for node in state.nodes.values():
        if node.connected and not node.stats.disk_error and not state.control(node.name).cordoned:
            return
    sentence = "Tasks wait, and no node takes work."
    yield Problem(Code.NO_NODES, Severity.ERROR, sentence, "node")


def _unplaceable(state: State) -> Iterator[Problem]:
    """The first tasks of each kind that wait, of as many queues as the bounds allow."""
    if not state.nodes:
        return
    rows_left, kinds_left = ROWS, max(4, KINDS_TIMES_NODES // len(state.nodes))
    known: dict[object, str] = {}
    for queue in state.waiting.values():
        rows_left -= 1
        for row in islice(queue.pending.first_rows(), _ROWS_OF_QUEUE):
            wanted = (row.needs, row.rules)
            if wanted not in known:
                if not kinds_left:
                    return
                kinds_left -= 1
                known[wanted] = why_unplaceable(state, row.needs, row.rules)
            rows_left -= 1
            if why := known[wanted]:
                yield _no_node_for(queue, row, why)
                break
        if rows_left <= 0:
            return


def _no_node_for(queue: QueueRow, row: TaskRow, why: str) -> Problem:
    # As of one task elsewhere.
    lacks = why.partition(": the task waits until")[0]
    sentence = f"Tasks of queue {queue.name} fit no node: {lacks}."
    kind, name = ("job", row.job.id) if row.job is not None else ("task", row.id)
    return Problem(Code.TASKS_UNPLACEABLE, Severity.WARNING, sentence, kind, name, queue.name)


def _paused(state: State) -> Iterator[Problem]:
    for queue in state.waiting.values():
        if not queue.paused or not queue.pending.size:
            continue
        pause = queue.pause
        by = f" by {pause.by}" if pause is not None and pause.by else ""
        why = f" ({pause.reason})" if pause is not None and pause.reason else ""
        waits = queue.counts[TaskState.PENDING]
        held = (
            f"{waits:,} {'task waits' if waits == 1 else 'tasks wait'}" if waits else "a job waits"
        )
        yield Problem(
            Code.QUEUE_PAUSED,
            Severity.WARNING,
            f"Queue {queue.name} is paused{by}{why}, and {held}.",
            "queue",
            queue.name,
            queue.name,
            pause.since if pause is not None else 0.0,
        )


def _stalled(state: State, stuck: set[str], now: float) -> Iterator[Problem]:
    """Tasks are due, and for long none has run: why, nobody knows yet."""
    for queue in islice(state.waiting.values(), ROWS):
        if queue.paused or queue.running or queue.name in stuck:
            continue
        if now - queue.last_finish < STALLED_AFTER:
            continue
        first = islice(queue.pending.first_rows(), _ROWS_OF_QUEUE)
        due = min((max(row.create_time, row.not_before) for row in first), default=now)
        if now - due > STALLED_AFTER:
            sentence = (
                f"Queue {queue.name} stands still: a task has been due for "
                f"{int((now - due) // 60)} minutes, and none runs."
            )
            where = (queue.name, queue.name, due)
            yield Problem(Code.QUEUE_STALLED, Severity.WARNING, sentence, "queue", *where)


def _services(state: State) -> Iterator[Problem]:
    for name, row in state.services.items():
        if row.deleting or not row.spec.replicas:
            continue
        ready = sum(one.ready for one in replicas_seen(state, row))
        if ready < row.spec.replicas:
            severity = Severity.WARNING if ready else Severity.ERROR
            verb = "is" if ready == 1 else "are"
            sentence = f"Service {name}: {ready} of {row.spec.replicas} replicas {verb} ready."
            yield Problem(Code.SERVICE_BELOW_REPLICAS, severity, sentence, "service", name, name)


def _rising(rising: Rising) -> Iterator[Problem]:
    for queue, more in rising.found():
        sentence = f"Queue {queue}: {plural(more, 'task')} failed for good in the last 15 minutes."
        yield Problem(Code.DEAD_LETTERS_RISING, Severity.WARNING, sentence, "dead", queue, queue)
