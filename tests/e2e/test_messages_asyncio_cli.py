"""Messages from asyncio programs, from the shell, and in the examples."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

import quorate
from quorate.cli.app import run
from quorate.client.transport.discovery import LocalCluster
from quorate.errors import MessageUnroutable, QuorateError
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.local import running

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "messages"
_numbers = count(1)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("messages") / "data"
    plan = LocalPlan(data_dir=data, schedulers=1, nodes=1, slots=1, secure=tls.ON)
    with running(plan) as started:
        yield started


@pytest.fixture
async def aclient(local: LocalCluster) -> AsyncIterator[quorate.AsyncClient]:
    async with quorate.AsyncClient(data_dir=local.data_dir) as opened:
        yield opened


@pytest.fixture
async def queue(aclient: quorate.AsyncClient) -> AsyncIterator[str]:
    name = f"queue-{next(_numbers)}"
    await aclient.declare_queue(name)
    yield name
    await aclient.delete_message_queue(name)


@pytest.fixture
async def exchange(aclient: quorate.AsyncClient) -> AsyncIterator[str]:
    name = f"exchange-{next(_numbers)}"
    await aclient.declare_exchange(name, "topic")
    yield name
    await aclient.delete_exchange(name)


# -- asyncio


async def test_the_asyncio_client_publishes_consumes_and_settles(aclient, queue):
    await aclient.publish_to_queue(queue, "first", priority=1)
    async with aclient.producer(queue=queue, max_messages=10) as producer:
        confirms = [await producer.send(str(number)) for number in range(40)]
        await confirms[-1]
        lost = await producer.send("x", routing_key="no-such-queue")
        with pytest.raises(MessageUnroutable):
            await lost
        with pytest.raises(MessageUnroutable):
            await producer.flush()
    found = []
    async with aclient.consume(queue, prefetch=5, timeout=60) as consumer:
        consumer.prefetch = 10
        async for delivery in consumer:
            found.append(delivery.text)
            await delivery.ack()
            if len(found) == 41:
                break
        await consumer.flush(20)
        await aclient.publish_to_queue(queue, "moves")
        last = await consumer.get(20)
        assert last is not None
        await aclient.transact([quorate.Message("moved", queue=queue)], ack=[last])
        again = await consumer.get(20)
        assert again is not None
        assert again.text == "moved"
        await again.ack()
    assert found == ["first", *map(str, range(40))]
    assert (await aclient.message_queue(queue)).ready == 0
    with pytest.raises(QuorateError) as raised:
        async with aclient.consume("no-such-queue"):
            pass
    assert raised.value.reason == "MESSAGE_QUEUE_NOT_FOUND"


async def test_the_asyncio_client_requests_replies_and_subscribes(aclient, queue, exchange):
    @quorate.consumer(queue)
    async def double(delivery: quorate.AsyncDelivery) -> int:
        number: int = delivery.json()
        return 2 * number

    running_double = asyncio.create_task(double.run_async(aclient))
    reply = await aclient.request("", 21, routing_key=queue, timeout=20)
    assert reply.json() == 42
    double.stop()
    await asyncio.wait_for(running_double, 60)
    async with aclient.subscribe(exchange, "a") as events:
        await aclient.publish(exchange, "x", routing_key="a")
        delivery = await events.get(20)
        assert delivery is not None
        assert delivery.text == "x"
    with pytest.raises(TimeoutError):
        await aclient.request("", 1, routing_key=queue, timeout=0.1)


async def test_the_asyncio_client_declares_and_moves(aclient):
    queue, other = f"a-{next(_numbers)}", f"b-{next(_numbers)}"
    await aclient.declare_queue(queue)
    await aclient.declare_stream(other, max_age=60)
    await aclient.declare_exchange("a-exchange", "fanout")
    await aclient.bind(queue, "a-exchange")
    assert [one.message_queue async for one in aclient.bindings(exchange="a-exchange")] == [queue]
    assert [one async for one in aclient.bindings(to_exchange="a-exchange")] == []
    await aclient.publish("a-exchange", "x")
    assert [one.text for one in await aclient.peek(queue)] == ["x"]
    assert await aclient.move(queue, other) == 1
    await aclient.unbind(queue, "a-exchange")
    assert await aclient.receive(queue) == []
    assert await aclient.purge(queue) == 0
    assert {queue, other} <= {one.name async for one in aclient.message_queues()}
    assert "a-exchange" in [one.name async for one in aclient.exchanges()]
    await aclient.delete_exchange("a-exchange")
    await aclient.delete_message_queue(queue)
    await aclient.delete_message_queue(other)


# -- the command line


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Shell = Callable[..., Done]


@pytest.fixture
def shell(
    local: LocalCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.setenv("QUORATE_DATA_DIR", local.data_dir)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*argv: str, typed: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        code = run(list(argv))
        return Done(code, *capfd.readouterr())

    return call


def out(done: Done) -> str:
    assert done.code == 0, done.err
    return done.out


def test_the_commands_declare_publish_look_and_consume(shell: Shell):
    assert "quorate mq create NAME" in shell("mq", "list").err
    assert "quorate stream create NAME" in shell("stream", "list").err
    assert out(shell("exchange", "create", "shop", "--type", "topic")) == "shop created\n"
    assert out(shell("mq", "create", "invoices", "--max-length", "100")) == "invoices created\n"
    assert out(shell("mq", "create", "other", "--delivery-limit", "3")) == "other created\n"
    assert out(shell("binding", "create", "shop", "invoices", "--key", "orders.#"))
    assert "orders.#" in out(shell("binding", "list", "--exchange", "shop"))
    assert "shop" in out(shell("exchange", "list"))
    done = shell("publish", "-e", "shop", "-k", "orders.new", "-H", "n=1", '{"id": 7}')
    assert out(done) == "Message published\n"
    done = shell("publish", "-q", "invoices", "--lines", typed="a\nb\n")
    assert out(done) == "2 messages published\n"
    [listed] = [one for one in json.loads(out(shell("mq", "list", "--json"))) if "ready" in one]
    assert (listed["name"], listed["ready"]) == ("invoices", "3")
    assert "invoices" in out(shell("mq", "list"))
    assert '{"id": 7}' in out(shell("peek", "invoices"))
    assert len(json.loads(out(shell("peek", "invoices", "--json", "--count", "2")))) == 2
    assert out(shell("consume", "invoices", "--count", "2")) == '{"id": 7}\na\n'
    assert out(shell("move", "invoices", "other")) == "1 message moved\n"
    counted = shell("purge", "other")
    assert (counted.code, counted.out) == (1, "1 ready message\n")
    assert out(shell("purge", "other", "--yes")) == "1 message deleted\n"
    assert "quorate publish --queue other BODY" in shell("peek", "other").err
    assert out(shell("binding", "delete", "shop", "invoices", "--key", "orders.#"))
    assert "quorate binding create" in shell("binding", "list", "-e", "shop").err
    assert out(shell("mq", "delete", "other")) == "other deleted with 0 ready messages\n"
    assert out(shell("mq", "delete", "invoices"))
    assert out(shell("exchange", "delete", "shop")) == "shop deleted\n"


def test_the_commands_of_streams(shell: Shell):
    assert out(shell("stream", "create", "events", "--max-age", "3600")) == "events created\n"
    assert out(shell("publish", "-q", "events", "x"))
    assert "1 h" in out(shell("stream", "list"))
    first = shell("consume", "events", "--offset", "first", "--count", "1", "--json")
    assert json.loads(out(first))["message"]["body"] == "eA=="
    assert out(shell("consume", "events", "--since", "1h", "--count", "1")) == "x\n"
    assert out(shell("stream", "delete", "events")) == "events deleted\n"


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (("publish", "x"), 2, "give --queue QUEUE, or --exchange EXCHANGE and --key KEY"),
        (("publish", "-q", "none", "x"), 3, "quorate mq list"),
        (("consume", "none"), 3, "quorate mq create NAME"),
        (("exchange", "delete", "none"), 3, "quorate exchange list"),
        (("mq", "create", "q", "--max-bytes", "much"), 2, "is not a size such as 512M"),
        (("stream", "create", "s", "--max-age", "-1"), 2, "max_age: is -1 s"),
        (("consume", "q", "--offset", "middle"), 2, 'use a number, "first", "last" or "next"'),
    ],
)
def test_a_mistake_is_a_sentence_that_says_what_to_do(shell: Shell, argv, code, sentence):
    done = shell(*argv)
    assert (done.code, sentence in done.err) == (code, True), done.err


# -- the examples


class Program:
    """An example that runs until it is stopped."""

    def __init__(self, local: LocalCluster, name: str, *argv: str) -> None:
        environment = {**os.environ, "QUORATE_DATA_DIR": local.data_dir}
        self._process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *argv],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""
        self._process.communicate(timeout=60)
        return self._process.returncode

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        return self._process.returncode


def test_the_example_of_a_work_queue_does_each_job_and_keeps_those_that_fail(local, shell):
    sender = Program(local, "work_queue.py", "send", "20")
    assert sender.line() == "20 jobs sent"
    assert sender.wait() == 0
    worker = Program(local, "work_queue.py", "work")
    done = {worker.line() for _ in range(18)}
    assert done == {f"job {number} done" for number in range(20) if number % 10 != 9}
    failed: list[str] = []
    while len(failed) < 2:
        failed += out(shell("consume", "jobs.failed", "--count", "1")).splitlines()
    assert ['"number":9' in failed[0], '"number":19' in failed[1]] == [True, True]
    assert worker.stop() == 0
    assert out(shell("mq", "delete", "jobs"))
    assert out(shell("mq", "delete", "jobs.failed"))


def test_the_example_of_a_log_router_passes_on_what_matches(local, shell):
    reader = Program(local, "log_router.py", "read", "web.*", "#.error")
    assert reader.line() == "reading"
    for key in ("web.info", "db.info", "db.error"):
        assert Program(local, "log_router.py", "write", key, f"of {key}").wait() == 0
    assert [reader.line() for _ in range(2)] == ["web.info: of web.info", "db.error: of db.error"]
    assert reader.stop(signal.SIGINT) == 130
    assert out(shell("exchange", "delete", "logs"))


def test_the_example_of_request_and_reply_answers(local, shell):
    server = Program(local, "request_reply.py", "serve")
    client = Program(local, "request_reply.py", "ask", "10", "20")
    assert [client.line() for _ in range(2)] == ["fibonacci(10) = 55", "fibonacci(20) = 6765"]
    assert client.wait() == 0
    assert server.stop() == 0
    assert out(shell("mq", "delete", "fibonacci"))
