"""The link of a consumer to the cluster, in a synchronous program: its session, its thread.

    Consume --answers--> ledger, buffer --get--> the program --ack--> ledger --requests--> Consume
    (the link's thread)                                                  (gRPC's thread)

Bounded: the leader sends `prefetch` deliveries that are not settled (64 MiB without a limit), and
past `MOST_BUFFERED` bytes that the program has not taken the stream is not read: gRPC then holds
the leader.

Nothing here refers to the `Consumer`, so that one that its program drops is noticed (`abandon`).
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Final

import grpc

from quorate.client.errors import ConsumerEnded
from quorate.client.messages.consuming import private as p
from quorate.client.messages.consuming.ledger import MOST_PENDING, QUIET, SILENCE, Ledger
from quorate.client.messages.consuming.link.buffer import Buffer
from quorate.client.messages.consuming.link.sending import ConsumerStream
from quorate.client.messages.consuming.link.unsettled import warn_of_unsettled
from quorate.client.messages.consuming.subscription import Subscription
from quorate.client.messages.publishing.window import raise_first
from quorate.client.messages.rpcs import CONSUME, PUBLISH
from quorate.client.messages.streams import reopening, stream
from quorate.client.messages.streams.condition import ProcessCondition
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.calls import Calls
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

# Seconds in which `close` waits until settlements are durable.
CLOSE_SECONDS: Final = 10.0


class ConsumerLink:
    """Of one `Consumer`, whose methods of the same names say what they do. Thread-safe."""

    def __init__(
        self,
        calls: Calls,
        streams: OpenStreams,
        subscription: Subscription,
        private: p.Private | None = None,
    ) -> None:
        self._calls = calls
        self._streams = streams
        self._private = private
        self.ledger = Ledger(subscription)
        self.changed = ProcessCondition("consumer")
        self._buffer = Buffer()
        self._waiters = 0
        self._thread: threading.Thread | None = None
        self.call: Any = None
        self._ready = self._stopping = self._closing = self.closing = False
        self._error: QuorateError | None = None

    def change_prefetch(self, prefetch: int) -> None:
        """See `Consumer.prefetch`."""
        with self.changed:
            self.ledger.change_prefetch(prefetch)
            self.changed.notify_all()

    def get(self, timeout: float | None = None) -> message_pb2.Delivery | None:
        """See `Consumer.get`."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            self._start()
            while not self._buffer:
                if self._error is not None:
                    raise self._error
                if self._stopping or not self._wait(end):
                    return None
            if self._stopping:
                return None
            was_full = self._buffer.is_full
            found = self._buffer.take()
            if was_full and not self._buffer.is_full:
                self.changed.notify_all()
        return found

    def flush(self, timeout: float | None = None) -> None:
        """See `Consumer.flush`."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            serial = self.ledger.serial
            self._waiters += 1
            self.changed.notify_all()
            try:
                while not self.ledger.is_durable(serial):
                    if self._error is not None:
                        raise self._error
                    if not self._wait(end):
                        raise TimeoutError(f"settlements are not durable after {timeout:g} s")
            finally:
                self._waiters -= 1
            lost = self.ledger.take_lost()
        if lost is not None:
            raise lost

    def stop(self) -> None:
        """See `Consumer.stop`."""
        with self.changed:
            self._stopping = True
            self.changed.notify_all()

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """See `Consumer.close`."""
        if self.changed.is_forked:
            return
        with self.changed:
            self._stopping = True
            if self._thread is not None and not self._closing and self._error is None:
                if not self.ledger.is_draining:
                    self.ledger.drain()
                self._give_back()
                end = time.monotonic() + timeout
                while self._error is None and not self.ledger.is_drained:
                    if not self._wait(end):
                        break
                warn_of_unsettled(self.ledger)
            self._closing = True
            self.ledger.close()
            self.changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)
        with self.changed:
            self.closing = True
            if self._error is None:
                self._error = closed("consumer")
            self.changed.notify_all()
            call = self.call
        if call is not None:
            call.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._streams.discard(self)

    def abandon(self) -> None:
        """Its program dropped the consumer without closing it: close it, without waiting.

        Called by the garbage collector, in whichever thread: takes no lock.
        """
        if self._thread is None or self._closing or self.changed.is_forked:
            return
        # RuntimeError: the interpreter ends, and the connections with it.
        with suppress(RuntimeError):
            threading.Thread(target=self.close, name="quorate-consumer-end", daemon=True).start()

    # -- what its deliveries use

    def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None:
        """See `Delivery`."""
        if self.ledger.subscription.auto_ack:
            return
        with self.changed:
            self._waiters += 1
            try:
                while self._error is None and self.ledger.pending >= MOST_PENDING:
                    self.changed.notify_all()
                    self.changed.wait()
            finally:
                self._waiters -= 1
            if self._error is not None:
                raise self._error
            self.ledger.settle(delivery, outcome, delay_millis)
            self.changed.notify_all()

    def reply(self, to: Received, body: Body, properties: MessageArgs) -> None:
        """See `Delivery.reply`."""
        host = self.ledger.subscription.virtual_host
        request = p.reply(to, body, properties, host)
        raise_first(list(self._calls.call(PUBLISH, request).results))

    def _wait(self, end: float | None) -> bool:
        """Until something changes; False: `end` (monotonic) has passed. The condition is held."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return False
        self.changed.wait(left)
        return True

    def until_ready(self, end: float | None = None) -> bool:
        """Start, and wait until it is subscribed; False: `end` (monotonic) has passed.

        Raises QuorateError: it is refused.
        """
        with self.changed:
            self._start()
            while not self._ready and self._error is None:
                if not self._wait(end):
                    return False
            error = self._error
        if error is not None:
            self.close()
            raise error
        return True

    def until_changed(self, end: float) -> bool:
        """See `transacting`."""
        if self._error is not None:
            raise self._error
        return self._wait(end)

    # -- the stream

    def _start(self) -> None:
        if self._thread is None and self._error is None:
            self._streams.add(self)
            self._thread = threading.Thread(target=self._run, name="quorate-consumer", daemon=True)
            self._thread.start()
            self.changed.started()

    def _give_back(self) -> None:
        for one in self._buffer.clear():
            self.ledger.settle(one, pb.OUTCOME_NACK)
        self.changed.notify_all()

    def _run(self) -> None:
        try:
            self._follow()
        except QuorateError as error:
            self._fail(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self._fail(
                QuorateError(grpc.StatusCode.INTERNAL, "CONSUMER_BROKEN", f"it failed: {error}")
            )
            raise

    def _follow(self) -> None:
        again = reopening.Reopening(self._calls)
        while not self._closing:
            try:
                ended = stream.read(
                    self._calls, CONSUME, ConsumerStream(self), again, QUIET + SILENCE
                )
            except p.BeginAnew:
                with self.changed:
                    self._buffer.clear()
                    self.ledger.begin_anew()
                continue
            with self.changed:
                self.ledger.broken()
                if self._closing or self.closing:
                    return
            time.sleep(again.pause(ended, time.monotonic()))

    def _fail(self, error: QuorateError) -> None:
        with self.changed:
            if self._error is None:
                self._error = error
            self.changed.notify_all()

    # -- what its streams use

    def on_opened(self) -> None:
        """The session is open: subscribe, or go on."""
        ledger = self.ledger
        if ledger.is_subscribed:
            return
        if self._private is not None:
            try:
                queue = self._private.declare_with(self._calls, ledger.session)
            except QuorateError as error:
                raise p.judged(error) from None
            with self.changed:
                ledger.become(queue)
        with self.changed:
            ledger.subscribe()
            self.changed.notify_all()

    def on_answer(self, answer: pb.ConsumeResponse) -> None:
        """One answer of a stream."""
        kind = answer.WhichOneof("response")
        if kind == "opened":
            self.on_opened()
        with self.changed:
            self.ledger.on_answer(time.monotonic())
            match kind:
                case "opened":
                    self.ledger.is_open = True
                    self._ready = self._ready or self.ledger.is_subscribed
                case "subscribed":
                    self.ledger.on_subscribed(answer.subscribed)
                    self._ready = True
                case "deliveries":
                    self._take(answer.deliveries)
                case "settled":
                    self.ledger.on_settled(answer.settled)
                case "refused":
                    self.ledger.on_refused(answer.refused)
                case "ended":
                    self._ended(self.ledger.ended(answer.ended))
            self.changed.notify_all()

    def _take(self, answer: pb.Deliveries) -> None:
        self._buffer.put(self.ledger.on_deliveries(answer))
        if self.ledger.is_draining:
            self._give_back()
        while self._buffer.is_full and not (self._waiters or self._stopping):
            self.changed.notify_all()
            self.changed.wait()

    def _ended(self, why: ConsumerEnded) -> None:
        if self._private is not None and why.reason in p.GONE:
            raise p.BeginAnew
        raise why

    @property
    def is_paused(self) -> bool:
        """Whether the program does not take what was read; the condition is held."""
        return self._buffer.is_full
