"""One channel of a client, with what it has in the cluster.

    events --> handle, one after the other --> effects --> publisher, session, unary calls
                 ^                               |
                 '-- the next one waits while ---'  an effect is waited for

What is waited for begins when all that the client published and settled before it is durable: so a
channel's methods take effect in their order, though they go to the cluster on different streams.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import structlog

from gateway.amqp.cluster.outbox import Settled, is_nacked
from gateway.amqp.cluster.publisher import Publisher
from gateway.amqp.cluster.session import Session
from gateway.amqp.cluster.transaction import transact
from gateway.amqp.link import Link
from gateway.amqp.protocol import channel, consuming, publishing
from gateway.amqp.protocol import effects as fx
from gateway.amqp.protocol import events as e
from gateway.amqp.protocol.state import State
from gateway.amqp.protocol.unsettled import settles
from gateway.amqp.wire import frames
from gateway.amqp.wire.replies import AmqpError, Reply, from_cluster, from_failure
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

log = structlog.get_logger(__name__)

Event = e.MethodCame | e.Acked | e.Published | e.ChannelFailed | e.ChannelClosed
# Seconds for what was published on a channel that is gone to become durable.
_DRAIN: Final = 30.0
_QUEUE_DELETE: Final = (50, 40)
_TIMED_OUT: Final = "CONSUMER_TIMEOUT"


class ClientChannel:
    """See above. Implements `session.Receiver`.

    Attributes:
        waiting: bytes of events that are not looked at yet.
    """

    def __init__(self, link: Link, state: State) -> None:
        self.waiting = 0
        self._link = link
        self._state = state
        self._events: deque[Event] = deque()
        self._doing: asyncio.Task[None] | None = None
        self._closed = False
        # Class and id of the one that is looked at.
        self._method = (0, 0)
        # basic.cancel of consumers whose queue the client deletes: behind queue.delete-ok.
        self._notices: list[fx.Say] = []
        self._session: Session | None = None
        self._publisher: Publisher | None = None

    @property
    def state(self) -> State:
        """What it knows."""
        return self._state

    @property
    def held(self) -> int:
        """Bytes that this channel holds."""
        return self.waiting + (self._publisher.size if self._publisher is not None else 0)

    def handle(self, event: Event) -> None:
        """What the client sent."""
        if self._closed:
            return
        if self._doing is None:
            self._do(event)
        else:
            self.waiting += e.size_of(event)
            self._events.append(event)

    async def drained(self) -> None:
        """Wait until all that the client sent so far is done and durable."""
        while self._doing is not None:
            await asyncio.wait((self._doing,))
        await self._quiet()

    @property
    def publisher(self) -> Publisher | None:
        """It is there once something was published."""
        return self._publisher

    async def leave(self, *, drain: bool, lost: bool = False) -> None:
        """The channel is gone. `drain`: wait for what was published, for a while; `lost`: the
        connection is gone, too."""
        self._closed = True
        self._events.clear()
        self.waiting = 0
        publishing.release(self._state)
        doing, self._doing = self._doing, None
        if doing is not None and doing is not asyncio.current_task():
            await end_task(doing)
        # First: its consumers would get messages that nobody reads.
        if self._session is not None:
            await self._session.close()
        if self._link.owner_id and not lost:
            await self._leave_owned()
        publisher = self._publisher
        if publisher is not None and drain:
            try:
                async with asyncio.timeout(_DRAIN):
                    await publisher.drained()
            except TimeoutError:
                log.warning("amqp_publications_lost", bytes=publisher.size)
        await self.abandon()

    async def _leave_owned(self) -> None:
        """Exclusive queues stay: they get back what the channel has of them."""
        owner, state = self._link.owner, self._state
        live = [one for one in state.consumers.values() if one.owned]
        numbers = {one.number for one in live}
        taken = state.unsettled.take(0, multiple=True)
        # Of basic.get, and of consumers that were cancelled.
        left = [one for one in taken if one.source.owned and one.source.consumer not in numbers]
        for settle in settles(left, pb.OUTCOME_REQUEUE):
            owner.settle(settle)
        await asyncio.gather(*map(owner.abandon, live))

    async def abandon(self) -> None:
        """What was published and is not durable is not wanted any more."""
        if self._publisher is not None:
            await self._publisher.stop()

    # -- events

    def _do(self, event: Event) -> None:
        match event:
            case e.ChannelFailed():
                self._fail(event.error)
                return
            case e.ChannelClosed():
                self._doing = asyncio.create_task(self._close(event.channel), name="amqp close")
                return
        try:
            self._method = channel.method_of(event)
            self._act(channel.handle(self._state, event))
        except AmqpError as error:
            self._fail(error)

    def _act(self, found: Sequence[fx.Effect]) -> None:
        """Do effects; the last one may be waited for."""
        for effect in found:
            match effect:
                case fx.Publish():
                    self._link.counts.published += 1
                    self._publishing().add(effect.publication)
                case fx.Settle():
                    self._of(effect.source.owned).settle(effect)
                case fx.Say():
                    self._link.send(
                        frames.method(self._state.number, effect.name, **effect.arguments)
                    )
                case fx.Raw():
                    self._link.send(effect.data)
                case fx.Limit():
                    self._limit(effect.prefetch)
                case _:
                    assert effect is found[-1]
                    self._doing = asyncio.create_task(self._wait(effect), name="amqp method")

    async def _wait(self, effect: fx.Effect) -> None:
        try:
            await self._quiet()
            found = await self._perform(effect)
            self._doing = None
            self._act(found)
        except AmqpError as error:
            error.method = self._method
            self._fail(error)
        except QuorateError as error:
            self._failed(error, self._method)
        except Exception:
            # A defect of the gateway: the client learns of it, and does not wait for ever.
            log.exception("amqp_method_failed", method=self._method)
            text = "the gateway failed at this method; its log says why"
            self._fail(AmqpError(Reply.INTERNAL_ERROR, text, self._method))
        finally:
            if self._doing is asyncio.current_task():
                self._doing = None
        notices, self._notices = self._notices, []
        self._act(() if self._closed else notices)
        while self._events and self._doing is None and not self._closed:
            event = self._events.popleft()
            self.waiting -= e.size_of(event)
            self._do(event)
        self._link.relieved(self)

    async def _quiet(self) -> None:
        """What was published and settled before is durable; so is what was published on other
        channels, though that is more than AMQP asks for."""
        await self._link.drained()
        if self._session is not None:
            await self._session.quiet()
        if self._link.owner_id:
            await self._link.owner.quiet()

    async def _close(self, number: int) -> None:
        await self._quiet()
        await self.leave(drain=False)
        self._link.channel_closed(number, self)

    def _fail(self, error: AmqpError) -> None:
        if not self._closed:
            self._closed = True
            self._link.close_channel(self._state.number, error)

    def _failed(self, error: QuorateError, method: tuple[int, int] = (0, 0)) -> None:
        """The cluster refuses a method, or a stream."""
        failure = from_cluster(error, self._state.virtual_host)
        failure.method = method
        self._fail(failure)

    # -- effects

    async def _perform(self, effect: fx.Effect) -> Sequence[fx.Effect]:
        match effect:
            case fx.Call():
                return await self._call(effect)
            case fx.Subscribe():
                return await self._subscribe(effect.consumer)
            case fx.Cancel():
                consumer = effect.consumer
                await self._of(consumer.owned).cancel(consumer)
                consuming.forget(self._state, consumer)
                if effect.no_wait:
                    return ()
                return (fx.say("basic.cancel-ok", consumer_tag=consumer.tag),)
            case fx.Fetch():
                answer = await self._of(effect.owned).fetch(effect)
                if answer.HasField("failure"):
                    raise from_failure(answer.failure, self._state.virtual_host)
                return (fx.Raw(consuming.fetched(self._state, effect, answer)),)
            case fx.Commit():
                return await self._commit(effect)
            case fx.Quiet():
                return effect.then
            case _:
                raise AssertionError(effect)

    async def _call(self, call: fx.Call) -> Sequence[fx.Effect]:
        request = call.request
        if call.owner:
            await self._link.owner.opened()
        if "session" in request.DESCRIPTOR.fields_by_name:
            request.session = self._link.owner_id  # type: ignore[attr-defined]
        try:
            return call.answered(await self._link.calls.ask(call.rpc, request))
        except QuorateError as error:
            found = call.failed(error)
            if found is None:
                raise
            return found

    async def _subscribe(self, consumer: fx.Consumer) -> Sequence[fx.Effect]:
        try:
            if consumer.queue != consuming.REPLY_TO:
                asked = pb.GetMessageQueueRequest(
                    virtual_host=self._state.virtual_host,
                    name=consumer.queue,
                    session=self._link.owner_id,
                )
                found = await self._link.calls.ask("GetMessageQueue", asked)
                consuming.look_at(consumer, found.message_queue.spec, time.time())
            failure = await self._of(consumer.owned).subscribe(
                consumer, self, self._prefetch(consumer)
            )
            if failure is not None:
                raise from_failure(failure, self._state.virtual_host)
        except Exception:
            # If it is cancelled instead, the cluster may have it: `_leave_owned` ends it.
            consuming.forget(self._state, consumer)
            raise
        return ()

    async def _commit(self, commit: fx.Commit) -> Sequence[fx.Effect]:
        session, host = self._of(commit.owned), self._state.virtual_host
        try:
            unroutable = await transact(self._link.calls, host, session.id, commit)
        except BaseException:
            # Cancelled, too: the channel ends meanwhile.
            publishing.commit_failed(self._state, commit)
            raise
        for one in commit.settles:
            session.committed(one)
        for one in commit.others:
            self._of(one.source.owned).settle(one)
        return publishing.committed(self._state, unroutable)

    def _limit(self, prefetch: int) -> None:
        if self._session is None and not prefetch:
            return
        self._of(False).limit(prefetch, partial(self._limits, False))
        if self._link.owner_id:
            self._link.owner.limit_each(self, partial(self._limits, True))

    def _limits(self, owned: bool) -> Iterable[tuple[int, int]]:
        for consumer in self._state.consumers.values():
            if consumer.owned is owned:
                yield consumer.number, self._prefetch(consumer)

    def _prefetch(self, consumer: fx.Consumer) -> int:
        """How many deliveries a consumer may have unsettled."""
        limits = [one for one in (consumer.prefetch, self._state.limit) if one]
        return 0 if consumer.automatic_ack else min(limits, default=0)

    # -- what the cluster says

    def subscribed(self, consumer: fx.Consumer) -> None:
        """See Receiver; so are the others."""
        answer = consuming.subscribed(self._state, consumer)
        if not self._closed:
            self._act(answer)

    def deliver(self, consumer: fx.Consumer, found: wire.DeliveriesEnvelope) -> None:
        if not self._closed:
            self._link.counts.delivered += len(found.deliveries)
            self._link.send(consuming.deliver(self._state, consumer, found))

    def ended(self, consumer: fx.Consumer, failure: pb.Failure) -> None:
        consuming.forget(self._state, consumer)
        if failure.reason == _TIMED_OUT:
            text = f"delivery acknowledgement on channel {self._state.number} timed out"
            self._fail(AmqpError(Reply.PRECONDITION_FAILED, text))
        elif self._state.cancels and not self._closed:
            # https://www.rabbitmq.com/docs/consumer-cancel
            notice = fx.say("basic.cancel", consumer_tag=consumer.tag, no_wait=True)
            if self._doing is not None and self._method == _QUEUE_DELETE:
                self._notices.append(notice)
            else:
                self._act((notice,))

    def _settled(self, found: Sequence[Settled]) -> None:
        """Publications are durable, or what became of them."""
        state = self._state
        confirmed = publishing.Confirmed(state, found[0].number - 1)
        failure: AmqpError | None = None
        for number, publication, result in found:
            if result is None:
                confirmed.durable(number)
            elif result.kind == pb.PublicationResult.KIND_RETURNED:
                confirmed.returned(number, publication)
            elif is_nacked(result.failure):
                confirmed.refused(number)
            else:
                failure = from_failure(result.failure, state.virtual_host)
                failure.method = 60, 40
                break
        if not self._closed:
            self._link.send(confirmed.frames())
            if failure is not None:
                self._fail(failure)
        self._link.relieved(self)

    # -- streams

    def _of(self, owned: bool) -> Session:
        if owned:
            return self._link.owner
        if self._session is None:
            self._session = self._link.session(self._failed)
        return self._session

    def _publishing(self) -> Publisher:
        if self._publisher is None:
            self._publisher = self._link.publisher(self._state.number, self._failed, self._settled)
        return self._publisher
