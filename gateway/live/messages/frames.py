"""Messages to clients as bytes, made so that what many clients get alike is made once. Pure.

A message is `{"id":"...",` and a *rest* that is the same for all subscribers of a feed. A server's
WebSocket frame is its length and the message (RFC 6455 section 5.2: not masked), so the rest is
shared as it is, whatever its subscribers call their subscriptions.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gateway.http.jsonwrite import dump
from gateway.http.problems import problem
from quorate.runtime.errors import QuorateError

_FINAL_TEXT = 0x81


def frame_head(length: int) -> bytes:
    """What stands before a text message of so many bytes."""
    if length < 126:
        return bytes((_FINAL_TEXT, length))
    if length < 65_536:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length)


def opening(subscription: str) -> bytes:
    """The part of a message that says which subscription it is for."""
    return b'{"id":' + dump(subscription) + b","


# Before a rest that is for the connection as a whole.
NOBODY = opening("")


def hello(instance: str, leader: bool, limits: dict[str, int]) -> bytes:
    """The first message, whole."""
    return dump({"kind": "hello", "instance": instance, "leader": leader, "limits": limits})


PONG = dump({"kind": "pong"})


def snapshot(topic: str, revision: int, resume: str, items: Sequence[bytes]) -> bytes:
    """The rest of a snapshot."""
    return _head("snapshot", topic, revision, resume) + b',"items":[' + b",".join(items) + b"]}"


def delta(
    topic: str, revision: int, resume: str, changed: Sequence[bytes], removed: Sequence[str]
) -> bytes:
    """The rest of a delta."""
    return b"".join(
        (
            _head("delta", topic, revision, resume),
            b',"changed":[',
            b",".join(changed),
            b'],"removed":',
            dump(list(removed)),
            b"}",
        )
    )


def progress(topic: str, items: Sequence[bytes]) -> bytes:
    """The rest of a message with what running tasks say of themselves."""
    head = dump({"kind": "progress", "topic": topic})[1:-1]
    return head + b',"items":[' + b",".join(items) + b"]}"


def _head(kind: str, topic: str, revision: int, resume: str) -> bytes:
    values = {"kind": kind, "topic": topic, "revision": str(revision), "resume": resume}
    return dump(values)[1:-1]


def status(leader: bool, message: str) -> bytes:
    """The rest of a status."""
    return _rest({"kind": "status", "leader": leader, "message": message})


def error(failure: QuorateError) -> bytes:
    """The rest of an error: the subscription is over."""
    return _rest({"kind": "error", "problem": problem(failure)})


def lines(stream: str, offset: int, text: str, resume: str, time: str) -> bytes:
    """The rest of a piece of a log; `time` (RFC 3339) is empty where nobody knows."""
    return _rest(
        {
            "kind": "lines",
            "topic": "logs",
            "stream": stream,
            "offset": str(offset),
            "text": text,
            "resume": resume,
            **({"time": time} if time else {}),
        }
    )


def extent(value: object) -> bytes:
    """The rest of how much of a log there is: LogExtent as JSON."""
    return _rest({"kind": "extent", "topic": "logs", "extent": value})


def away(failure: QuorateError) -> bytes:
    """The rest of why nothing comes of a log at the moment: the subscription goes on."""
    return _rest({"kind": "away", "topic": "logs", "problem": problem(failure)})


def end() -> bytes:
    """The rest of a log's end."""
    return _rest({"kind": "end", "topic": "logs"})


def _rest(value: dict[str, object]) -> bytes:
    return dump(value)[1:]
