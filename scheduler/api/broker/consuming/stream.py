"""One Consume call: a session's requests in, what the leader has for it out.

Bounded: past `MOST_OUTGOING` bytes that the client has not taken, the session is paused (it gets no
deliveries) and nothing is read from it; below half of that it goes on. One message may be larger:
see `outgoing`.

A stream that ends without `close` is lost: the session stays for a while, and may go on with
another stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import grpc

from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError, invalid, leader_lost
from quorate.runtime.parsing import parse_request
from quorate.security.identity import current_caller
from quorate.security.message_names import check_message_queue
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker.consuming import answers, requests
from scheduler.api.broker.consuming.outgoing import Outgoing
from scheduler.api.broker.failures import failure
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Encodable
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import SubscribedAnswer
from scheduler.core.broker.rows import ConsumerNumber, SessionId
from scheduler.core.broker.storage.bodies import LARGE_BYTES
from scheduler.engine.broker.driver import BrokerDriver

# Bytes of answers that the client has not taken.
MOST_OUTGOING: Final = 4 << 20
# Bytes of one request: the largest is the inventory of a session that goes on.
MOST_REQUEST: Final = 4 << 20
# What an answer without messages counts.
_SMALL: Final = 256

Put = Callable[[SessionId, "ConsumeStream"], None]
Drop = Callable[[SessionId, "ConsumeStream"], bool]


class ConsumeStream:
    """One call.

    Args:
        put, drop: make it the session's stream, and forget it.
        outgoing: large answers of all streams.
    """

    def __init__(
        self,
        broker: BrokerDriver,
        incoming: AsyncGenerator[bytes, None],
        put: Put,
        drop: Drop,
        outgoing: Outgoing,
    ) -> None:
        self.caller = caller_name()
        self._bound = current_caller()
        self._host = ""
        self._broker = broker
        self._incoming = incoming
        self._put = put
        self._drop = drop
        self._session = SessionId("")
        # Whether the core has opened it; deliveries that come before are held.
        self._opened = False
        self._closed = False
        self._outgoing: deque[tuple[Encodable, int]] = deque()
        self._size = 0
        # Large answers; the one that is being sent.
        self._large = outgoing.stream()
        self._sending = 0
        self._paused = False
        # Deliveries of consumers whose subscription is not answered yet.
        self._subscribing: dict[ConsumerNumber, list[fx.Deliver]] = {}
        self._settled = self._settled_sent = 0
        self._error: QuorateError | None = None
        self._changed = asyncio.Event()
        self._lighter = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reading = asyncio.create_task(self._read(), name="consume")
        self._reading.add_done_callback(lambda _: self._changed.set())

    async def answer(self) -> Encodable | None:
        """The next answer; None when the session is closed, or the client sends no more.

        Raises:
            QuorateError: what ended the stream.
        """
        self._sent()
        while True:
            self._changed.clear()
            if self._reading.done() and not self._closed:
                # At once: deliveries might never end. They are in the session's next inventory, or
                # come again.
                self._reading.result()
                return None
            if self._opened and self._outgoing:
                answer, size = self._outgoing.popleft()
                self._size -= size
                if size >= LARGE_BYTES:
                    self._sending = size
                if self._size <= MOST_OUTGOING // 2:
                    self._lighter.set()
                    self._pause(paused=False)
                return answer
            if self._settled > self._settled_sent:
                self._settled_sent = self._settled
                return pb.ConsumeResponse(settled=self._settled)
            if self._error is not None:
                raise self._error
            if self._reading.done():
                return None
            await self._changed.wait()

    def fail(self, error: QuorateError) -> None:
        """End the call with this error."""
        self._error = self._error or error
        self._outgoing.clear()
        self._changed.set()

    async def close(self) -> None:
        """The call is over."""
        # What is held for subscriptions that are answered later goes to nobody, and counts nothing.
        self._subscribing.clear()
        self._large.taken(self._large.size)
        # Ahead of any wait: the caller's cancellation may come behind the end of its requests, and
        # would end this here. A session that nobody declares lost keeps its messages.
        if self._session and self._drop(self._session, self) and not self._closed:
            self._handle(e.SessionLost(self._session))
        await end_task(self._reading)

    # -- out

    def deliver(self, effect: fx.Deliver) -> None:
        """See MessageSessions; so are the others."""
        held = self._subscribing.get(effect.consumer)
        if held is not None:
            held.append(effect)
            return
        for answer in answers.deliveries(effect):
            self._send(answer, len(answer.data))

    def fetched(self, effect: fx.SendFetched) -> None:
        size = 0 if effect.delivery is None else len(effect.delivery.payload)
        self._send(answers.fetched(effect), _SMALL + size)

    def ended(self, effect: fx.EndConsumer) -> None:
        self._send(answers.ended(effect))

    def refused(self, effect: fx.SettleRefused) -> None:
        self._send(answers.refused(effect))

    def settled(self, number: int) -> None:
        self._settled = max(self._settled, number)
        self._changed.set()

    def _sent(self) -> None:
        """gRPC has the answer before this one."""
        size, self._sending = self._sending, 0
        self._large.taken(size, self._session)

    def _send(self, answer: Encodable, size: int = _SMALL) -> None:
        self._outgoing.append((answer, size))
        self._size += size
        if size >= LARGE_BYTES:
            self._large.add(size)
        self._changed.set()
        if self._size > MOST_OUTGOING and not self._paused:
            # Not from within a step of the core.
            self._loop.call_soon(lambda: self._pause(paused=self._size > MOST_OUTGOING // 2))

    def _pause(self, *, paused: bool) -> None:
        if self._paused != paused and self._session:
            self._paused = paused
            self._handle(e.SessionPaused(self._session, paused))

    # -- in

    async def _read(self) -> None:
        async for body in self._incoming:
            if len(body) > MOST_REQUEST:
                raise invalid(
                    "request",
                    f"has {len(body)} bytes; the limit is {MOST_REQUEST}",
                    reason="PAYLOAD_TOO_LARGE",
                    limit=MOST_REQUEST,
                    value=len(body),
                )
            request = parse_request(pb.ConsumeRequest, body, "Consume")
            await self._step(request)
            if self._closed:
                return
            while self._size > MOST_OUTGOING:
                self._lighter.clear()
                await self._lighter.wait()
            await self._broker.room()
        # Lost, unless it was closed: see `close`.

    async def _step(self, request: pb.ConsumeRequest) -> None:
        kind = request.WhichOneof("request")
        if kind is None:
            raise invalid("request", "is required")
        if (kind == "open") is bool(self._session):
            raise invalid(
                "request.open", "is the first request of a stream, and no later one may be"
            )
        session = self._session
        match kind:
            case "open":
                await self._open(request.open)
            case "subscribe":
                self._subscribe(requests.subscribe(request.subscribe))
            case "unsubscribe":
                number = ConsumerNumber(request.unsubscribe.consumer)
                self._handle(e.Unsubscribed(session, number))
            case "credit":
                self._handle(requests.credit(request.credit, session))
            case "settle":
                self._handle(requests.settle(request.settle, session))
            case "fetch":
                self._fetch(request.fetch)
            case "close":
                self._closed = True
                self._handle(e.SessionClosed(session))

    async def _open(self, asked: pb.OpenSession) -> None:
        session = requests.session_id(asked.session)
        await self._broker.room()
        event = requests.opened(asked, session, self.caller, self._loop.create_future())
        self._host = event.virtual_host
        for spec in event.consumers:
            self._check_queue("open.consumers.queue", spec.queue)
        for queue, _, _ in event.unsettled:
            self._check_queue("open.unsettled.queue", queue)
        self._put(session, self)
        self._session = session
        # A stream before may have left it paused.
        self._handle(e.SessionPaused(session, paused=False))
        try:
            await self._broker.ask(lambda token: event._replace(token=token))
        except QuorateError:
            # It is not this caller's, or cannot be.
            self._drop(session, self)
            raise
        opened = pb.ConsumeResponse(opened=pb.SessionOpened(session=session))
        self._outgoing.appendleft((opened, 0))
        self._opened = True
        self._changed.set()

    def _subscribe(self, spec: Any) -> None:
        session, number = self._session, spec.consumer
        if number in self._subscribing:
            raise invalid("subscribe.consumer", f"{number} is being subscribed already")
        try:
            self._check_queue("subscribe.queue", spec.queue)
        except QuorateError as error:
            answer = pb.Subscribed(consumer=number, failure=failure(error))
            self._send(pb.ConsumeResponse(subscribed=answer))
            return
        self._subscribing[number] = []
        token = self._broker.ask(lambda token: e.Subscribed(session, spec, token))
        token.add_done_callback(lambda token: self._subscribed(number, token))

    def _subscribed(self, number: ConsumerNumber, token: asyncio.Future[object]) -> None:
        held = self._subscribing.pop(number, [])
        if token.cancelled():
            return
        answer = pb.Subscribed(consumer=number)
        error = token.exception()
        if error is None:
            found = token.result()
            assert isinstance(found, SubscribedAnswer)
            answer.ready, answer.reply_to = found.ready, found.reply_to
            if found.offset is not None:
                answer.stream, answer.offset = True, found.offset
        elif isinstance(error, QuorateError) and error.code is not grpc.StatusCode.UNAVAILABLE:
            answer.failure.CopyFrom(failure(error))
        else:
            self.fail(error if isinstance(error, QuorateError) else leader_lost())
            return
        self._send(pb.ConsumeResponse(subscribed=answer))
        for effect in held:
            self.deliver(effect)

    def _fetch(self, asked: pb.Fetch) -> None:
        event = requests.fetch(asked, self._session)
        try:
            self._check_queue("fetch.queue", event.queue)
        except QuorateError as error:
            self.fetched(fx.SendFetched(self._session, event.number, None, 0, error))
            return
        self._handle(event)

    def _check_queue(self, field: str, queue: str) -> None:
        """Raises PERMISSION_DENIED: the caller may not name it."""
        if self._bound is not None:
            check_message_queue(self._bound, field, self._host, queue)

    def _handle(self, event: object) -> None:
        self._broker.handle((event,))
