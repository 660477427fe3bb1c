"""What answers the calls of one gRPC service at the leader: its methods, from several families.

A family is an object with methods named as RPCs: a coroutine `(request, context)` for a single
answer, an async generator for a stream, and one `(requests, context)` where requests are a stream
too: an async generator of bytes. `compose` finds the family of each RPC when a term begins,
so that a method that is missing or answered twice is an error then, not when it is called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor import ServiceDescriptor

Context = grpc.aio.ServicerContext[Any, Any]

MAX_PAYLOAD: Final = 1 << 20


class Encodable(Protocol):
    """An answer: a message, or what is encoded already."""

    def SerializeToString(self) -> bytes: ...


Answer = Callable[[Any, Context], Awaitable[Encodable]]
Stream = Callable[[Any, Context], AsyncGenerator[Encodable, None]]
Duplex = Callable[[AsyncGenerator[bytes, None], Context], AsyncGenerator[Encodable, None]]


def _no_queue(task: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Servicer:
    """The methods of one service, by name. Each raises QuorateError."""

    answers: Mapping[str, Answer]
    streams: Mapping[str, Stream] = field(default_factory=dict)
    max_payload: int = MAX_PAYLOAD
    """Bytes of a spec in a request."""
    queue_of_task: Callable[[str], str | None] = _no_queue
    """The queue of a task that a request names, which its caller must be allowed to name; None:
    there is no such task."""
    duplexes: Mapping[str, Duplex] = field(default_factory=dict)
    """Those whose requests are a stream, too."""


def compose(
    service: ServiceDescriptor,
    *families: object,
    max_payload: int = MAX_PAYLOAD,
    queue_of_task: Callable[[str], str | None] = _no_queue,
) -> Servicer:
    """The servicer of all methods of `service`, each answered by the one family that has it.

    Raises:
        LookupError: no family has a method, or two have it.
    """
    answers: dict[str, Any] = {}
    streams: dict[str, Any] = {}
    duplexes: dict[str, Any] = {}
    for method in service.methods:
        having = [family for family in families if hasattr(family, method.name)]
        if len(having) != 1:
            names = ", ".join(type(family).__name__ for family in having) or "none"
            raise LookupError(f"{service.name}.{method.name} needs one family; found: {names}")
        kind = answers
        if method.server_streaming:
            kind = duplexes if method.client_streaming else streams
        kind[method.name] = getattr(having[0], method.name)
    return Servicer(answers, streams, max_payload, queue_of_task, duplexes)
