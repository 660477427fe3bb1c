"""An RPC whose requests are a stream too: answered here, or passed on to the leader.

The first request is read like that of any call (`scheduler.api.forwarding.forward`); the servicer
gets it with all that follow, as bytes. Nothing is read ahead: who sends more than is taken is held
by gRPC's flow control.

Whoever passes such a call on sends the first request alone until the leader has let the call in
(its initial metadata come). So a process that refuses since it does not lead has been given nothing
that could be lost, and the call goes on to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor

from scheduler.api.forwarding.authorization import request_check
from scheduler.api.forwarding.call import (
    Metadata,
    pass_answers,
    passing_on,
    path,
    write_answers,
)
from scheduler.api.servicer import Context, Servicer

_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs


class DuplexMethod:
    """A stream of requests, a stream of answers."""

    streams = True

    def __init__(self, descriptor: MethodDescriptor) -> None:
        self.name = descriptor.name
        self.request = descriptor.input_type.full_name
        self._check = request_check(descriptor)
        self._path = path(descriptor)

    async def local(self, servicer: Servicer, body: bytes, context: Context) -> None:
        """See Method. Its requests are bytes: what they name is the servicer's to check."""
        self._check(servicer, None)
        await context.send_initial_metadata(())
        async with aclosing(_requests(body, context)) as requests:
            answers = servicer.duplexes[self.name](requests, context)
            await write_answers(self.name, None, answers, context)

    def stub(self, channel: Any) -> Any:
        """See Method."""
        return channel.stream_stream(self._path)

    async def remote(
        self,
        stub: Any,
        body: bytes,
        context: Context,
        metadata: Metadata,
        timeout: float | None,
    ) -> None:
        """See Method."""
        call = stub(timeout=timeout, metadata=metadata)
        async with passing_on(call, context):
            # A call that is over by now says why when it is read from.
            with suppress(asyncio.InvalidStateError):
                await call.write(body)
            await call.initial_metadata()
            if call.done():
                # Refused, as a rule: what the caller sends is for the next one.
                await pass_answers(call, context)
                return
            sending = asyncio.create_task(_send(call, context))
            try:
                await pass_answers(call, context)
            finally:
                sending.cancel()
                await asyncio.wait((sending,))


async def _requests(first: bytes, context: Context) -> AsyncGenerator[bytes, None]:
    """The first request and those that follow, until the caller has no more."""
    body: Any = first
    while body is not _EOF:
        yield body
        body = await context.read()


async def _send(call: Any, context: Context) -> None:
    """Pass requests on. An error of the call is raised where its answers are read."""
    with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        while (body := await context.read()) is not _EOF:
            await call.write(body)
        await call.done_writing()
