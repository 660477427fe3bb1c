"""One connection of a client: a socket, the protocol's state machine, channels.

What it holds is bounded: see `flow`. It outlives leaders: see `cluster.stream`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import structlog

from gateway.amqp import login
from gateway.amqp.client_channel import ClientChannel
from gateway.amqp.cluster.calls import Calls
from gateway.amqp.cluster.outbox import Settled
from gateway.amqp.cluster.publisher import Publisher
from gateway.amqp.cluster.session import Session
from gateway.amqp.flow import MOST_UNREAD, Flow, Holder
from gateway.amqp.hall import Counts, Hall
from gateway.amqp.protocol import events as e
from gateway.amqp.protocol import limits
from gateway.amqp.protocol.connection import Connection
from gateway.amqp.protocol.handshake import Phase
from gateway.amqp.protocol.state import State, Transactions
from gateway.amqp.seen import ConnectionSeen, connection_seen
from gateway.amqp.wire.replies import AmqpError, Reply, from_cluster
from gateway.cluster.calls import Metadata
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

log = structlog.get_logger(__name__)

# Seconds that a client which closes its connection waits for what it sent to be durable.
_DRAIN: Final = 15.0
# Seconds between two looks at what is due.
_LOOK: Final = 0.5
_UPDATE_SECRET: Final = (10, 70)
_NO_SPACE: Final = "the cluster has no room for more messages at the moment"


class ClientConnection(asyncio.Protocol):
    """See above. Implements `Link`.

    Attributes:
        gone: the socket is closed.
    """

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._loop = asyncio.get_running_loop()
        self._machine = Connection(self._loop.time(), hall.version)
        self._number = next(hall.numbers)
        self._producers = itertools.count(1)
        self._consumers = itertools.count(1)
        self._channels: dict[int, ClientChannel] = {}
        self._draining: dict[ClientChannel, None] = {}  # closed, and not all is durable
        self._owned: set[str] = set()
        self._transactions = Transactions()
        self._login_event: e.Login | None = None
        self._owner: Session | None = None
        self._transport: asyncio.Transport | None = None
        self._virtual_host = "/"
        self._credentials = login.Credentials()
        self._shared_prefetch = False
        self._blocked = 0
        self._flushing = self._lost = self._updating = False
        self._flow = Flow(hall)
        self._ticking: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()
        self.calls = Calls(hall.upstream, self._metadata)

    # -- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are of another class.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        if self._hall.refuses(transport):
            transport.abort()
            return
        self._hall.connections[self] = None
        transport.set_write_buffer_limits(high=self._hall.share(MOST_UNREAD))
        self._tick()

    def data_received(self, data: bytes) -> None:
        self._machine.most_assembling = self._hall.share(limits.MOST_ASSEMBLING)
        self._transactions.most = self._hall.share(limits.MOST_TRANSACTING)
        for event in self._machine.receive(data, self._loop.time()):
            self._dispatch(event)
        self._flush()
        self._hold()

    def pause_writing(self) -> None:
        self._flow.writable.clear()

    def resume_writing(self) -> None:
        self._flow.taken()
        self._hold()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._flow.writable.set()
        self._hall.connections.pop(self, None)
        self.gone.set()
        for timer in (self._ticking, self._ending):
            if timer is not None:
                timer.cancel()
        self._hall.run(self._leave())

    def shut_down(self) -> None:
        """The gateway ends."""
        text = "broker forced connection closure with reason 'shutdown'"
        self._close(AmqpError(Reply.CONNECTION_FORCED, text))

    def abort(self) -> None:
        """Close the socket at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- out

    def send(self, data: bytes) -> None:
        """See Link; so are the others."""
        if data and not self._lost:
            self._machine.send_raw(data)
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush()
        self._hold()

    def _flush(self) -> None:
        self._flushing = False
        transport = self._transport
        if transport is None or self._lost:
            return
        if data := self._machine.output(self._loop.time()):
            self._flow.writes(len(data))
            transport.write(data)
        if self._machine.phase is Phase.CLOSED:
            transport.close()
            if self._ending is None:
                # What is written may never be taken.
                self._ending = self._loop.call_later(limits.CLOSE, transport.abort)

    def _tick(self) -> None:
        transport = self._transport
        assert transport is not None
        self._machine.tick(self._loop.time(), reading=self._flow.silence_counts(transport))
        self._flush()
        if not self._lost:
            self._ticking = self._loop.call_later(_LOOK, self._tick)

    # -- what is held

    def relieved(self, channel: Holder) -> None:
        self._flow.count(channel)
        self._hold()

    @property
    def counts(self) -> Counts:
        return self._hall.counts

    @property
    def channels(self) -> int:
        """How many are open."""
        return len(self._channels)

    @property
    def held(self) -> int:
        """Bytes that are published and not durable, or wait for the cluster."""
        return self._flow.held

    @property
    def seen(self) -> ConnectionSeen:
        states = (channel.state for channel in self._channels.values())
        where = self._number, self._login_event, self._transport, self._virtual_host
        return connection_seen(*where, self._blocked > 0, states)

    def _hold(self) -> None:
        transport = self._transport
        if not (transport is None or self._lost or transport.is_closing()):
            self._flow.hold(transport)

    def _block(self, blocked: bool) -> None:
        before = self._blocked
        self._blocked += 1 if blocked else -1
        if bool(before) != bool(self._blocked):
            self._machine.block(_NO_SPACE if self._blocked else None)
            self._flush_soon()

    # -- events

    def _dispatch(self, event: e.Event) -> None:
        match event:
            case e.Published() | e.Acked() | e.MethodCame() | e.ChannelFailed() | e.ChannelClosed():
                channel = self._channels.get(event.channel)
                if channel is not None:
                    channel.handle(event)
                    self._flow.count(channel)
            case e.ChannelOpened():
                self._channels[event.channel] = ClientChannel(self, self._state(event.channel))
            case e.ChannelGone():
                self._drop(event.channel)
            case e.Login():
                self._hall.run(self._login(event))
            case e.HostAsked():
                self._hall.run(self._open(event.virtual_host))
            case e.SecretUpdated():
                self._begin_update(event.secret)
            case e.Closing():
                self._hall.run(self._end())

    def _state(self, number: int) -> State:
        return State(
            number=number,
            virtual_host=self._virtual_host,
            frame_max=self._machine.frame_max,
            shared_prefetch=self._shared_prefetch,
            cancels=self._machine.cancels,
            numbers=self._consumers,
            owned=self._owned,
            transactions=self._transactions,
            user=self._login_event.user if self._login_event is not None else "",
        )

    async def _login(self, event: e.Login) -> None:
        self._shared_prefetch = event.product == login.SHARED_PREFETCH
        try:
            self._credentials = login.credentials_of(event, self._hall.access, self._certificate())
            known, self._machine.most_body = await login.check(event, self.calls)
        except login.Refused as refused:
            self._hall.counts.refused += 1
            log.warning("amqp_login_refused", user=event.user[:80], mechanism=event.mechanism)
            self._machine.refuse(str(refused), self._loop.time())
        except QuorateError as error:
            self._close(AmqpError(Reply.INTERNAL_ERROR, error.message))
        else:
            self._login_event = known
            self._machine.accept()
        self._flush()

    def _certificate(self) -> Any:
        return None if self._transport is None else self._transport.get_extra_info("peercert")

    async def _open(self, virtual_host: str) -> None:
        try:
            if virtual_host != "/":
                asked = pb.ListExchangesRequest(virtual_host=virtual_host, page_size=1)
                await self.calls.ask("ListExchanges", asked)
        except QuorateError as error:
            self._close(from_cluster(error, virtual_host))
        else:
            self._virtual_host = virtual_host
            self._machine.opened()
        self._flush()

    def _begin_update(self, secret: str) -> None:
        if self._updating:
            text = "the update-secret before this one is not answered yet"
            self._close(AmqpError(Reply.COMMAND_INVALID, text, _UPDATE_SECRET))
        elif self._login_event is not None:
            self._updating = True
            self._hall.run(self._update(self._login_event._replace(password=secret)))

    async def _update(self, event: e.Login) -> None:
        hall = self._hall
        found = await login.renew(event, hall.upstream, hall.access, self._certificate())
        self._updating = False
        if found is None:
            text = "New secret was refused by one of the backends"
            self._close(AmqpError(Reply.NOT_ALLOWED, text, _UPDATE_SECRET))
        else:
            self._credentials = found
            self._machine.secret_updated()
        self._flush()

    async def _end(self) -> None:
        """The client closes: what it sent before is done first."""
        try:
            async with asyncio.timeout(_DRAIN):
                for channel in list(self._channels.values()):
                    await channel.drained()
        except TimeoutError:
            # It goes on without the client.
            log.warning("amqp_closed_before_all_was_durable", connection=self._number)
        if not self._lost:
            self._machine.closed()
            self._flush()

    def _metadata(self) -> Metadata:
        return self._hall.access.metadata(*self._credentials)

    # -- channels

    @property
    def owner(self) -> Session:
        if self._owner is None:
            self._owner = self.session(self._failed)
        return self._owner

    @property
    def owner_id(self) -> str:
        return "" if self._owner is None else self._owner.id

    def session(self, failed: Callable[[QuorateError], None]) -> Session:
        return Session(
            self._hall.upstream,
            self._metadata,
            failed,
            virtual_host=self._virtual_host,
            writable=self._flow.writable,
        )

    def publisher(
        self,
        number: int,
        failed: Callable[[QuorateError], None],
        settled: Callable[[Sequence[Settled]], None],
    ) -> Publisher:
        # Each time a channel is opened it is another producer.
        incarnation = next(self._producers)
        return Publisher(
            self._hall.upstream,
            self._metadata,
            failed,
            virtual_host=self._virtual_host,
            producer=f"amqp/{self._hall.instance}/{self._number}/{number}/{incarnation}",
            settled=settled,
            blocked=self._block,
        )

    def close_channel(self, number: int, error: AmqpError) -> None:
        if error.hard:
            self._close(error)
            return
        self._machine.close_channel(number, error)
        self._flush_soon()
        self._drop(number)

    async def drained(self) -> None:
        for channel in list(self._channels.values()):
            if channel.publisher is not None:
                await channel.publisher.drained()

    def channel_closed(self, number: int, channel: Holder) -> None:
        self._flow.forget(channel)
        # The number may be another channel's by now.
        if self._channels.get(number) is channel:
            del self._channels[number]
            self._machine.channel_closed(number)
            self._flush_soon()

    def _drop(self, number: int) -> None:
        channel = self._channels.pop(number, None)
        if channel is not None:
            self._hall.run(self._leave_channel(channel))

    async def _leave_channel(self, channel: ClientChannel, *, drain: bool = True) -> None:
        """It counts until what was published is durable."""
        self._draining[channel] = None
        try:
            await channel.leave(drain=drain, lost=self._lost)
        finally:
            del self._draining[channel]
            self._flow.forget(channel)
            self._hold()

    # -- the end

    def _failed(self, error: QuorateError) -> None:
        self._close(from_cluster(error, self._virtual_host))

    def _close(self, error: AmqpError) -> None:
        """An error ends the connection."""
        self._machine.close(error, self._loop.time())
        self._flush_soon()
        for number in list(self._channels):
            self._drop(number)

    async def _leave(self) -> None:
        """The socket is closed: what was published goes on, if there is room for it; what was
        delivered comes back."""
        channels, self._channels = self._channels, {}
        drain = self._flow.lose()
        for channel in () if drain else self._draining:
            self._hall.run(channel.abandon())
        for channel in channels.values():
            self._hall.run(self._leave_channel(channel, drain=drain))
        if self._owner is not None:
            await self._owner.close()
