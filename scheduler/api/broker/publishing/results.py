"""What became of publications, and whose numbers they have."""

from __future__ import annotations

from typing import Final

from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker.failures import failure
from scheduler.api.origin import caller_name
from scheduler.core.broker.answers import ResultKind

_KINDS: Final = {
    ResultKind.RETURNED: pb.PublicationResult.KIND_RETURNED,
    ResultKind.REJECTED: pb.PublicationResult.KIND_REJECTED,
}


def producer_key(virtual_host: str, producer: str, request: str = "") -> str:
    """Under which name the numbers of a producer are on record; empty for none.

    Callers do not see each other's, and neither do virtual hosts.
    """
    if not producer and not request:
        return ""
    return "\0".join((caller_name(), virtual_host, producer, request))


def transaction_key(virtual_host: str, request: str) -> str:
    """Under which name a transaction is on record that has a request id; empty for none."""
    return producer_key(virtual_host, "", f"transact\0{request}") if request else ""


def result(number: int, kind: ResultKind, error: QuorateError) -> pb.PublicationResult:
    """What became of a publication that was not simply queued."""
    return pb.PublicationResult(number=number, kind=_KINDS[kind], failure=failure(error))
