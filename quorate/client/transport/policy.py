"""How calls to schedulers are repeated: the rules of the SDK, the command line and the gateway.

Pure: the callers (`calls`, `acalls`, `gateway.cluster.calls`) do the I/O. Which scheduler is next
stands in `endpoints`.

| what came back | `Failure` | then |
|---|---|---|
| UNAVAILABLE: refused, connection lost, no leader | LOST | another scheduler, at once |
| DEADLINE_EXCEEDED | SILENT | another scheduler; this one is left alone for a while |
| dropped unread: too many calls at once | SHED | the same one, a little later |
| a quota that is free again in a moment | LIMITED | the same one, a little later |
| anything else | FINAL | nothing: it is the answer |

Repeating is safe for what only reads and for what has a `request_id`.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import Any, Final

import grpc

from quorate.runtime.errors import ETCD_SPACE_LOW, QuorateError, has_status
from quorate.runtime.network.keepalive import Option, client_keepalive
from quorate.runtime.timing.backoff import Backoff
from quorate.security.tls.dialer import DIRECT, Options


def channel_options(*keepalive: Option) -> Options:
    """Options of a channel to a scheduler, with those of its keepalive."""
    # A results page or watch message may exceed gRPC's default of 4 MiB; a batch is at most 16 MiB.
    # Reconnecting is fast because a failover is: the standby serves within milliseconds.
    return (
        ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        ("grpc.max_send_message_length", 20 * 1024 * 1024),
        ("grpc.initial_reconnect_backoff_ms", 20),
        ("grpc.min_reconnect_backoff_ms", 20),
        ("grpc.max_reconnect_backoff_ms", 1000),
        *keepalive,
        *DIRECT,
    )


CHANNEL_OPTIONS: Final = channel_options(*client_keepalive())

_FIRST_PAUSE, _LONGEST_PAUSE, _SHORTEST_PAUSE = 0.02, 1.0, 0.005
# Of a server that is well and has too much to do.
_BUSY_PAUSES: Final = (0.02, 0.2)
# Every scheduler has the same etcd, and it does not get space within seconds by itself.
# New tasks beyond theirs are the caller's to hold back.
_TOO_MANY_TASKS: Final = "TOO_MANY_LIVE_TASKS"
_NOBODY_ANSWERS: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# What gRPC says of calls that were cancelled on this side.
_OURS: Final = ("Locally cancelled by application!", "Channel closed!")


class Failure(Enum):
    """What a failed try says about the next one."""

    FINAL = "final"
    LOST = "lost"
    SILENT = "silent"
    SHED = "shed"
    LIMITED = "limited"


def failure_of(error: grpc.RpcError, typed: QuorateError) -> Failure:
    """The kind of a failure; `typed` is the same error as `from_rpc_error` gives it."""
    if is_shed(error):
        return Failure.SHED
    if typed.reason == ETCD_SPACE_LOW:
        return Failure.FINAL
    if typed.code is grpc.StatusCode.UNAVAILABLE:
        return Failure.LOST
    if typed.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failure.SILENT
    if typed.retry_delay is not None and typed.reason != _TOO_MANY_TASKS:
        return Failure.LIMITED
    return Failure.FINAL


def is_shed(error: Any) -> bool:
    """Whether a server dropped the call unread: gRPC then says CANCELLED, and nothing of why.

    What a scheduler itself answers has status details; a cancellation of this side is either a
    `CancelledError`, or says so.
    """
    if error.code() is not grpc.StatusCode.CANCELLED or error.details() in _OURS:
        return False
    return not has_status(error)


def is_lost(error: QuorateError) -> bool:
    """Whether nobody answers: further calls would only wait."""
    return error.code in _NOBODY_ANSWERS


class Pauses:
    """The pauses between the tries of one call: none while there are addresses that were not asked
    yet, then 5 ms growing to 1 s, drawn at random so that a crowd of clients does not come back in
    step.

    Args:
        addresses: how many schedulers there are to ask.
    """

    __slots__ = ("_backoff", "_unasked")

    def __init__(self, addresses: int) -> None:
        self._unasked = addresses - 1
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, spread=1.0)

    def next(self, *, busy: bool = False) -> float:
        """Seconds to wait after one more failure. `busy`: the scheduler is well, and another one
        is no better."""
        if self._unasked > 0:
            self._unasked -= 1
            pause = 0.0
        else:
            pause = max(_SHORTEST_PAUSE, self._backoff.next(random.random()))
        return pause + random.uniform(*_BUSY_PAUSES) if busy else pause
