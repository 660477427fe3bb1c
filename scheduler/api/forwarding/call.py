"""One RPC method, answered by a local servicer or by another scheduler: bytes in, bytes out.

A `Method` holds no state between calls. Failures reach the caller as QuorateError, whatever their
source: a servicer's own, a bug in it (INTERNAL, the traceback goes to the log alone), a request
that does not parse, a leader that is gone (LEADER_LOST), or what the leader answered, with its
status details kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, NoReturn, Protocol

import grpc
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from quorate.runtime.errors import (
    QuorateError,
    from_rpc_error,
    has_status,
    leader_lost,
)
from quorate.runtime.parsing import parse_request
from scheduler.api.forwarding.authorization import request_check
from scheduler.api.request_sizes import check_size, size_of_request
from scheduler.api.servicer import Context, Encodable, Servicer

log = structlog.get_logger(__name__)

NOT_LEADER: Final = "NOT_LEADER"
_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
# What gRPC itself makes of a connection that broke.
# CANCELLED: a leader whose server was stopped under the call; our own caller's cancellation comes
# as a CancelledError.
_BROKEN: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)

Metadata = tuple[tuple[str, str | bytes], ...]


class NotLeader(Exception):
    """The process asked does not lead: nothing was done."""


class Method(Protocol):
    """How one method is answered."""

    name: str
    streams: bool
    # The full name of its requests' type.
    request: str

    async def local(self, servicer: Servicer, body: bytes, context: Context) -> bytes | None:
        """Parse, call the servicer's method of this name, serialize. Raises QuorateError."""

    def stub(self, channel: Any) -> Any:
        """What calls this method over a `grpc.aio.Channel`, bytes in and out; worth keeping."""

    async def remote(
        self,
        stub: Any,
        body: bytes,
        context: Context,
        metadata: Metadata,
        timeout: float | None,
    ) -> bytes | None:
        """Ask another scheduler through `stub`, for `timeout` seconds at most (None: no bound).

        Raises:
            NotLeader: it does not lead.
            QuorateError: LEADER_LOST, or what it answered.
        """


class UnaryMethod:
    """One request, one answer."""

    streams = False

    def __init__(self, descriptor: MethodDescriptor) -> None:
        self.name = descriptor.name
        self.request = descriptor.input_type.full_name
        self._check = request_check(descriptor)
        self._path = path(descriptor)
        self._request = message_factory.GetMessageClass(descriptor.input_type)

    async def local(self, servicer: Servicer, body: bytes, context: Context) -> bytes:
        """See Method."""
        check_size(self.name, len(body), servicer.max_payload)
        request = parse_request(self._request, body, self.name)
        size_of_request.set(len(body))
        self._check(servicer, request)
        try:
            reply = await servicer.answers[self.name](request, context)
            return reply.SerializeToString()
        except (QuorateError, grpc.aio.AbortError):
            raise
        except Exception as error:
            raise bug(self.name, request) from error

    def stub(self, channel: Any) -> Any:
        """See Method."""
        return channel.unary_unary(self._path)

    async def remote(
        self,
        stub: Any,
        body: bytes,
        context: Context,
        metadata: Metadata,
        timeout: float | None,
    ) -> bytes:
        """See Method."""
        call = stub(body, timeout=timeout, metadata=metadata)
        try:
            reply: bytes = await call
        except grpc.aio.AioRpcError as error:
            raise_answer(error, context)
        except asyncio.CancelledError:
            raise_cancelled_or_lost()
        if trailing := await call.trailing_metadata():
            context.set_trailing_metadata(tuple(trailing))
        return reply


class StreamedMethod:
    """One request, a stream of answers."""

    streams = True

    def __init__(self, descriptor: MethodDescriptor) -> None:
        self.name = descriptor.name
        self.request = descriptor.input_type.full_name
        self._check = request_check(descriptor)
        self._path = path(descriptor)
        self._request = message_factory.GetMessageClass(descriptor.input_type)

    async def local(self, servicer: Servicer, body: bytes, context: Context) -> None:
        """See Method."""
        check_size(self.name, len(body), servicer.max_payload)
        request = parse_request(self._request, body, self.name)
        self._check(servicer, request)
        answers = servicer.streams[self.name](request, context)
        await write_answers(self.name, request, answers, context)

    def stub(self, channel: Any) -> Any:
        """See Method."""
        return channel.unary_stream(self._path)

    async def remote(
        self,
        stub: Any,
        body: bytes,
        context: Context,
        metadata: Metadata,
        timeout: float | None,
    ) -> None:
        """See Method."""
        call = stub(body, timeout=timeout, metadata=metadata)
        async with passing_on(call, context):
            await pass_answers(call, context)


async def write_answers(
    name: str,
    request: Message | None,
    answers: AsyncGenerator[Encodable, None],
    context: Context,
) -> None:
    """Write what a servicer answers to a stream. Raises QuorateError; INTERNAL for a bug in it."""
    try:
        # Closed here, not by the garbage collector: the servicer's own clean-up must have run
        # when the call has ended.
        async with aclosing(answers):
            async for answer in answers:
                await context.write(answer.SerializeToString())
    except (QuorateError, grpc.aio.AbortError):
        raise
    except Exception as error:
        raise bug(name, request) from error


async def pass_answers(call: Any, context: Context) -> None:
    """Pass on what the leader answers to a stream, until it has no more."""
    while (answer := await call.read()) is not _EOF:
        await context.write(answer)


@asynccontextmanager
async def passing_on(call: Any, context: Context) -> AsyncIterator[None]:
    """A stream to the leader, which ends with the block; its end is passed on.

    Raises:
        NotLeader, Answered, QuorateError: what became of the call, as `raise_answer` has it.
    """
    try:
        yield
        trailing = await call.trailing_metadata()
    except grpc.aio.AioRpcError as error:
        raise_answer(error, context)
    except asyncio.CancelledError:
        raise_cancelled_or_lost()
    finally:
        # Whatever ended this side: the leader must not go on writing to nobody.
        call.cancel()
    if trailing:
        context.set_trailing_metadata(tuple(trailing))


def path(descriptor: MethodDescriptor) -> str:
    """Of an RPC, as gRPC calls it."""
    return f"/{descriptor.containing_service.full_name}/{descriptor.name}"


def bug(name: str, request: Message | None) -> QuorateError:
    """INTERNAL for the exception under way, which is logged with what the call was about."""
    about = {
        field: value for field in ("request_id", "id") if (value := getattr(request, field, ""))
    }
    log.exception("call_handler_failed", method=name, **about)
    return QuorateError(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "the scheduler failed on this call because of a bug; the scheduler's log has the traceback",
        metadata={"method": name},
    )


def raise_answer(error: grpc.aio.AioRpcError, context: Context) -> NoReturn:
    """What a caller gets for an error of the leader. NotLeader: it does not lead."""
    metadata: Any = error.trailing_metadata()
    trailing: Metadata = tuple((key, value) for key, value in metadata or ())
    ours = has_status(error)
    if not ours and error.code() in _BROKEN:
        raise leader_lost() from None
    answer = from_rpc_error(error)
    if answer.reason == NOT_LEADER:
        raise NotLeader from None
    if ours:
        # The status details of the leader pass through as they are, with all it put there.
        raise Answered(error.code(), error.details() or "", trailing) from None
    raise answer from None


class Answered(Exception):
    """The leader's own answer of failure, to be passed back untouched."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Metadata) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.trailing = trailing


def raise_cancelled_or_lost() -> NoReturn:
    """A call that was cancelled: by its caller, or by the channel that was closed beneath it?"""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    raise leader_lost() from None
