"""Publishing without waiting for each confirm, from a synchronous program.

    send --> window --requests()--> PublishStream --answers--> confirms
                       (gRPC's thread)               (the producer's thread)

What is sent while a request is on its way goes into the next one together: batches come from load,
not from a timer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, Unpack

import grpc

from quorate.client.messages.publishing.confirm import Confirm
from quorate.client.messages.publishing.window import SILENCE, Settled, Window
from quorate.client.messages.rpcs import PUBLISH_STREAM
from quorate.client.messages.streams import reopening, stream
from quorate.client.messages.streams.condition import ProcessCondition
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.transport.calls import Calls
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

_LOG: Final = logging.getLogger("quorate.messages")


class Producer:
    """Sends messages to one exchange, many under way at a time. `client.producer` makes it.

    Thread-safe. Messages of one thread reach their queues in the order in which they were sent.
    A change of leaders is a pause: what was not confirmed is sent again under the same numbers, and
    nothing is queued twice (see `quorate.client.messages.publishing.window`).
    """

    def __init__(
        self,
        calls: Calls,
        streams: OpenStreams,
        window: Window[Confirm],
        exchange: str,
        routing_key: str,
        mandatory: bool,
    ) -> None:
        self._calls = calls
        self._streams = streams
        self._window = window
        self._exchange = exchange
        self._routing_key = routing_key
        self._mandatory = mandatory
        self._changed = ProcessCondition("producer")
        self._thread: threading.Thread | None = None
        self.call: Any = None
        self.closing = False
        self._error: QuorateError | None = None
        # The first failure since the last flush.
        self._failed: QuorateError | None = None
        streams.add(self)

    def send(
        self,
        body: Body,
        *,
        routing_key: str | None = None,
        mandatory: bool | None = None,
        **properties: Unpack[MessageArgs],
    ) -> Confirm:
        """Publish a message; returns before it is confirmed.

        Waits while `max_messages` or `max_bytes` of the producer are under way; not in a callback
        of a confirm, since the thread that calls it is the one that makes room.

        Args:
            body: bytes as they are, text as UTF-8, any other value as JSON.
            routing_key, mandatory: the producer's own by default.
            properties: see `MessageArgs`.

        Raises QuorateError: INVALID_ARGUMENT naming the argument and its limit; FORKED: it is
        used in a child process; or why the producer gave up.
        """
        made = publication(
            self._exchange,
            self._routing_key if routing_key is None else routing_key,
            body,
            properties,
            mandatory=self._mandatory if mandatory is None else mandatory,
        )
        confirm = Confirm(self._changed)
        with self._changed:
            own = self._thread is threading.current_thread()
            while self._error is None and not (own or self._window.has_room):
                self._changed.wait()
            self._check()
            self._window.add(made, confirm)
            if self._thread is None:
                self._start()
            self._changed.notify_all()
        return confirm

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent is settled, at most `timeout` seconds.

        Raises:
            MessageUnroutable, MessageRejected, QuorateError: the first failure since the last
                flush.
            TimeoutError: some are not settled yet.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._window.outstanding:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    count = self._window.outstanding
                    raise TimeoutError(f"{count} messages were not confirmed within {timeout:g} s")
                self._changed.wait(left)
            failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    @property
    def outstanding(self) -> int:
        """Messages that are not confirmed yet."""
        return self._window.outstanding

    @property
    def blocked(self) -> bool:
        """The cluster has no room at the moment (etcd is full, say): what was sent waits."""
        return self._window.blocked

    def close(self) -> None:
        """End the stream. What is not confirmed yet fails with CANCELLED; see `flush`."""
        if self._changed.is_forked:
            # Nothing runs in a child process.
            return
        # First: what interrupts the wait below would leave it with the client for ever.
        self._streams.discard(self)
        with self._changed:
            self.closing = True
            if self._error is None:
                self._error = closed("producer")
            callbacks = self.settle(self._window.give_up(self._error))
            call = self.call
        run_all(callbacks)
        if call is not None:
            call.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self.close()

    # -- the stream

    @property
    def parts(self) -> tuple[threading.Condition, Window[Confirm]]:
        """Of its streams."""
        return self._changed, self._window

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="quorate-producer", daemon=True)
        self._thread.start()
        self._changed.started()

    def _run(self) -> None:
        try:
            self._follow()
        except QuorateError as error:
            self._fail(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self._fail(
                QuorateError(grpc.StatusCode.INTERNAL, "PRODUCER_BROKEN", f"it failed: {error}")
            )
            raise

    def _follow(self) -> None:
        again = reopening.Reopening(self._calls)
        while self._awaits_work():
            ended = stream.read(self._calls, PUBLISH_STREAM, _Stream(self), again, SILENCE)
            with self._changed:
                self._window.broken()
                if self.closing:
                    return
                if not self._window.outstanding:
                    # Nobody waits: the next message has all the patience.
                    again.forget()
                    continue
            time.sleep(again.pause(ended, time.monotonic()))

    def _awaits_work(self) -> bool:
        """Wait until there is something to send; False when it is closed."""
        with self._changed:
            while not (self.closing or self._window.has_unsent):
                self._changed.wait()
            return not self.closing

    def _fail(self, error: QuorateError) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            callbacks = self.settle(self._window.give_up(error))
        run_all(callbacks)

    def settle(self, settled: Settled[Confirm]) -> list[Callable[[], Any]]:
        """The condition is held. What is to be called without it."""
        callbacks: list[Callable[[], Any]] = []
        for confirm, error in settled:
            confirm.settle(error)
            if error is not None and self._failed is None:
                self._failed = error
            callbacks += [partial(one, confirm) for one in confirm.take_callbacks()]
        self._changed.notify_all()
        return callbacks


class _Stream:
    """One stream; see `stream.Owner`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._changed, self._window = producer.parts
        self._over = False

    @property
    def closing(self) -> bool:
        return self._producer.closing

    def opened(self, call: Any) -> None:
        self._producer.call = call

    def requests(self) -> Iterator[pb.PublishStreamRequest]:
        while True:
            with self._changed:
                while not (self._over or self._window.has_unsent):
                    self._changed.wait()
                if self._over:
                    return
                request = self._window.batch(time.monotonic())
            yield request

    def over(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def on_answer(self, answer: pb.PublishStreamResponse) -> None:
        with self._changed:
            callbacks = self._producer.settle(self._window.on_answer(answer, time.monotonic()))
        run_all(callbacks)

    def is_dead(self) -> bool:
        with self._changed:
            return self._window.is_silent(time.monotonic())


def run_all(callbacks: list[Callable[[], Any]]) -> None:
    """Call them. What one raises is logged: the confirms of other messages go on."""
    for callback in callbacks:
        try:
            callback()
        except Exception:  # noqa: BLE001 (the program's own error; it is logged)
            _LOG.exception("a callback of a confirm failed")
