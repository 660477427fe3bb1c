"""What messages become in a queue: its message template is set, or taken away."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import QUEUES_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, Rejection, no_queue
from scheduler.core.model.effects import Effects, PutQueue
from scheduler.core.model.events import MessageTemplateSubmitted
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.values import Change, TaskSpec


def _refuse(state: State, limits: Limits, event: MessageTemplateSubmitted) -> Rejection | None:
    queue = event.queue
    row = state.queues.get(queue)
    if row is None:
        return no_queue(queue)
    if queue == SERVICES_QUEUE:
        return Rejection(
            ErrorKind.INVALID,
            "QUEUE_HOLDS_REPLICAS",
            f"queue {queue!r} holds the replicas of services and takes no messages",
            "queue",
            queue,
        )
    if event.template is None and row.template is not None:
        return refuse_bound(state, queue)
    return None


def refuse_bound(state: State, queue: str) -> Rejection | None:
    """Whether messages are routed to a queue: then it has to stay as it is."""
    bindings = state.bound(queue)
    if not bindings:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "QUEUE_BOUND",
        f"{bindings} bindings of exchanges lead to queue {queue!r}; delete them first",
        "queue",
        queue,
        metadata=(("bindings", str(bindings)),),
    )


def _set(
    state: State, limits: Limits, event: MessageTemplateSubmitted, now: float, out: Effects
) -> Answer:
    row = state.queues[event.queue]
    before, row.template = row.template, event.template
    if _bytes(before) != _bytes(row.template):
        out.writes.append(PutQueue(row))
        change = Change("message_template", _words(before), _words(row.template))
        audit.note(state, limits, out, event.request, now, "queue", row.name, change)
    return Answer(Done(), row.name)


def _bytes(template: TaskSpec | None) -> bytes:
    return b"" if template is None else template.spec


def _words(template: TaskSpec | None) -> str:
    """For the audit log: what a search finds of the task, and how large its spec is."""
    return "" if template is None else f"{template.text[:100]} ({len(template.spec)} bytes)"


def _done(state: State, event: MessageTemplateSubmitted, known: DedupRow) -> Done:
    return Done()


on_message_template_submitted = Call(QUEUES_SCOPE, _refuse, _set, _done)
