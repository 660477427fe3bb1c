"""Candidates in processes of their own, on real etcd: killed, stopped, continued, told to leave."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import IO, Any

import pytest

from quorate.etcd.api import Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from tests.support import forked
from tests.support.candidate_process import TTL


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    process = EtcdProcess(tmp_path_factory.mktemp("etcd"))
    asyncio.run(process.start())
    yield process
    asyncio.run(process.stop())


class Candidate:
    """One process and what it told."""

    def __init__(self, process: forked.Running, output: IO[str], name: str) -> None:
        self._process = process
        self._output = output
        self.name = name
        self.told: list[dict[str, Any]] = []
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        # A thread for each: it waits in a read until the process has ended.
        while line := await asyncio.to_thread(self._output.readline):
            async with self._more:
                self.told.append(json.loads(line))
                self._more.notify_all()

    async def told_of(self, event: str, *, after: float = 0.0, within: float = 10.0):
        """The first such event after an instant."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [e for e in self.told if e["event"] == event and e["at"] > after]
            return bool(found)

        async with asyncio.timeout(within), self._more:
            await self._more.wait_for(look)
        return found[0]

    def send(self, how: signal.Signals) -> float:
        """Signal the process; when that was."""
        at = time.monotonic()
        self._process.send_signal(how)
        return at

    async def end(self) -> None:
        self._process.kill()
        await self._reading
        self._process.wait()
        self._output.close()


class Cast:
    """Starts candidates of one election and ends them all."""

    def __init__(self, endpoint: str, prefix: str, stack: AsyncExitStack) -> None:
        self._endpoint = endpoint
        self._prefix = prefix
        self._stack = stack
        self._started = 0

    async def start(self) -> Candidate:
        self._started += 1
        name = f"candidate-{self._started}"
        program = ("tests.support.candidate_process", self._endpoint, self._prefix, name)
        process, output = await asyncio.to_thread(forked.start_piped, *program, error=2)
        candidate = Candidate(process, output, name)
        self._stack.push_async_callback(candidate.end)
        return candidate

    async def leader(self) -> Candidate:
        candidate = await self.start()
        await candidate.told_of("first commit")
        return candidate

    async def standby(self) -> Candidate:
        """One that stands and watches the leader's process."""
        candidate = await self.start()
        await candidate.told_of("leadership_standby")
        await candidate.told_of("failure_detector_watching")
        return candidate


@pytest.fixture
async def cast(server: EtcdProcess, request: pytest.FixtureRequest) -> AsyncIterator[Cast]:
    async with AsyncExitStack() as stack:
        yield Cast(server.endpoint, f"/quorate/{request.node.name}/", stack)


async def gaps(cast: Cast, rounds: int, how: signal.Signals) -> list[float]:
    """Seconds from a signal to the leader until the first fenced commit of the next one."""
    leader = await cast.leader()
    seconds = []
    for _ in range(rounds):
        standby = await cast.standby()
        at = leader.send(how)
        seconds.append((await standby.told_of("first commit", after=at))["at"] - at)
        leader = standby
    return seconds


async def test_a_standby_leads_within_100_ms_of_the_leaders_sigkill(
    cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    seconds = await gaps(cast, 5, signal.SIGKILL)
    record_property("seconds", seconds)
    assert statistics.median(seconds) < 0.1, seconds
    # Never by the TTL, however busy the machine is.
    assert max(seconds) < 1.0, seconds


async def test_a_leader_told_to_leave_hands_over_within_200_ms(
    cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    seconds = await gaps(cast, 5, signal.SIGTERM)
    record_property("seconds", seconds)
    assert statistics.median(seconds) < 0.2, seconds
    assert max(seconds) < 1.0, seconds


async def test_candidates_that_start_together_have_one_leader(cast: Cast) -> None:
    candidates = [await cast.start() for _ in range(3)]
    epochs = [int((await one.told_of("leadership_standby"))["elected"]) for one in candidates]
    first = candidates[epochs.index(min(epochs))]
    await first.told_of("first commit")
    for other in candidates:
        if other is not first:
            await other.told_of("failure_detector_watching")
            assert not any(event["event"] == "first commit" for event in other.told)


async def test_a_leader_stopped_for_three_ttls_wakes_as_a_standby(
    cast: Cast, server: EtcdProcess, request: pytest.FixtureRequest
) -> None:
    leader, standby = await cast.leader(), await cast.standby()
    stopped = leader.send(signal.SIGSTOP)
    successor = await standby.told_of("first commit", after=stopped, within=TTL + 3)
    # Silence proves nothing: nobody shortened its lease.
    assert successor["at"] - stopped > TTL * 2 / 3 - 0.1
    await until(stopped + 3 * TTL)
    woken = leader.send(signal.SIGCONT)
    old = await leader.told_of("stopped leading", after=woken)
    again = await leader.told_of("leadership_standby", after=woken)
    assert again["at"] - woken < 1.0
    # Not one commit after it woke, not even one that the fence would have refused.
    assert old["last"] < stopped + 0.1
    async with EtcdClient([server.endpoint]) as etcd:
        key = f"/quorate/{request.node.name}/commits".encode()
        (commits,) = (await etcd.range(Range(key))).kvs
        assert int(commits.value) == successor["epoch"] > old["epoch"]


async def until(instant: float) -> None:
    """Let the clock reach an instant: here time itself is what is waited for."""
    await asyncio.sleep(instant - time.monotonic())
