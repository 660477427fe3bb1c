"""Producers and their threads and tasks, without a cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from quorate.client.messages.consuming.consumer import Consumer
from quorate.client.messages.consuming.subscription import subscription
from quorate.client.messages.publishing.aproducer import AsyncProducer
from quorate.client.messages.publishing.confirm import Confirm
from quorate.client.messages.publishing.producer import Producer
from quorate.client.messages.publishing.window import Window
from quorate.client.messages.rpcs import PUBLISH_STREAM
from quorate.client.messages.streams import astream, reopening
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from tests.support.message_streams import Consuming, FakeAsyncCalls, FakeCalls

WAIT = 10.0


def producer_of(calls: Any, messages: int = 10) -> Producer:
    return Producer(calls, OpenStreams(), Window("", messages, 1 << 20), "", "q", True)


def confirmed(number: int) -> pb.PublishStreamResponse:
    return pb.PublishStreamResponse(confirmed=number)


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def producer(calls: FakeCalls) -> Iterator[Producer]:
    made = producer_of(calls, messages=2)
    yield made
    made.close()


def test_a_callback_that_raises_is_logged_and_other_confirms_go_on(
    calls: FakeCalls, producer: Producer, caplog: pytest.LogCaptureFixture
):
    def fail(_confirm: Confirm) -> None:
        raise ZeroDivisionError("of the program")

    first, second = producer.send("a"), producer.send("b")
    first.add_done_callback(fail)
    call = calls.opened.get(timeout=WAIT)
    call.answer(confirmed(1))
    call.answer(confirmed(2))
    second.result(WAIT)
    first.result(WAIT)
    assert "a callback of a confirm failed" in caplog.text
    assert "of the program" in caplog.text


def test_send_in_a_callback_does_not_wait_for_room(calls: FakeCalls, producer: Producer):
    more: list[Confirm] = []
    taken: list[Any] = []
    last = threading.Event()

    def take(_call: Any, request: Any) -> None:
        taken.extend(request.publications)
        if len(taken) == 4:
            last.set()

    calls.serve = take

    def send(_confirm: Confirm) -> None:
        # Beside "b", the second one exceeds the window.
        more.extend((producer.send("c"), producer.send("d")))

    first, second = producer.send("a"), producer.send("b")
    first.add_done_callback(send)
    call = calls.opened.get(timeout=WAIT)
    call.answer(confirmed(1))
    call.answer(confirmed(2))
    second.result(WAIT)
    # A cluster confirms what has come.
    assert last.wait(WAIT)
    assert len(more) == 2
    call.answer(confirmed(4))
    for one in more:
        one.result(WAIT)


def reason_in_a_child(use: Callable[[], object]) -> str:
    """Why `use` raises QuorateError in a child process; empty: it does not."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forking a process with threads: that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            # It may wait for ever.
            signal.alarm(20)
            use()
        except QuorateError as error:
            os.write(write, error.reason.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        return pipe.read().decode()


def test_closing_that_is_interrupted_leaves_nothing_with_the_client(
    calls: FakeCalls, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(_thread: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    streams = OpenStreams()
    made = Producer(calls, streams, Window("", 10, 1 << 20), "", "q", True)  # type: ignore[arg-type]
    made.send("a")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.close()
    assert streams.take() == []
    made.close()


def test_a_producer_that_is_used_in_a_child_process_raises(calls: FakeCalls, producer: Producer):
    confirm = producer.send("a")
    assert reason_in_a_child(lambda: producer.send("b")) == "FORKED"
    assert reason_in_a_child(lambda: producer.flush()) == "FORKED"
    assert reason_in_a_child(lambda: confirm.result()) == "FORKED"
    assert reason_in_a_child(producer.close) == ""
    calls.opened.get(timeout=WAIT).answer(confirmed(1))
    producer.flush(WAIT)


def test_a_consumer_that_is_used_in_a_child_process_raises():
    calls: Any = FakeCalls(Consuming())
    with Consumer(calls, OpenStreams(), subscription("q")) as consumer:
        assert reason_in_a_child(lambda: consumer.get()) == "FORKED"
        assert reason_in_a_child(lambda: consumer.settle(1, pb.OUTCOME_ACK, 0)) == "FORKED"


# -- asyncio


class _Dead:
    """The owner of a stream whose scheduler says nothing."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def requests(self) -> AsyncIterator[pb.PublishStreamRequest]:
        await self._over.wait()
        return
        yield

    def over(self) -> None:
        self._over.set()

    async def on_answer(self, answer: pb.PublishStreamResponse) -> None:
        pass

    def is_dead(self) -> bool:
        return True


async def read(calls: Any) -> reopening.Ended:
    return await astream.read(calls, PUBLISH_STREAM, _Dead(), reopening.Reopening(calls), 1.0)


async def test_a_stream_that_its_watchdog_ended_is_silent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(astream, "LOOK", 0.0)
    ended = await asyncio.wait_for(read(FakeAsyncCalls()), WAIT)
    assert ended.error.reason == "STREAM_SILENT"


async def test_a_task_that_is_cancelled_just_after_the_watchdog_ended_its_stream_ends(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(astream, "LOOK", 0.0)
    calls = FakeAsyncCalls()
    calls.is_deaf = True
    task = asyncio.create_task(read(calls))
    call = await calls.opened.get()
    await call.cancelled.wait()
    task.cancel()
    await asyncio.wait((task,), timeout=WAIT)
    assert task.cancelled()
    await call.ended()


async def test_closing_ends_although_its_stream_ended_at_the_same_time():
    calls: Any = FakeAsyncCalls()
    calls.swallows = True
    window: Window[asyncio.Future[None]] = Window("", 10, 1 << 20)
    producer = AsyncProducer(calls, OpenStreams(), window, "", "q", True)
    confirm = await producer.send("a")
    call = await calls.opened.get()
    await asyncio.sleep(0)
    await asyncio.wait_for(producer.close(), WAIT)
    with pytest.raises(QuorateError, match="this producer is closed"):
        await confirm
    await call.ended()


async def test_closing_that_is_cancelled_leaves_nothing_with_the_client(
    monkeypatch: pytest.MonkeyPatch,
):
    calls: Any = FakeAsyncCalls()
    streams = OpenStreams()
    window: Window[asyncio.Future[None]] = Window("", 10, 1 << 20)
    producer = AsyncProducer(calls, streams, window, "", "q", True)
    await producer.send("a")
    waiting = asyncio.Event()

    async def wait(_tasks: object) -> None:
        waiting.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "wait", wait)
        closing = asyncio.create_task(producer.close())
        await waiting.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    assert streams.take() == []
    await producer.close()
