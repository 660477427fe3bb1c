"""A request as a message: path, query, body and idempotency key, each checked, none ignored."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf.message import Message
from starlette.datastructures import Headers

from gateway.http.jsonread import fill, load
from gateway.rest import headers as h
from gateway.rest.masks import fill_mask
from gateway.rest.operations import Operation
from gateway.rest.query import fill_query, read_path
from gateway.rest.router import Match
from quorate.runtime.errors import invalid

# Seconds kept for the way back when a long poll is cut to its deadline, and their share.
_WAY_BACK: Final = 0.25
_WAY_BACK_SHARE: Final = 0.2
# What the service itself takes for an absent `timeout`, and more.
_LONG_POLL: Final = 60.0


def bind(
    operation: Operation, match: Match, query: bytes, headers: Headers, body: bytes
) -> Message:
    """The request message. Raises QuorateError naming the field, parameter or header."""
    message = operation.method.request()
    value: dict[str, Any] = {}
    if operation.body == "*":
        fill(message, load(body))
    elif operation.body:
        part = getattr(message, operation.body)
        part.SetInParent()
        value = load(body)
        fill(part, value, operation.body)
    elif body:
        raise invalid("body", f"{operation.method.name} takes no body", reason="UNEXPECTED_BODY")
    fill_query(message, operation, query)
    if operation.mask:
        above = f"{operation.body}."
        bound = {path.removeprefix(above) for path in operation.template.fields}
        fill_mask(message, operation.mask, operation.body_type, value, bound)
    for path, text in match.values(operation).items():
        _bind_path(message, path, text)
    if operation.method.has_request_id:
        _bind_key(message, h.idempotency_key(headers))
    return message


def _bind_path(message: Message, path: str, text: str) -> None:
    given = _at(message, path)
    read_path(message, path, text)
    # The body may repeat what the path says; it may not say something else.
    if given and given != _at(message, path):
        raise invalid(path, "differs between body and path", reason="CONTRADICTION")


def _at(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = getattr(message, name)
    return message


def _bind_key(message: Any, key: str) -> None:
    if not key:
        return
    if message.request_id and message.request_id != key:
        raise invalid("request_id", f"differs from {h.IDEMPOTENCY_KEY}", reason="CONTRADICTION")
    message.request_id = key


def deadline_of(
    operation: Operation, message: Message, asked: float | None, *, default: float, most: float
) -> float:
    """Seconds for a unary call; a long poll is made to end within them, where it can be.

    Without a deadline from the caller, a long poll gets the time that it asks for.
    """
    if not operation.method.long_poll:
        return min(default if asked is None else asked, most)
    wanted = cast("Any", message).timeout
    set_ = message.HasField("timeout")
    seconds = wanted.seconds + wanted.nanos / 1e9 if set_ else _LONG_POLL
    if asked is None:
        return min(max(0.0, seconds) + default, most)
    given = min(asked, most)
    fits = given - min(_WAY_BACK, given * _WAY_BACK_SHARE)
    if seconds > fits:
        # The caller gets the answer as it then is, instead of an error.
        wanted.FromNanoseconds(int(fits * 1e9))
    return given
