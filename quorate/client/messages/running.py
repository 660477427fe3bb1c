"""`@quorate.consumer`: a function that handles the messages of a queue.

    @quorate.consumer("mail", prefetch=50, concurrency=4)
    def send(delivery):
        smtp.send(**delivery.json())

    send.run()          # until SIGTERM, Ctrl-C, or send.stop()

| the function | then the message |
|---|---|
| returns | is acknowledged; a value is sent as the reply, if somebody waits for one |
| raises `quorate.Snooze(seconds)` | comes again after so long; this is no failure |
| raises `quorate.Cancel` | is rejected: to the dead letter exchange, if there is one |
| raises another exception | comes again at once, and the failure counts: see `requeue` |
| has settled it itself | is left alone |

A message that failed more often than its queue's `delivery_limit` (20 by default) is dead lettered.
With `on_error="reject"` that happens at the first failure.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, Literal, TypeVar

from quorate.client.errors import MessageUnroutable
from quorate.client.messages.amethods import AsyncMessageMethods
from quorate.client.messages.consuming.aconsumer import AsyncConsumer
from quorate.client.messages.consuming.consumer import Consumer
from quorate.client.messages.consuming.delivery import AsyncDelivery, Delivery
from quorate.client.messages.consuming.subscription import DEFAULT_PREFETCH, checked_prefetch
from quorate.client.messages.methods import MessageMethods
from quorate.client.messages.values.incoming import Received
from quorate.client.shared import process_client
from quorate.runtime.attempts.outcomes import Cancel, Snooze
from quorate.runtime.errors import invalid

F = TypeVar("F", bound=Callable[..., Any])
OnError = Literal["requeue", "reject"]
MOST_CONCURRENT: Final = 1_000
_LOG: Final = logging.getLogger("quorate.messages")


class QueueConsumer(Generic[F]):
    """A function with its queue. Calling it calls the function, here and now."""

    __wrapped__: F

    def __init__(
        self,
        function: F,
        queue: str,
        *,
        prefetch: int,
        concurrency: int,
        on_error: OnError,
        virtual_host: str,
    ) -> None:
        if on_error not in ("requeue", "reject"):
            raise invalid("on_error", f'is {on_error!r}; use "requeue" or "reject"')
        if not isinstance(concurrency, int) or not 1 <= concurrency <= MOST_CONCURRENT:
            raise invalid("concurrency", f"is {concurrency!r}; use 1 to {MOST_CONCURRENT:,}")
        functools.update_wrapper(self, function)
        self.queue = queue
        self._prefetch = checked_prefetch(prefetch)
        self._concurrency = concurrency
        self._on_error = on_error
        self._virtual_host = virtual_host
        # What stops the runs under way.
        self._stops: dict[int, Callable[[], object]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def run(self, client: MessageMethods | None = None) -> None:
        """Handle messages until `stop`, SIGTERM or Ctrl-C: then those at hand are finished, and
        those that no thread has taken go back to the queue.

        Signals are looked at where this is called in the main thread.

        Args:
            client: the process's own by default.

        Raises as iterating over a `Consumer` does, and what is no `Exception` (`SystemExit` by
        `sys.exit`) of the function, in whichever thread.
        """
        client = client or process_client()
        made = client.consume(self.queue, prefetch=self._prefetch, virtual_host=self._virtual_host)
        with made as consumer, self._stopped_by(consumer.stop), _signals(consumer.stop):
            errors: list[BaseException] = []
            threads = [
                threading.Thread(target=self._work, args=(consumer, errors), name="quorate-handler")
                for _ in range(self._concurrency - 1)
            ]
            for thread in threads:
                thread.start()
            try:
                self._handle_all(consumer)
            finally:
                consumer.stop()
                for thread in threads:
                    thread.join()
        if errors:
            raise errors[0]

    async def run_async(self, client: AsyncMessageMethods) -> None:
        """As `run`, in an event loop: for a function that is a coroutine. Cancelling it ends it
        too; messages at hand are delivered again then."""
        made = client.consume(self.queue, prefetch=self._prefetch, virtual_host=self._virtual_host)
        loop = asyncio.get_running_loop()
        async with made as consumer:

            def stop() -> None:
                loop.call_soon_threadsafe(consumer.stop)

            with self._stopped_by(stop), _signals(stop):
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self._concurrency):
                        tasks.create_task(self._handle_all_async(consumer))

    def stop(self) -> None:
        """End all runs of this function; returns at once. From any thread."""
        for stop in list(self._stops.values()):
            stop()

    def _work(self, consumer: Consumer, errors: list[BaseException]) -> None:
        try:
            self._handle_all(consumer)
        except BaseException as error:  # noqa: BLE001 (raised by `run`; SystemExit would be lost)
            errors.append(error)
            consumer.stop()

    def _handle_all(self, consumer: Consumer) -> None:
        for delivery in consumer:
            self._handle(delivery)

    def _handle(self, delivery: Delivery) -> None:
        try:
            answer = self.__wrapped__(delivery)
            if answer is not None and delivery.reply_to and not delivery.settled:
                try:
                    delivery.reply(answer)
                except MessageUnroutable:
                    self._nobody_waits(delivery)
        except Snooze as snooze:
            if not delivery.settled:
                delivery.nack(snooze.seconds)
        except Exception as error:  # noqa: BLE001 (the rule of the module; it is logged)
            if not delivery.settled:
                (delivery.reject if self._is_final(error, delivery) else delivery.requeue)()
        else:
            if not delivery.settled:
                delivery.ack()

    async def _handle_all_async(self, consumer: AsyncConsumer) -> None:
        async for delivery in consumer:
            await self._handle_async(delivery)

    async def _handle_async(self, delivery: AsyncDelivery) -> None:
        try:
            answer = await self.__wrapped__(delivery)
            if answer is not None and delivery.reply_to and not delivery.settled:
                try:
                    await delivery.reply(answer)
                except MessageUnroutable:
                    self._nobody_waits(delivery)
        except Snooze as snooze:
            if not delivery.settled:
                await delivery.nack(snooze.seconds)
        except Exception as error:  # noqa: BLE001 (the rule of the module; it is logged)
            if not delivery.settled:
                await (delivery.reject if self._is_final(error, delivery) else delivery.requeue)()
        else:
            if not delivery.settled:
                await delivery.ack()

    def _is_final(self, error: Exception, delivery: Delivery | AsyncDelivery) -> bool:
        """Whether the message is rejected; says so in the log."""
        if isinstance(error, Cancel):
            _LOG.info("message %d of %r rejected: %s", delivery.id, self.queue, error)
            return True
        _LOG.error("message %d of %r failed", delivery.id, self.queue, exc_info=error)
        return self._on_error == "reject"

    def _nobody_waits(self, delivery: Received) -> None:
        _LOG.info("nobody waits for the reply to message %d of %r", delivery.id, self.queue)

    @contextmanager
    def _stopped_by(self, stop: Callable[[], object]) -> Iterator[None]:
        self._stops[id(stop)] = stop
        try:
            yield
        finally:
            del self._stops[id(stop)]


def consumer(
    queue: str,
    *,
    prefetch: int = DEFAULT_PREFETCH,
    concurrency: int = 1,
    on_error: OnError = "requeue",
    virtual_host: str = "",
) -> Callable[[F], QueueConsumer[F]]:
    """Decorate a function of one delivery; see the module for the rule that settles messages.

    Args:
        queue: the message queue, which exists when `run` is called.
        prefetch: deliveries that are not settled at a time, 1 to 65,535; 100 by default.
        concurrency: messages that are handled at a time, 1 to 1,000: by threads, or by tasks of the
            event loop; 1 by default. More than one gives up the order.
        on_error: what becomes of a message whose function raised: "requeue" (the default) or
            "reject".

    Raises QuorateError: INVALID_ARGUMENT naming the argument.
    """

    def decorate(function: F) -> QueueConsumer[F]:
        return QueueConsumer(
            function,
            queue,
            prefetch=prefetch,
            concurrency=concurrency,
            on_error=on_error,
            virtual_host=virtual_host,
        )

    return decorate


@contextmanager
def _signals(stop: Callable[[], object]) -> Iterator[None]:
    """Stop at the first SIGTERM or Ctrl-C; a second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)

    def on_signal(number: int, frame: Any) -> None:
        restore()
        stop()

    for one in before:
        signal.signal(one, on_signal)
    try:
        yield
    finally:
        restore()
