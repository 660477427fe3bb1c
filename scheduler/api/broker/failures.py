"""Why one of several things that a call asks for was not done."""

from __future__ import annotations

from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb


def failure(error: QuorateError) -> pb.Failure:
    """As an answer has it; the field is in the metadata."""
    metadata = dict(error.metadata)
    if error.field:
        metadata["field"] = error.field
    return pb.Failure(
        code=int(error.code.value[0]),
        reason=error.reason,
        message=error.message,
        metadata=metadata,
    )
