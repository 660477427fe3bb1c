"""ExplainTask of a leader: the core's reasons for a live task, the record's for a finished one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.runtime.errors import unavailable
from quorate.runtime.ids import TaskId
from quorate.runtime.sizes import plural
from quorate.v1 import explain_pb2, task_pb2
from scheduler.api.subtask_place import Subtasks, is_subtask
from scheduler.api.tasks.reading import TaskReader
from scheduler.api.validate import required
from scheduler.api.views import instant
from scheduler.core.handlers.attempts import CRASH_LIMIT
from scheduler.core.handlers.limits.length import QUEUE_FULL
from scheduler.core.placement.explain import Explained, Reason, Why, at, explain
from scheduler.core.values import SKIPPED
from scheduler.engine.driver import Driver

_TRIES: Final = 3
_ENDED: Final[Mapping[int, Why]] = {
    task_pb2.TASK_STATE_SUCCEEDED: Why.SUCCEEDED,
    task_pb2.TASK_STATE_FAILED: Why.FAILED,
    task_pb2.TASK_STATE_CANCELLED: Why.CANCELLED,
    task_pb2.TASK_STATE_EXPIRED: Why.EXPIRED,
}
# Reasons that are about nodes.
_OF_NODES: Final = frozenset(
    (
        explain_pb2.EXPLAIN_REASON_NO_NODE,
        explain_pb2.EXPLAIN_REASON_NO_NODE_FITS,
        explain_pb2.EXPLAIN_REASON_NODES_BUSY,
        explain_pb2.EXPLAIN_REASON_RESERVED,
    )
)
_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}
_OF_ERROR: Final[Mapping[str, Why]] = {CRASH_LIMIT: Why.CRASH_LIMIT, QUEUE_FULL: Why.DROPPED}


async def explain_task(
    driver: Driver, tasks: TaskReader, subtasks: Subtasks | None, name: str
) -> explain_pb2.Explanation:
    """Explain a task or a subtask. Raises QuorateError."""
    task = TaskId(required("id", name))
    if subtasks is not None and is_subtask(name):
        view, found = await subtasks.explain(name)
        if found is None and view.state in _ENDED:
            found = Explained((ended(view),))
        # It may have ended, or begun again, between the two looks: then the later one counts.
        return _answer(view, found or Explained((Reason(Why.STARTING, "it starts in a moment"),)))
    for _ in range(_TRIES):
        row = driver.state.tasks.get(task)
        found = explain(driver.state, row, driver.clock.now()) if row is not None else None
        # What memory says is committed before it is said.
        await driver.readable()
        view = await tasks.task(task, full=False)
        if view.state in _ENDED:
            found = Explained((ended(view),))
        if found is not None:
            return _answer(view, found)
    # Finished when it was looked at, and retried before it was read, each time.
    raise unavailable("TASK_CHANGES", f"task {task} changes too quickly; try again")


def ended(view: task_pb2.Task) -> Reason:
    """How and why a finished task ended."""
    why, error = _ENDED[view.state], view.error
    if why is Why.FAILED:
        why = _OF_ERROR.get(error.type, why)
    # Of a subtask nobody keeps when it ended.
    when = ""
    if view.HasField("finish_time"):
        when = f" at {at(view.finish_time.seconds + view.finish_time.nanos / 1e9)}"
    last = view.attempts[-1] if view.attempts else None
    where = f" on node {last.node}" if last is not None and last.node else ""
    if why is Why.SUCCEEDED:
        sentence = f"attempt {view.attempt} succeeded{where}{when}"
    elif error.type == SKIPPED:
        why = Why.SKIPPED
        sentence = f"the task was skipped{when}: {error.message}"
    elif why is Why.CANCELLED:
        sentence = f"the task was cancelled{when}"
    elif why in (Why.EXPIRED, Why.DROPPED, Why.CRASH_LIMIT):
        sentence = f"{error.message or error.type}: it ended{when}"
    else:
        message = " ".join(error.message.split())[:200]
        sentence = (
            f"attempt {view.attempt} failed{where}{when} with {error.type}: {message}; "
            "no attempt is left"
        )
    return Reason(why, sentence)


def _answer(view: task_pb2.Task, found: Explained) -> explain_pb2.Explanation:
    answer = explain_pb2.Explanation(
        task=view, sentence=found.reasons[0].sentence, nodes_total=found.nodes_total
    )
    for reason in found.reasons:
        one = answer.reasons.add(
            reason=int(reason.why),
            sentence=reason.sentence,
            paused_by=reason.paused_by,
            holders=reason.holders,
        )
        if reason.until:
            one.until.CopyFrom(instant(reason.until))
    for node in found.nodes:
        answer.nodes.add(
            node=node.node,
            filter=int(node.filter),
            sentence=node.sentence,
        )
    if found.place is not None:
        ahead, exact, higher, others, following, tenants = found.place
        answer.place.ahead, answer.place.exact = ahead, exact
        answer.place.higher_priority, answer.place.other_lanes = higher, others
        answer.place.next, answer.place.other_tenants = following or "", tenants
        answer.place.sentence = place_in_words(answer.place, view.queue)
    answer.nodes_question = nodes_question(answer)
    return answer


def place_in_words(place: explain_pb2.ExplanationPlace, queue: str) -> str:
    """The place of a task in the order of its queue, for people."""
    about = "" if place.exact else "about "
    # Then all of it is among those.
    own = " and of its fairness key" if place.other_tenants else ""
    words = (
        f"Position among the tasks of queue '{queue}'{own} with the same priority, needs and "
        f"limits: {about}{_ordinal(place.ahead + 1)}"
    )
    if higher := place.higher_priority:
        goes = "goes" if higher == 1 else "go"
        words += f". {plural(higher, 'task')} with a higher priority {goes} first"
    if others := place.other_lanes:
        wait = "waits too and" if others == 1 else "wait too and"
        words += f". {plural(others, 'task')} with other needs or limits {wait} may go first"
    return words


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number:,}{'th' if teen else _ENDINGS.get(number % 10, 'th')}"


def nodes_question(answer: explain_pb2.Explanation) -> str:
    """What the nodes are asked; empty where a reason has their answer already."""
    reasons = [reason.reason for reason in answer.reasons]
    if not answer.nodes or reasons[0] == explain_pb2.EXPLAIN_REASON_QUEUE_PAUSED:
        return ""
    said = [reason.sentence for reason in answer.reasons]
    if answer.nodes_total == 1 and any(answer.nodes[0].sentence in one for one in said):
        return ""
    if any(reason in _OF_NODES for reason in reasons):
        return "Could a node take it?"
    return "Apart from that, could a node take it?"
