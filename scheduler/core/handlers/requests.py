"""Idempotency: a mutating call that is repeated gets its first answer.

The answer is remembered in the same Txn as the call's effect. It outlives the caller's retries
(`Limits.request_age`) and the tasks it made: a batch that is repeated after its first tasks ran
and were deleted must not make them again.

Each caller has request ids of its own: an id that another one used says nothing, not even that it
was used. The first caller's answer has the key `(scope, id)`, as in version 0.1, whose schedulers
find it there during an upgrade; another caller's, while the first is remembered, has
`(scope, _OWN + "<caller>\\0<id>")`, longer than any id that a caller may choose. Answers that a
leader of version 0.1 remembered name no caller: they are of whoever repeats the same request, and
of nobody else.

`Call` and `CallInParts` wrap the handlers of calls. They recall, refuse and remember, so that a
handler does its own work only.

    known? --other request--> REQUEST_ID_REUSED
      |----the same---------> repeat: the first answer
      no
      refuse: the handler's own reasons, then room for one more answer --> nothing was changed
      perform, remember: one Txn --> Reply
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from quorate.runtime.ids import QueueName, TaskId, offset_id
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.effects import Effects, PutDedup, Reply
from scheduler.core.model.events import Request
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import NO_TASK, DedupRow
from scheduler.core.model.state import State
from scheduler.core.model.state_parts.calls import kind_of

# The scopes of request ids. For calls that create tasks the scope is the queue, whose name cannot
# begin with "_".
TASKS_SCOPE = "_tasks"
QUEUES_SCOPE = "_queues"
NODES_SCOPE = "_nodes"
SERVICES_SCOPE = "_services"
QUOTAS_SCOPE = "_quotas"
LIMITS_SCOPE = "_limits"
SCHEDULES_SCOPE = "_schedules"
JOBS_SCOPE = "_jobs"
SCOPES = (
    TASKS_SCOPE,
    QUEUES_SCOPE,
    NODES_SCOPE,
    SERVICES_SCOPE,
    QUOTAS_SCOPE,
    LIMITS_SCOPE,
    SCHEDULES_SCOPE,
    JOBS_SCOPE,
)
# Kinds of which there may be as many as there are tasks.
_OF_TASKS = ("", TASKS_SCOPE)
# No id of a caller is as long (128 characters): nobody can choose the key of another's answer.
_OWN = "\0" * 129
NO_QUEUE = QueueName("")


class Answer(NamedTuple):
    """The answer to a call, and what is remembered of it: see `DedupRow`."""

    reply: object
    queue: QueueName = NO_QUEUE
    first: TaskId = NO_TASK
    size: int = 0
    progress: int = 0


# Any: each handler takes its own event type, which has a `request` and a `token`.
@dataclass(frozen=True, slots=True)
class Call:
    """A call that is done in one step.

    Attributes:
        scope: of its request ids; None: the event's queue.
        refuse: why it cannot be done; changes nothing.
        perform: does what `refuse` did not object to.
        repeat: the answer when the call comes again.
    """

    scope: str | None
    refuse: Callable[[State, Limits, Any], Rejection | None]
    perform: Callable[[State, Limits, Any, float, Effects], Answer]
    repeat: Callable[[State, Any, DedupRow], object]

    def __call__(self, state: State, limits: Limits, event: Any, now: float, out: Effects) -> None:
        request: Request = event.request
        scope = self.scope or event.queue
        # Without an id there is nothing to recall or to remember: most tasks are created so.
        reply: object = recall(state, scope, request) if request.id else None
        if isinstance(reply, DedupRow):
            reply = self.repeat(state, event, reply)
        elif reply is None:
            reply = self.refuse(state, limits, event)
            if reply is None and request.id:
                reply = _refuse_beyond(state, limits, scope, request)
            if reply is None:
                answer = self.perform(state, limits, event, now, out)
                reply, queue, first, size, progress = answer
                if request.id:
                    remember(
                        state,
                        out,
                        scope,
                        request,
                        now,
                        queue=queue,
                        first=first,
                        count=size,
                        progress=progress,
                    )
        out.after.append(Reply(event.token, reply))


@dataclass(frozen=True, slots=True)
class CallInParts:
    """A call that takes several steps, each of which remembers how far it has come.

    Who repeats it meanwhile waits for the same answer (`DedupRow.waiters`): see `answer_all`. After
    a failover whoever repeats it goes on behind the last part that is on record.

    Attributes:
        refuse, repeat: as of `Call`; `refuse` gets what is known of a call that goes on.
        begin: the first step, of a new call or (its row is given) of one that goes on.
    """

    scope: str | None
    refuse: Callable[[State, Limits, Any, DedupRow | None], Rejection | None]
    begin: Callable[[State, Limits, Any, DedupRow | None, float, Effects], None]
    repeat: Callable[[State, Any, DedupRow], object]

    def __call__(self, state: State, limits: Limits, event: Any, now: float, out: Effects) -> None:
        scope = self.scope or event.queue
        known = recall(state, scope, event.request)
        reply: object = known
        if isinstance(known, DedupRow) and known.waiters is not None:
            # This very call is under way for an earlier caller: they are answered together.
            if len(known.waiters) < limits.batch_waiters:
                known.waiters.append(event.token)
                return
            reply = _too_many_waiters(limits)
        elif isinstance(known, DedupRow) and known.progress >= known.count:
            reply = self.repeat(state, event, known)
        elif not isinstance(known, Rejection):
            reply = self.refuse(state, limits, event, known)
            if reply is None and known is None:
                reply = _refuse_beyond(state, limits, scope, event.request)
            if reply is None:
                if known is not None:
                    known.waiters = []
                self.begin(state, limits, event, known, now, out)
                return
        out.after.append(Reply(event.token, reply))


def under_way(state: State, scope: str, request: Request) -> DedupRow | None:
    """What is remembered of a call that is being done in parts; None when it has no id."""
    return state.dedup.get(key_of(state, scope, request)) if request.id else None


def came_further(state: State, out: Effects, scope: str, request: Request, row: DedupRow) -> None:
    """Write down how far a call in parts has come, in the Txn of what it did."""
    out.writes.append(PutDedup(key_of(state, scope, request), row))


def answer_all(
    out: Effects, token: Pending[object], known: DedupRow | None, answer: object
) -> None:
    """A call in parts is over: answer its caller and those who repeated it meanwhile."""
    waiters = [token]
    if known is not None:
        waiters += known.waiters or ()
        known.waiters = None
    out.after.extend(Reply(waiter, answer) for waiter in waiters)


def key_of(state: State, scope: str, request: Request) -> tuple[str, str]:
    """Where the answer to a call is, or would be put."""
    key = (scope, request.id)
    row = state.dedup.get(key)
    if not request.caller:
        # Authentication is off, or was when the others called: ids are everybody's.
        return key
    own = (scope, f"{_OWN}{request.caller}\0{request.id}")
    if row is None:
        return own if own in state.dedup else key
    if row.caller == request.caller or (not row.caller and row.digest == request.digest):
        return key
    return own


def known_to(state: State, scope: str, request: Request) -> bool:
    """Whether a call of this id was heard from its caller before."""
    return bool(request.id) and key_of(state, scope, request) in state.dedup


def recall(state: State, scope: str, request: Request) -> DedupRow | Rejection | None:
    """What is known of a call: its answer, a refusal to reuse its id, or nothing."""
    if not request.id:
        return None
    row = state.dedup.get(key_of(state, scope, request))
    if row is None:
        return None
    if row.digest != request.digest:
        return Rejection(
            ErrorKind.INVALID,
            "REQUEST_ID_REUSED",
            f"request_id: {request.id!r} was used for a different request; choose a new id",
            "request_id",
            request.id,
        )
    return row


def _refuse_beyond(state: State, limits: Limits, scope: str, request: Request) -> Rejection | None:
    """Whether there is room to remember one more answer of this scope's kind.

    Each kind has room of its own: whoever creates or cancels without end leaves an operator what
    it takes to pause the queue.
    """
    if not request.id:
        return None
    kind = kind_of(scope)
    most = limits.requests if kind in _OF_TASKS else limits.control_requests
    if state.answers.get(kind, 0) < most:
        return None
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_REQUESTS_REMEMBERED",
        f"{most} answers are stored for repeated calls, which is the limit; try again later",
        "limit",
        str(most),
    )


def remember(
    state: State,
    out: Effects,
    scope: str,
    request: Request,
    now: float,
    *,
    queue: QueueName = NO_QUEUE,
    first: TaskId = NO_TASK,
    count: int = 0,
    progress: int = 0,
) -> DedupRow | None:
    """Write down the answer to a call that has an id."""
    if not request.id:
        return None
    row = DedupRow(request.digest, now, queue, first, count, progress, caller=request.caller)
    key = key_of(state, scope, request)
    state.remember(key, row)
    out.writes.append(PutDedup(key, row))
    return row


def forget_old(state: State, limits: Limits, now: float, limit: int, out: Effects) -> None:
    """Purge up to `limit` answers that nobody can still ask for."""
    line = state.dedup_line
    for _ in range(min(limit, len(line))):
        key = line[0]
        row = state.dedup.get(key)
        if row is None:
            line.popleft()
            continue
        if now - row.create_time < limits.request_age:
            return
        line.popleft()
        if row.waiters is not None or _any_on_record(state, row):
            # Looked at again after the others. Its turn comes once per round of the line.
            line.append(key)
            continue
        state.drop_answer(key)
        out.purged_requests.append(key)


def _any_on_record(state: State, row: DedupRow) -> bool:
    """Whether a task that the call made is live or retained.

    By the queue's index: it costs what is there, not what once was.
    """
    queue = state.queues.get(row.queue)
    if queue is None or not row.progress:
        return False
    if row.first_id in state.jobs:
        return True
    last = offset_id(row.first_id, row.progress - 1)
    for task in queue.index.oldest_first(row.first_id):
        if task > last:
            return False
        if state.on_record(task):
            return True
    return False


def _too_many_waiters(limits: Limits) -> Rejection:
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_BATCH_WAITERS",
        f"{limits.batch_waiters} calls wait for the same request already; try again later",
        "limit",
        str(limits.batch_waiters),
    )
