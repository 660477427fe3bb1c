"""The SDK's asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from quorate import AsyncClient
from tests.support.traffic.record import Traffic
from tests.support.traffic.tasks import running


class SdkTraffic(Traffic):
    """One client; a producer that pipelines, a consumer that acknowledges each."""

    def __init__(self, addresses: str, rate: float) -> None:
        super().__init__("SDK", rate)
        self._addresses = addresses
        # Acknowledged, and not known to hold.
        self._acknowledged: list[int] = []

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with AsyncClient(self._addresses) as client:
            await client.declare_queue(self.queue)
            async with running(self._publish(client), self._consume(client)):
                yield

    async def _publish(self, client: AsyncClient) -> None:
        async with client.producer(queue=self.queue) as producer:
            async for numbers in self.numbers():
                for number in numbers:
                    confirm = await producer.send(b"%d" % number)
                    confirm.add_done_callback(partial(self._settled, number))

    def _settled(self, number: int, confirm: asyncio.Future[None]) -> None:
        if confirm.cancelled() or (error := confirm.exception()) is None:
            self.record.on_confirmed(number)
        else:
            self.record.trouble.append(f"{number}: {error}")

    async def _consume(self, client: AsyncClient) -> None:
        async with client.consume(self.queue, prefetch=200) as consumer:

            async def flush() -> None:
                while True:
                    found, self._acknowledged = self._acknowledged, []
                    await consumer.flush()
                    self.record.on_settled(found)
                    await asyncio.sleep(0.01)

            async with running(flush()):
                async for delivery in consumer:
                    number = int(bytes(delivery.body))
                    self.record.on_delivered(number)
                    await delivery.ack()
                    self._acknowledged.append(number)
