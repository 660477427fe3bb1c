"""One session: a Consume stream with consumers, deliveries and settlements.

A channel has one; a connection has another one that owns its exclusive queues. When its leader ends
it goes on with the next one: it lists its consumers and what is not settled, and repeats what was
not answered.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import structlog

from gateway.amqp.cluster.held import Held
from gateway.amqp.cluster.stream import Stream
from gateway.amqp.protocol.consuming import position
from gateway.amqp.protocol.effects import Consumer, Fetch, Settle, Source
from gateway.cluster.calls import Metadata, Upstream
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

log = structlog.get_logger(__name__)

_PATH: Final = "/quorate.v1.Broker/Consume"
# `ConsumeResponse.deliveries`, length-delimited.
_DELIVERIES: Final = pb.ConsumeResponse.DELIVERIES_FIELD_NUMBER << 3 | 2
# Seconds that a session may take to end by itself; after that its leader ends it.
_LEAVE: Final = 5.0


# Numbers of consumers, and how many deliveries each may have unsettled.
Limits: TypeAlias = Callable[[], Iterable[tuple[int, int]]]


class Receiver(Protocol):
    """Who a consumer belongs to."""

    def subscribed(self, consumer: Consumer) -> None:
        """It begins; called before its first delivery."""

    def deliver(self, consumer: Consumer, found: wire.DeliveriesEnvelope) -> None:
        """Deliveries came."""

    def ended(self, consumer: Consumer, failure: pb.Failure) -> None:
        """The cluster ended a consumer."""


@dataclass(slots=True)
class _Live:
    consumer: Consumer
    receiver: Receiver
    prefetch: int
    subscribed: asyncio.Future[pb.Failure | None]
    ending: bool = False


@dataclass(slots=True)
class _Fetching:
    fetch: Fetch
    answer: asyncio.Future[pb.Fetched] = field(default_factory=asyncio.Future)


class Session(Stream):
    """See above.

    Args:
        writable: set while the client takes what is written for it.

    Attributes:
        id: nobody can guess it.
    """

    def __init__(
        self,
        upstream: Upstream,
        metadata: Callable[[], Metadata],
        failed: Callable[[QuorateError], None],
        *,
        virtual_host: str,
        writable: asyncio.Event,
    ) -> None:
        super().__init__(upstream, _PATH, metadata, failed)
        self.id = secrets.token_urlsafe(24)
        self._virtual_host = virtual_host
        self._writable = writable
        self._opened = asyncio.Event()
        # A stream was begun: requests follow each other on it. The next one begins with all of
        # what is still wanted.
        self._streaming = False
        self._held = Held()
        self._live: dict[int, _Live] = {}
        self._fetching: dict[int, _Fetching] = {}
        self._fetches = 0
        self._limit = 0
        self._requests: deque[pb.ConsumeRequest] = deque()
        # Those of `_requests` that change a limit, by consumer: the latest limit is sent.
        self._credits: dict[int, pb.ConsumeRequest] = {}
        # Limits that are to change, by whom.
        self._limits: dict[object, Limits] = {}
        self._closing = False

    # -- what the channel asks

    async def opened(self) -> None:
        """Wait until the session is open."""
        self.start()
        await self._opened.wait()

    async def subscribe(
        self, consumer: Consumer, receiver: Receiver, prefetch: int
    ) -> pb.Failure | None:
        """Begin a consumer; why it was refused."""
        live = _Live(consumer, receiver, prefetch, asyncio.get_running_loop().create_future())
        self._live[consumer.number] = live
        # Before the first stream it is part of what opens that.
        if self._streaming:
            self._ask(subscribe=_subscribe(live))
        self.start()
        failure = await live.subscribed
        if failure is not None:
            self._live.pop(consumer.number, None)
        return failure

    async def cancel(self, consumer: Consumer) -> None:
        """End a consumer. What was on its way to it is delivered before this returns."""
        live = self._live.get(consumer.number)
        if live is None:
            return
        live.ending = True
        self._ask(unsubscribe=pb.Unsubscribe(consumer=consumer.number))
        await self.quiet(consumer.source)
        self._forget_if_done(live)

    async def abandon(self, consumer: Consumer) -> None:
        """End a consumer whose channel is gone. What it has not settled is delivered again, and
        counts as delivered in vain."""
        await self.cancel(consumer)
        # What was on its way has come, and what was settled is not held any more.
        if left := self._held.ids(consumer.source):
            self.settle(Settle(consumer.source, left, pb.OUTCOME_REQUEUE))

    async def fetch(self, fetch: Fetch) -> pb.Fetched:
        """One message of a queue. Cancelled: the message goes back, if there is one."""
        self._fetches += 1
        one = self._fetching[self._fetches] = _Fetching(fetch)
        if self._streaming:
            self._ask(fetch=_fetch(self._fetches, fetch))
        self.start()
        try:
            return await one.answer
        except asyncio.CancelledError:
            if not one.answer.cancelled():
                self._give_back(fetch, one.answer.result())
            raise

    def settle(self, settle: Settle) -> None:
        """Settle deliveries."""
        self._held.ask(settle)
        self._news.set()

    def committed(self, settle: Settle) -> None:
        """Deliveries were settled by a transaction."""
        self._held.committed(settle)
        if (live := self._live.get(settle.source.consumer)) is not None:
            self._forget_if_done(live)

    def limit(self, prefetch: int, each: Limits) -> None:
        """Change how many deliveries may be unsettled: all together, and of each consumer."""
        self._limit = prefetch
        if self._streaming:
            self._credit(0, prefetch)
        self.limit_each(self, each)

    def limit_each(self, whose: object, each: Limits) -> None:
        """Change how many deliveries each of some consumers may have unsettled.

        Not at once, but before the next request is sent: a client that changes limits all the time
        costs no more than that.
        """
        self._limits[whose] = each
        self._news.set()

    def _limit_now(self) -> None:
        """Do what `limit_each` promised."""
        while self._limits:
            for number, prefetch in self._limits.popitem()[1]():
                live = self._live.get(number)
                if live is None:
                    continue
                before, live.prefetch = live.prefetch, prefetch
                if self._streaming and prefetch != before:
                    self._credit(number, prefetch)

    async def quiet(self, source: Source | None = None) -> None:
        """Wait until all that was settled so far is durable. `source`: even if nothing was."""
        if self._ended or self._closing:
            return
        if source is None:
            if self._held.quiet:
                return
            source = Source(False, 0, "-")
        done = asyncio.get_running_loop().create_future()
        self._held.barrier(source, lambda: None if done.done() else done.set_result(None))
        self._news.set()
        await done

    async def close(self) -> None:
        """End the session: what is not settled is delivered again."""
        if self._task is not None and not self._ended:
            self._closing = True
            self._news.set()
            await asyncio.wait((self._task,), timeout=_LEAVE)
        await self.stop()

    async def stop(self) -> None:
        await super().stop()
        self._held.release()
        for live in self._live.values():
            live.subscribed.cancel()
        for one in self._fetching.values():
            one.answer.cancel()

    # -- the stream

    def _listed(self, live: _Live) -> pb.Subscribe:
        """A consumer for the next leader. One that ends gets nothing more: its limit is what it
        has."""
        found = _subscribe(live)
        if live.ending:
            found.prefetch = max(1, self._held.count(live.consumer.source))
        return found

    def _begin(self) -> None:
        self._limit_now()
        again, self._streaming = self._streaming, True
        self._requests.clear()
        self._credits.clear()
        inventory = self._held.restart()
        opening = pb.OpenSession(session=self.id, virtual_host=self._virtual_host)
        # Those that end and have deliveries are listed too, or these would be delivered again.
        opening.consumers.extend(
            self._listed(live) for live in self._live.values() if live.subscribed.done()
        )
        opening.unsettled.extend(inventory)
        self._ask(open=opening)
        if self._limit:
            self._ask(credit=pb.Credit(consumer=0, prefetch=self._limit))
        for live in self._live.values():
            if not live.subscribed.done():
                self._ask(subscribe=_subscribe(live))
            elif live.ending:
                self._ask(unsubscribe=pb.Unsubscribe(consumer=live.consumer.number))
        # What nobody waits for any more is not listed as held either: it is delivered to others.
        wanted = {number: one for number, one in self._fetching.items() if not one.answer.done()}
        self._fetching = wanted
        for number, one in wanted.items():
            self._ask(fetch=_fetch(number, one.fetch))
        if again:
            log.info("amqp_session_goes_on", consumers=len(self._live))

    def _outgoing(self) -> bytes | None:
        self._limit_now()
        if self._requests:
            request = self._requests.popleft()
            if request.HasField("credit"):
                self._credits.pop(request.credit.consumer, None)
            return request.SerializeToString()
        if (settle := self._held.next(gather=not self._closing)) is not None:
            return pb.ConsumeRequest(settle=settle).SerializeToString()
        if self._closing:
            self._ended = True
            self._closing = False
            return pb.ConsumeRequest(close=pb.CloseSession()).SerializeToString()
        return None

    async def _received(self, data: bytes) -> None:
        # The client is slow: the cluster holds what is for it.
        await self._writable.wait()
        if data[0] == _DELIVERIES:
            self._deliver(wire.DeliveriesEnvelope.FromString(_inner(data)))
            return
        answer = pb.ConsumeResponse.FromString(data)
        match answer.WhichOneof("response"):
            case "opened":
                self._opened.set()
            case "subscribed":
                self._subscribed(answer.subscribed)
            case "settled":
                self._held.settled(answer.settled)
                if self._held.has_unsent:
                    self._news.set()
                for live in list(self._live.values()):
                    self._forget_if_done(live)
            case "fetched":
                self._fetched(answer.fetched)
            case "ended":
                self._end(answer.ended)
            case "refused":
                log.info("amqp_settlement_refused", why=answer.refused.failure.message)

    def _deliver(self, found: wire.DeliveriesEnvelope) -> None:
        live = self._live.get(found.consumer)
        if live is None:
            return
        if not live.consumer.automatic_ack:
            self._held.put(live.consumer.source, [one.id for one in found.deliveries])
        live.receiver.deliver(live.consumer, found)

    def _subscribed(self, answer: pb.Subscribed) -> None:
        live = self._live.get(answer.consumer)
        if live is not None and not live.subscribed.done():
            refused = answer.HasField("failure")
            if not refused:
                live.consumer.address = answer.reply_to
                live.receiver.subscribed(live.consumer)
            live.subscribed.set_result(answer.failure if refused else None)

    def _fetched(self, answer: pb.Fetched) -> None:
        one = self._fetching.pop(answer.number, None)
        if one is None:
            return
        fetch = one.fetch
        if answer.HasField("delivery") and not fetch.automatic_ack:
            self._held.put(fetch.source, [answer.delivery.id])
        if one.answer.done():
            self._give_back(fetch, answer)
        else:
            one.answer.set_result(answer)

    def _give_back(self, fetch: Fetch, answer: pb.Fetched) -> None:
        """The channel is gone that fetched a message. It counts as delivered in vain."""
        if answer.HasField("delivery") and not fetch.automatic_ack:
            self.settle(Settle(fetch.source, [answer.delivery.id], pb.OUTCOME_REQUEUE))

    def _end(self, ended: pb.ConsumerEnded) -> None:
        live = self._live.pop(ended.consumer, None)
        if live is not None:
            self._held.forget(live.consumer.source)
            live.receiver.ended(live.consumer, ended.failure)

    def _forget_if_done(self, live: _Live) -> None:
        if live.ending and not self._held.has(live.consumer.source):
            self._live.pop(live.consumer.number, None)

    def _credit(self, number: int, prefetch: int) -> None:
        waiting = self._credits.get(number)
        if waiting is None:
            self._ask(credit=pb.Credit(consumer=number, prefetch=prefetch))
            self._credits[number] = self._requests[-1]
        else:
            waiting.credit.prefetch = prefetch

    def _ask(self, **request: Any) -> None:
        self._requests.append(pb.ConsumeRequest(**request))
        self._news.set()


def _subscribe(live: _Live) -> pb.Subscribe:
    consumer = live.consumer
    asked = pb.Subscribe(
        consumer=consumer.number,
        queue=consumer.queue,
        name=consumer.tag,
        prefetch=live.prefetch,
        automatic_ack=consumer.automatic_ack,
        exclusive=consumer.exclusive,
        priority=consumer.priority,
        active=consumer.single_active and consumer.active,
    )
    for name, value in consumer.arguments.items():
        asked.arguments[name].CopyFrom(value)
    if consumer.offset is not None:
        asked.position.offset = consumer.offset
    elif consumer.stream:
        asked.position.CopyFrom(position(consumer.arguments, time.time()))
    return asked


def _fetch(number: int, fetch: Fetch) -> pb.Fetch:
    return pb.Fetch(number=number, queue=fetch.queue, automatic_ack=fetch.automatic_ack)


def _inner(data: bytes) -> bytes:
    """The one field that the bytes are, without its tag and length."""
    place = 1
    while data[place] & 0x80:
        place += 1
    return data[place + 1 :]
