"""`quorate.v1.Failure` as the error that a call would have raised."""

from __future__ import annotations

from typing import Any, Final

import grpc

from quorate.v1 import broker_pb2 as pb

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def code_of(failure: pb.Failure) -> grpc.StatusCode:
    """Its gRPC code."""
    return _CODES.get(failure.code, grpc.StatusCode.UNKNOWN)


def parts(failure: pb.Failure) -> dict[str, Any]:
    """Arguments of a QuorateError."""
    metadata = dict(failure.metadata)
    return {
        "code": code_of(failure),
        "reason": failure.reason,
        "message": failure.message,
        "field": metadata.get("field", ""),
        "metadata": metadata,
    }
