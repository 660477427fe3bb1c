"""Requests as they come off the wire: a server that parses them itself can say what is wrong.

gRPC's generated handlers answer bytes that are no request with a bare UNKNOWN.
"""

from __future__ import annotations

from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from quorate.runtime.errors import QuorateError

M = TypeVar("M", bound=Message)


def parse_request(kind: type[M], body: bytes, method: str) -> M:
    """The request of a call of `method`.

    Raises:
        QuorateError: INVALID_ARGUMENT (MALFORMED_REQUEST).
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise malformed_request(kind.DESCRIPTOR.full_name, method) from None


def malformed_request(kind: str, method: str) -> QuorateError:
    """INVALID_ARGUMENT for bytes that are no message of the kind."""
    return QuorateError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
        f"the request is not a serialized {kind}",
        metadata={"method": method},
    )
