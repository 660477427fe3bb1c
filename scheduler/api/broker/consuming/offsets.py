"""Named offsets of streams: SetStreamOffset, ListStreamOffsets, DeleteStreamOffset.

Storing one is a part of consuming, and so frequent that it is not in the audit log.
"""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker import validate
from scheduler.api.broker.steps import Steps
from scheduler.api.candidates import Candidates
from scheduler.api.servicer import Context
from scheduler.api.views import instant
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import NamedOffset
from scheduler.storage.record_kinds import STREAM_OFFSETS


class OffsetCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, steps: Steps, candidates: Candidates) -> None:
        self._steps = steps
        self._broker = steps.broker
        self._candidates = candidates

    async def SetStreamOffset(
        self, request: pb.SetStreamOffsetRequest, context: Context
    ) -> Message:
        host, queue, name = _named(request)
        offset = request.offset
        expected = request.expected_offset if request.HasField("expected_offset") else None
        await self._candidates.require(STREAM_OFFSETS)
        answer = await self._broker.call(
            lambda token: e.OffsetAsked(host, queue, name, offset, expected, token)
        )
        assert isinstance(answer, NamedOffset)
        return pb.SetStreamOffsetResponse(stream_offset=_view(answer))

    async def ListStreamOffsets(
        self, request: pb.ListStreamOffsetsRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        state = self._broker.state
        state.router.host(host)
        found = state.queue(host, validate.name("message_queue", request.message_queue)).offsets
        views = [_view(found[name]) for name in sorted(found)]
        await self._broker.readable()
        return pb.ListStreamOffsetsResponse(stream_offsets=views)

    async def DeleteStreamOffset(
        self, request: pb.DeleteStreamOffsetRequest, context: Context
    ) -> Message:
        host, queue, name = _named(request)
        await self._steps.change(
            *("DeleteStreamOffset", request, context, "message_queue", queue),
            lambda token: e.OffsetDropAsked(host, queue, name, token),
        )
        return pb.DeleteStreamOffsetResponse()


def _named(
    request: pb.SetStreamOffsetRequest | pb.DeleteStreamOffsetRequest,
) -> tuple[str, str, str]:
    """Virtual host, stream and name."""
    return (
        validate.virtual_host(request.virtual_host),
        validate.name("message_queue", request.message_queue),
        validate.name("name", request.name),
    )


def _view(row: NamedOffset) -> pb.StreamOffset:
    return pb.StreamOffset(name=row.name, offset=row.offset, update_time=instant(row.instant))
