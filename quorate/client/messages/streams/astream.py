"""One stream of an asyncio program, from opening it to its end. The twin of `stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

import grpc

from quorate.client.messages.rpcs import STREAM_DEADLINE
from quorate.client.messages.streams import reopening
from quorate.client.messages.streams.reopening import Ended
from quorate.client.messages.streams.watchdog import LOOK
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.rpcs import Message, Rpc

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")
# Of what a stream sends, and of what it brings.
Out = TypeVar("Out", bound=Message, covariant=True)
In = TypeVar("In", contravariant=True)


class AsyncOwner(Protocol[Out, In]):
    """As `stream.Owner`, for one event loop."""

    def requests(self) -> AsyncIterator[Out]:
        """As `Owner.requests`."""

    def over(self) -> None:
        """As `Owner.over`."""

    async def on_answer(self, answer: In) -> None:
        """As `Owner.on_answer`."""

    def is_dead(self) -> bool:
        """As `Owner.is_dead`."""


async def read(
    calls: AsyncCalls,
    rpc: Rpc[Req, Res],
    owner: AsyncOwner[Req, Res],
    again: reopening.Reopening,
    silence: float,
) -> Ended:
    """As `stream.read`."""
    heard = silent = False
    error = reopening.ended()
    opened = calls.duplex(rpc, owner.requests(), deadline=STREAM_DEADLINE)
    async with opened as (address, call):
        watchdog = asyncio.create_task(_watch(owner, call))
        try:
            async for answer in call:
                heard = True
                again.on_answer()
                await owner.on_answer(answer)
        except grpc.RpcError as broken:
            if not watchdog.done():
                error = reopening.why(broken, address)
        except asyncio.CancelledError:
            # Of the call, when the watchdog ended it; else of this task, or of both.
            task = asyncio.current_task()
            if not watchdog.done() or (task is not None and task.cancelling()):
                raise
        finally:
            silent = watchdog.done()
            watchdog.cancel()
            # gRPC may still wait for the next request, of a call that is over.
            owner.over()
    if silent:
        error = reopening.silent(silence)
    return Ended(error, address, aged=heard and reopening.is_aged(error, silent=silent))


async def _watch(owner: AsyncOwner[Any, Any], call: Any) -> None:
    while True:
        await asyncio.sleep(LOOK)
        if owner.is_dead():
            call.cancel()
            return
