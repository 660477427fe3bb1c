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
        raise QuorateError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "MALFORMED_REQUEST",
            f"the request is not a serialized {kind.DESCRIPTOR.full_name}",
            metadata={"method": method},
        ) from None
