"""Which instance gets a request while instances come, fail, drain and go; limits; live changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
import uvloop

from quorate.v1 import service_pb2 as pb
from tests.support.proxy import FakeInstance, ProxyBench, Received, ok, proxy_bench, until

# The hook that replaces this fixture applies to every test of the session.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Overriding the .event_loop_policy. fixture:pytest.PytestDeprecationWarning"
)


@pytest.fixture(scope="module")
def event_loop_policy():
    # What a gateway runs on; its transports differ from asyncio's.
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def bench():
    async with proxy_bench(labels={"zone": "a"}) as made:
        yield made


async def load(bench: ProxyBench, count: int, *, clients: int = 8, method: str = "GET") -> Counter:
    """So many requests; how often each status and body came back."""
    seen: Counter = Counter()

    async def one(share: int) -> None:
        client = await bench.client()
        for _ in range(share):
            answer = await client.get("/services/web/", method=method)
            seen[answer.status, answer.body if answer.status == 200 else b""] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(one(count // clients))
    return seen


async def test_load_is_even_within_five_per_cent(bench: ProxyBench):
    bench.service("web", *[await bench.instance(name) for name in "abc"])
    seen = await load(bench, 3000)
    assert all(950 <= seen[200, name] <= 1050 for name in (b"a", b"b", b"c")), seen


async def test_only_healthy_instances_of_the_view_get_requests(bench: ProxyBench):
    instances = [await bench.instance(name) for name in "abcd"]
    instances[1].state = pb.INSTANCE_STATE_STARTING
    instances[2].state = pb.INSTANCE_STATE_UNHEALTHY
    instances[3].state = pb.INSTANCE_STATE_DRAINING
    bench.service("web", *instances)
    assert await load(bench, 80) == {(200, b"a"): 80}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_a_killed_instance_costs_no_idempotent_request(bench: ProxyBench, method: str):
    instances = [await bench.instance(name) for name in "abc"]
    bench.service("web", *instances)
    loading = asyncio.create_task(load(bench, 4000, method=method))
    await until(lambda: len(instances[0].received) > 200)
    await instances[0].stop()

    def dead() -> Any:
        return next(one for one in bench.figures("web")["instances"] if one["id"] == "a")

    # Seen meanwhile: on a busy machine the load outlasts the time that it is ejected for, and on
    # another one it may be over before the instance was tried often enough.
    more: Counter = Counter()
    async with asyncio.timeout(60):
        while not dead()["ejected"]:
            more += await load(bench, 40, method=method)
    seen = await loading + more
    assert {status for status, _ in seen} == {200}
    figures = bench.figures("web")
    assert figures["retries"] > 0
    assert figures["in_flight"] == 0
    assert dead()["in_flight"] == 0


async def test_a_post_is_never_sent_twice(bench: ProxyBench):
    async def die(instance: FakeInstance, request: Received, reader, writer):
        writer.close()

    instances = [await bench.instance(name, die) for name in "abc"]
    bench.service("web", *instances, eject_after=100)
    for number in range(20):
        answer = await bench.get(f"/services/web/{number}", "Content-Length: 0", method="POST")
        assert answer.reason == "UPSTREAM_RESET"
    assert sum(len(one.received) for one in instances) == 20


async def test_a_post_goes_elsewhere_when_no_connection_came_about(bench: ProxyBench):
    gone, there = await bench.instance("gone"), await bench.instance("there")
    await gone.stop()
    bench.service("web", gone, there, balancing=pb.BALANCING_ROUND_ROBIN, eject_after=100)
    client = await bench.client()
    for _ in range(10):
        client.send(b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\nbody")
        assert (await client.answer()).body == b"there"
    assert [one.body for one in there.received] == [b"body"] * 10


async def test_a_put_with_a_large_body_is_not_sent_again(bench: ProxyBench):
    async def die(instance: FakeInstance, request: Received, reader, writer):
        writer.close()

    one, two = [await bench.instance(name, die) for name in "ab"]
    bench.service("web", one, two)
    body = bytes(200_000)
    head = f"PUT /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n\r\n"
    assert (await bench.raw(head.encode() + body)).status == 502
    assert len(one.received) + len(two.received) == 1


async def test_retries_end_with_the_policy_and_with_the_budget(bench: ProxyBench):
    async def die(instance: FakeInstance, request: Received, reader, writer):
        writer.close()

    instances = [await bench.instance(name, die) for name in "abcdefgh"]
    bench.service("web", *instances, retries=5, eject_after=100)
    assert (await bench.get("/services/web/")).status == 502
    assert sum(len(one.received) for one in instances) == 6
    bench.service("web", *instances, retries=-1, eject_after=100)
    await bench.get("/services/web/")
    assert sum(len(one.received) for one in instances) == 7
    bench.service("web", *instances, retries=5, retry_budget=0.0, eject_after=100)
    await bench.get("/services/web/")
    assert sum(len(one.received) for one in instances) == 8


async def test_a_kept_connection_closed_meanwhile_is_no_failure(bench: ProxyBench):
    async def close_second(instance: FakeInstance, request: Received, reader, writer):
        if len(instance.received) % 2 == 0:
            writer.close()
        else:
            writer.write(ok(b"ok"))

    one = await bench.instance("one", close_second)
    bench.service("web", one)
    for _ in range(6):
        assert (await bench.get("/services/web/")).body == b"ok"
    assert bench.figures("web")["instances"][0]["failures"] == 0


async def test_an_instance_that_answers_503_is_ejected_and_comes_back(bench: ProxyBench):
    async def sick(instance: FakeInstance, request: Received, reader, writer):
        well = len(instance.received) > 5
        writer.write(ok(b"bad") if well else b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")

    bad, good = await bench.instance("bad", sick), await bench.instance("good")
    bench.service("web", bad, good, eject_for={"nanos": 300_000_000})
    await load(bench, 200, clients=2)
    assert len(bad.received) < 12
    assert bench.figures("web")["instances"][0]["ejections"] == 1
    client = await bench.client()
    while (await client.get("/services/web/")).body != b"bad":
        pass


async def test_at_most_half_are_ejected(bench: ProxyBench):
    async def sick(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")

    bench.service("web", *[await bench.instance(name, sick) for name in "abcde"])
    seen = await load(bench, 400)
    assert seen == {(503, b""): 400}
    assert sum(one["ejected"] for one in bench.figures("web")["instances"]) == 2


async def test_a_draining_instance_gets_nothing_new_and_finishes_what_it_has(bench: ProxyBench):
    go = asyncio.Event()

    async def slow(instance: FakeInstance, request: Received, reader, writer):
        await go.wait()
        writer.write(ok(b"done"))

    leaving, staying = await bench.instance("leaving", slow), await bench.instance("staying")
    bench.service("web", leaving)
    waiting = [asyncio.create_task(bench.get("/services/web/")) for _ in range(5)]
    await until(lambda: len(leaving.received) == 5)
    leaving.state = pb.INSTANCE_STATE_DRAINING
    bench.service("web", leaving, staying)
    assert await load(bench, 80) == {(200, b"staying"): 80}
    # Also when it is off the view altogether.
    bench.service("web", staying)
    go.set()
    assert [(await one).body for one in waiting] == [b"done"] * 5
    assert len(leaving.received) == 5
    await until(lambda: not bench.proxy.services._removed)


async def test_the_near_ones_are_preferred_while_there_are_any(bench: ProxyBench):
    near, far = await bench.instance("near"), await bench.instance("far")
    near.labels, far.labels = {"zone": "a"}, {"zone": "b"}
    bench.service("web", near, far, prefer_label="zone")
    assert await load(bench, 80) == {(200, b"near"): 80}
    near.state = pb.INSTANCE_STATE_UNHEALTHY
    bench.publish()
    assert await load(bench, 80) == {(200, b"far"): 80}


async def test_the_same_value_goes_to_the_same_instance(bench: ProxyBench):
    instances = [await bench.instance(name) for name in "abcd"]
    policy = {"balancing": pb.BALANCING_CONSISTENT_HASH, "hash_on": {"cookie": "user"}}
    bench.service("web", *instances, **policy)
    first = {}
    for user in range(40):
        first[user] = (await bench.get("/services/web/", f"Cookie: a=b; user={user}")).body
    assert len(set(first.values())) == 4
    bench.service("web", *instances[1:], **policy)
    for user, owner in first.items():
        body = (await bench.get("/services/web/", f"Cookie: user={user}")).body
        assert body == owner or owner == b"a"


async def test_limits_refuse_with_429_and_503_and_change_live(bench: ProxyBench):
    go = asyncio.Event()

    async def slow(instance: FakeInstance, request: Received, reader, writer):
        await go.wait()
        writer.write(ok(b"ok"))

    one = await bench.instance("one", slow)
    bench.service("web", one, concurrency_limit=2)
    waiting = [asyncio.create_task(bench.get("/services/web/")) for _ in range(2)]
    await until(lambda: len(one.received) == 2)
    answer = await bench.get("/services/web/")
    assert (answer.status, answer.reason) == (503, "TOO_MANY_IN_FLIGHT")
    bench.service("web", one, circuit_breaker=2)
    assert (await bench.get("/services/web/")).reason == "INSTANCES_BUSY"
    go.set()
    for answer in await asyncio.gather(*waiting):
        assert answer.body == b"ok"
    bench.service("web", one, rate_limit=3)
    answers = [await bench.get("/services/web/") for _ in range(8)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 4
    assert refused[0].reason == "RATE_LIMITED"
    assert refused[0].one("retry-after") == "1"
    bench.service("web", one)
    assert (await bench.get("/services/web/")).status == 200
