"""Request and reply in an asyncio program. The twin of `requesting`."""

from __future__ import annotations

import asyncio
import secrets

from quorate.client.messages.consuming.aconsumer import AsyncConsumer
from quorate.client.messages.publishing.window import raise_first
from quorate.client.messages.requesting import check_room, replies, request_of
from quorate.client.messages.rpcs import PUBLISH
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.acalls import AsyncCalls
from quorate.runtime.errors import QuorateError


class AsyncRequester:
    """As `Requester`, for one event loop. Its task ends with its consumer."""

    def __init__(self, calls: AsyncCalls, streams: OpenStreams, virtual_host: str) -> None:
        self._calls = calls
        self._virtual_host = virtual_host
        self._waiting: dict[str, asyncio.Future[Received]] = {}
        self._error: QuorateError | None = None
        self._consumer = AsyncConsumer(calls, streams, replies(virtual_host))
        self._task = asyncio.create_task(self._read(), name="quorate-replies")

    @property
    def failed(self) -> bool:
        """Whether another one is needed."""
        return self._error is not None

    async def request(
        self, exchange: str, routing_key: str, body: Body, args: MessageArgs, timeout: float
    ) -> Received:
        """As `Requester.request`."""
        try:
            async with asyncio.timeout(timeout):
                # Others wait for the same consumer: a timeout must not close it.
                await self._consumer.link.until_ready()
                id = secrets.token_hex(16)
                request = request_of(
                    *(exchange, routing_key, body, args, id),
                    *(self._consumer.link.ledger.reply_to, self._virtual_host),
                )
                check_room(len(self._waiting))
                reply: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
                self._waiting[id] = reply
                try:
                    raise_first(list((await self._calls.call(PUBLISH, request)).results))
                    if self._error is not None:
                        raise self._error
                    return await reply
                finally:
                    del self._waiting[id]
        except TimeoutError:
            raise TimeoutError(f"no reply within {timeout:g} s") from None

    async def _read(self) -> None:
        try:
            async for delivery in self._consumer:
                # Others are too late: whoever asked has gone.
                reply = self._waiting.get(delivery.correlation_id)
                if reply is not None and not reply.done():
                    reply.set_result(delivery)
        except QuorateError as error:
            self._error = error
        self._error = self._error or closed("client")
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(self._error)
