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
"""

from __future__ import annotations

from quorate.runtime.ids import QueueName, TaskId, offset_id
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.effects import Effects, PutDedup
from scheduler.core.model.events import Request
from scheduler.core.model.limits import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State, kind_of

# The scope of request ids for calls about tasks that are there: a queue's own name cannot begin
# with "_".
TASKS_SCOPE = "_tasks"
# Kinds of which there may be as many as there are tasks.
_OF_TASKS = ("", TASKS_SCOPE)
# No id of a caller is as long (128 characters): nobody can choose the key of another's answer.
_OWN = "\0" * 129
NO_TASK = TaskId("")
NO_QUEUE = QueueName("")


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
            f"request_id: {request.id!r} was used for another request",
            "request_id",
            request.id,
        )
    return row


def refuse_beyond(state: State, limits: Limits, scope: str, request: Request) -> Rejection | None:
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
        f"{most} answers are remembered for repeated calls; try later",
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
    last = offset_id(row.first_id, row.progress - 1)
    for task in queue.index.oldest_first(row.first_id):
        if task > last:
            return False
        if state.on_record(task):
            return True
    return False
