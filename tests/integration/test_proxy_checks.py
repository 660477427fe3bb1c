"""Active checks of outside instances: who is asked, who gets no request, what a check survives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from gateway.proxy.balancing.checks import AT_ONCE, Checks, ask
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.proxy import FakeInstance, ProxyBench, Received, ok, proxy_bench, until


@pytest.fixture
async def bench() -> AsyncIterator[ProxyBench]:
    async with proxy_bench() as made:
        checking = asyncio.create_task(Checks(made.proxy.services).run())
        yield made
        checking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checking


class Ward:
    """An instance whose `/health` answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.seconds = 0.0

    async def __call__(
        self,
        instance: FakeInstance,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if request.line.startswith(b"GET /health "):
            await asyncio.sleep(self.seconds)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
        else:
            writer.write(ok(instance.name.encode()))


def publish(bench: ProxyBench, *instances: FakeInstance, node: str = "", path: str = "") -> None:
    check = task_pb2.HealthCheck(unhealthy_after=2)
    if path:
        check.http_path = path
    check.interval.FromMilliseconds(100)
    check.timeout.FromMilliseconds(200)
    bench.proxy.replace(
        [
            pb.Service(
                name="web",
                spec=pb.ServiceSpec(health=check),
                instances=[
                    pb.ServiceInstance(
                        id=one.name,
                        address=f"127.0.0.1:{one.port}",
                        state=pb.INSTANCE_STATE_HEALTHY,
                        node=node,
                    )
                    for one in instances
                ],
            )
        ]
    )


def passing(bench: ProxyBench, name: str) -> bool | None:
    found = next(one for one in bench.figures("web")["instances"] if one["id"] == name)
    result: bool | None = found["passing"]
    return result


def is_being_checked(bench: ProxyBench) -> bool:
    service = bench.proxy.services.get(b"web")
    assert service is not None
    return any(
        one.health_tracker and one.health_tracker.checking for one in service.instances.values()
    )


async def answers(bench: ProxyBench, count: int) -> Counter[bytes]:
    return Counter([(await bench.get("/services/web/")).body for _ in range(count)])


async def test_one_that_fails_its_checks_gets_no_request_until_it_passes(bench: ProxyBench):
    ward = Ward()
    a, b = await bench.instance("a", ward), await bench.instance("b", Ward())
    publish(bench, a, b, path="/health")
    assert passing(bench, "a") is True  # by its own word
    ward.status = 503
    await until(lambda: passing(bench, "a") is False)
    assert await answers(bench, 20) == {b"b": 20}
    assert bench.figures("web")["instances"][0]["failures"] == 0
    ward.status = 302
    await until(lambda: passing(bench, "a") is True)
    assert (await answers(bench, 40)).keys() == {b"a", b"b"}


async def test_one_that_nothing_is_asked_of_is_found_dead_by_a_connect(bench: ProxyBench):
    a, b = await bench.instance("a"), await bench.instance("b")
    publish(bench, a, b)
    await a.stop()
    await until(lambda: passing(bench, "a") is False)
    assert await answers(bench, 20) == {b"b": 20}
    assert bench.figures("web")["retries"] == 0


async def test_none_that_passes_is_no_instance(bench: ProxyBench):
    a = await bench.instance("a")
    publish(bench, a)
    await a.stop()
    await until(lambda: passing(bench, "a") is False)
    answer = await bench.get("/services/web/")
    assert (answer.status, answer.reason) == (503, "NO_INSTANCE")


async def test_a_view_that_comes_again_keeps_the_verdict(bench: ProxyBench):
    a = await bench.instance("a")
    publish(bench, a)
    await a.stop()
    await until(lambda: passing(bench, "a") is False)
    publish(bench, a)
    assert passing(bench, "a") is False


async def test_replicas_on_nodes_are_left_to_their_agents(bench: ProxyBench):
    a, b = await bench.instance("a"), await bench.instance("b")
    publish(bench, a, path="/health", node="n1")
    assert passing(bench, "a") is None
    # For as long as it takes to check another one three times.
    bench.proxy.apply(
        [
            pb.Service(
                name="other",
                spec=asks_often(),
                instances=[
                    pb.ServiceInstance(
                        id="b",
                        address=f"127.0.0.1:{b.port}",
                        state=pb.INSTANCE_STATE_HEALTHY,
                    )
                ],
            )
        ],
        [],
    )
    await until(lambda: len(b.received) >= 3)
    assert a.connections == 0


def asks_often() -> pb.ServiceSpec:
    check = task_pb2.HealthCheck(http_path="/health")
    check.interval.FromMilliseconds(100)
    return pb.ServiceSpec(health=check)


async def test_checks_under_way_are_bounded_and_all_have_their_turn(bench: ProxyBench):
    most = 0
    asked: set[bytes] = set()
    waiting = 0

    async def hang(
        instance: FakeInstance,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        nonlocal most, waiting
        asked.add(instance.name.encode())
        waiting += 1
        most = max(most, waiting)
        await reader.read()  # until the check gives up
        waiting -= 1
        writer.close()

    instances = [await bench.instance(f"i{at}", hang) for at in range(AT_ONCE * 2)]
    publish(bench, *instances, path="/health")
    await until(lambda: len(asked) == len(instances))
    assert AT_ONCE // 2 < most <= AT_ONCE
    await until(lambda: not any(passing(bench, one.name) for one in instances))


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.0 399 X\r\n\r\n", ""),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "GET /h answered 400"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "GET /h answered 100"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 abc\r\n", "the answer is not HTTP"),
        (b"x" * 5000, "the answer is not HTTP"),
        (b"HTTP/1.1 20", "the connection was closed before an answer"),
        (b"", "the connection was closed before an answer"),
    ],
)
async def test_what_a_check_makes_of_an_answer(sent: bytes, fault: str):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ask("127.0.0.1", port, "/h", 5.0) == fault


async def test_a_check_of_one_that_says_nothing_ends_in_time():
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        done.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ask("127.0.0.1", port, "/h", 0.1) == "no answer within 0.1 s"
        async with asyncio.timeout(60):
            await done.wait()
    assert await ask("127.0.0.1", port, "", 1.0) != ""


async def test_a_gateway_without_time_to_listen_gives_up_no_instance(bench: ProxyBench):
    ward = Ward()
    ward.seconds = 0.05
    a = await bench.instance("a", ward)
    publish(bench, a, path="/health")
    verdicts = []
    for _ in range(6):
        # A gateway that gets no CPU, once a check is under way: its limit is over when it goes on.
        await until(lambda: is_being_checked(bench))
        await asyncio.sleep(0.005)
        time.sleep(0.5)  # noqa: ASYNC251 - on purpose
        await asyncio.sleep(0.005)
        verdicts.append(passing(bench, "a"))
    assert verdicts == [True] * 6
