"""The streams of the sessions of one term: what the engine delivers to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from quorate.runtime.errors import leader_lost, precondition
from scheduler.api.broker.consuming.outgoing import Outgoing
from scheduler.api.broker.consuming.stream import ConsumeStream
from scheduler.api.servicer import Context, Encodable
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import NO_SESSION, SessionId
from scheduler.core.broker.storage.bodies import LARGE_BYTES
from scheduler.engine.broker.driver import BrokerDriver


class ConsumeCalls:
    """Consume, and the port `MessageSessions` of the engine: what a session gets whose stream is
    gone is dropped, as its inventory settles it. Others that wait until large messages are taken
    are looked at then."""

    def __init__(self, broker: BrokerDriver) -> None:
        self._broker = broker
        self._streams: dict[SessionId, ConsumeStream] = {}
        self._outgoing = Outgoing(lambda session: broker.handle((e.OutgoingTaken(session),)))
        broker.serve(self)

    async def Consume(
        self, requests: AsyncGenerator[bytes, None], context: Context
    ) -> AsyncGenerator[Encodable, None]:
        stream = ConsumeStream(self._broker, requests, self._put, self._drop, self._outgoing)
        try:
            while (answer := await stream.answer()) is not None:
                yield answer
        finally:
            await stream.close()

    def close(self) -> None:
        """The term is over."""
        for stream in list(self._streams.values()):
            stream.fail(leader_lost())

    def _put(self, session: SessionId, stream: ConsumeStream) -> None:
        """A stream is the session's from now on, in place of the one before.

        Raises:
            QuorateError: FAILED_PRECONDITION: it is another caller's.
        """
        before = self._streams.get(session)
        if before is not None and before.caller != stream.caller:
            raise precondition("SESSION_TAKEN", "the session is another caller's", field="session")
        self._streams[session] = stream
        if before is not None:
            before.fail(precondition("SESSION_TAKEN", "the session goes on with another stream"))

    def _drop(self, session: SessionId, stream: ConsumeStream) -> bool:
        """A stream is gone; whether it was the session's."""
        if self._streams.get(session) is not stream:
            return False
        del self._streams[session]
        return True

    # -- the port

    @property
    def outgoing(self) -> int:
        """See MessageSessions."""
        return self._outgoing.size

    def deliver(self, effect: fx.Deliver) -> None:
        if (stream := self._streams.get(effect.session)) is not None:
            stream.deliver(effect)
        else:
            self._dropped(effect.deliveries)

    def fetched(self, effect: fx.SendFetched) -> None:
        if (stream := self._streams.get(effect.session)) is not None:
            stream.fetched(effect)
        elif effect.delivery is not None:
            self._dropped((effect.delivery,))

    def ended(self, effect: fx.EndConsumer) -> None:
        if (stream := self._streams.get(effect.session)) is not None:
            stream.ended(effect)

    def refused(self, effect: fx.SettleRefused) -> None:
        if (stream := self._streams.get(effect.session)) is not None:
            stream.refused(effect)

    def settled(self, session: SessionId, number: int) -> None:
        if (stream := self._streams.get(session)) is not None:
            stream.settled(number)

    def _dropped(self, deliveries: Sequence[fx.Delivery]) -> None:
        """They counted until now, and no client takes them."""
        if any(len(one.payload) >= LARGE_BYTES for one in deliveries):
            # Not from within a step of the core.
            asyncio.get_running_loop().call_soon(self._outgoing.notify, NO_SESSION)
