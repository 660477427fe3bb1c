"""What all servicers of a leader share: events for callers, request digests, pages of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, Final

import grpc

from quorate.runtime.errors import QuorateError
from scheduler.api import page_tokens, validate
from scheduler.api.origin import caller_name, origin_of
from scheduler.api.servicer import Context
from scheduler.core.model import events as e
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.events import Request
from scheduler.core.model.reply_token import Pending
from scheduler.core.values import Origin
from scheduler.engine.driver import Driver

# Bytes of one page, unless its first entry alone is larger: the others go to the next one. A gRPC
# client takes messages of 4 MiB by default; the rest is for the framing.
PAGE_BYTES: Final = 7 << 19

_CODES: Final = {
    ErrorKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorKind.EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    ErrorKind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorKind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorKind.CONFLICT: grpc.StatusCode.ABORTED,
    ErrorKind.RANGE: grpc.StatusCode.OUT_OF_RANGE,
}


async def ask(
    driver: Driver,
    request: Request,
    make: Callable[[Pending[object]], e.Event],
    weight: int = 0,
    queue: str = "",
) -> object:
    """Step an event and return its answer; a Rejection is raised. As `Driver.call`.

    Args:
        request: the event's.
        queue: in which its request id counts; that of others counts in all of its family.
    """
    answer = await driver.call(make, weight, caller_name(), request, queue)
    if isinstance(answer, Rejection):
        if quota := dict(answer.metadata).get("quota"):
            driver.metrics.quota_refused(quota)
        raise refused(answer)
    return answer


def refused(rejection: Rejection) -> QuorateError:
    """The error that a caller gets for a rejection."""
    error = QuorateError(
        _CODES[rejection.kind],
        rejection.reason,
        rejection.message,
        field=rejection.field or (rejection.subject if rejection.kind is ErrorKind.INVALID else ""),
        metadata={
            **({rejection.subject: rejection.name} if rejection.subject else {}),
            **dict(rejection.metadata),
        },
    )
    error.retry_delay = rejection.retry_delay
    return error


def identified(method: str, request: Any, origin: Origin | None = None) -> Request:
    """The id and digest of a mutating call; the digest leaves out the id.

    Args:
        origin: who calls, where the audit log is to record it.
    """
    request_id = request.request_id
    if not request_id:
        return Request(origin=origin)
    validate.request_id(request_id)
    request.ClearField("request_id")
    body = request.SerializeToString(deterministic=True)
    digest = blake2b(method.encode() + b"\0" + body, digest_size=16).digest()
    return Request(request_id, digest, origin, caller_name())


def audited(method: str, request: Any, context: Context) -> Request:
    """As `identified`, of a call that the audit log records."""
    return identified(method, request, origin_of(request, context))


def page_of_names(
    kind: str, known: Iterable[str], page_size: int, token: str
) -> tuple[list[str], str]:
    """A page of names in order, and the token of the next page."""
    size = validate.page_size(page_size)
    after = page_tokens.decode(kind, (), token)
    names = sorted(name for name in known if after is None or name > after)
    page = names[:size]
    return page, after_name(kind, page[-1]) if len(names) > size else ""


def after_name(kind: str, name: str) -> str:
    """The token of the page that begins behind `name`."""
    return page_tokens.encode(kind, (), name)
