"""Calls, watches, waits and streams of one caller are bounded, each by a quota with a name."""

from __future__ import annotations

import asyncio

import pytest

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import ANONYMOUS
from quorate.security.identity import Caller, How, Role
from quorate.security.limits import (
    HELD_FOR,
    LARGE,
    LARGE_A_SECOND,
    LARGE_AT_ONCE,
    REJECTIONS_A_SECOND,
    CallerLimits,
    CallLimits,
    CallUsage,
    Kind,
    kind_of,
)

ALICE = Caller("alice", Role.SUBMITTER, How.TOKEN)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("path", "streams", "kind", "quota", "reason"),
    [
        ("/quorate.v1.Scheduler/WaitTask", False, Kind.WAIT, "open_waits", "TOO_MANY_WAITERS"),
        ("/quorate.v1.Scheduler/WatchTasks", True, Kind.WATCH, "open_watches", "TOO_MANY_WATCHES"),
        (
            "/quorate.v1.ServiceRegistry/WatchServices",
            True,
            Kind.WATCH,
            "open_watches",
            "TOO_MANY_WATCHES",
        ),
        (
            "/quorate.v1.Scheduler/StreamTaskLogs",
            True,
            Kind.STREAM,
            "open_streams",
            "TOO_MANY_STREAMS",
        ),
    ],
)
@pytest.mark.parametrize("caller", [ALICE, None])
def test_what_a_call_holds_has_a_quota_of_its_caller(
    caller: Caller | None, path: str, streams: bool, kind: Kind, quota: str, reason: str
):
    assert kind_of(path, streams=streams) is kind
    limits = CallerLimits(lambda name: CallLimits(-1, 2, 2, 2), monotonic=Clock())
    ends = [limits.begin(caller, kind) for _ in range(2)]
    with pytest.raises(QuorateError) as told:
        limits.begin(caller, kind)
    error, name = told.value, str(caller) if caller else ANONYMOUS
    assert error.reason == reason
    assert error.metadata == {"quota": quota, "caller": name, "limit": "2", "usage": "2"}
    assert error.retry_delay
    assert f"quorate quota set --caller {name} --{quota.replace('_', '-')}" in error.message
    assert limits.refused == {quota: 1}
    # Others are not concerned, nor is what the caller does besides.
    limits.begin(Caller("bob", Role.SUBMITTER, How.TOKEN), kind)
    assert limits.begin(caller, Kind.CALL) is None
    assert ends[0] is not None
    ends[0]()
    assert limits.begin(caller, kind) is not None


def test_a_limit_that_an_admin_changes_holds_within_a_second():
    clock, now = Clock(), {"limits": CallLimits(open_waits=0)}
    limits = CallerLimits(lambda name: now["limits"], monotonic=clock)
    with pytest.raises(QuorateError):
        limits.begin(ALICE, Kind.WAIT)
    now["limits"] = CallLimits(5, open_waits=1)
    clock.now += 1.0
    assert limits.begin(ALICE, Kind.WAIT) is not None
    for _ in range(9):
        limits.begin(ALICE, Kind.CALL)
    with pytest.raises(QuorateError, match="more than 5 times"):
        limits.begin(ALICE, Kind.CALL)


def test_a_rate_of_nothing_refuses_every_call():
    limits = CallerLimits(lambda name: CallLimits(0), monotonic=Clock())
    with pytest.raises(QuorateError):
        limits.begin(ALICE, Kind.CALL)


def test_usage_is_what_is_open_and_the_calls_of_the_last_full_second():
    clock = Clock()
    limits = CallerLimits(lambda name: CallLimits(), monotonic=clock)
    for _ in range(3):
        limits.begin(ALICE, Kind.CALL)
    end = limits.begin(ALICE, Kind.WATCH)
    assert end is not None
    clock.now += 1.0
    assert limits.usage() == {str(ALICE): CallUsage(4, 0, 1, 0)}
    clock.now += 5.0
    assert limits.usage() == {str(ALICE): CallUsage(0, 0, 1, 0)}
    end()
    assert limits.usage() == {}


async def test_a_rejection_is_held_back_and_not_without_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quorate.security.limits.HELD_FOR", 3600.0)
    monkeypatch.setattr("quorate.security.limits.MOST_HELD", 2)
    limits = CallerLimits(lambda name: CallLimits(0), monotonic=Clock())
    with pytest.raises(QuorateError):
        limits.begin(ALICE, Kind.CALL)
    held = [asyncio.create_task(limits.hold_back(ALICE)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.wait_for(limits.hold_back(ALICE), 5)
    assert not any(task.done() for task in held)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    again = asyncio.create_task(limits.hold_back(ALICE))
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


async def test_rejections_that_came_together_are_not_answered_together(
    monkeypatch: pytest.MonkeyPatch,
):
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 6))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    limits = CallerLimits(lambda name: CallLimits(0), monotonic=Clock())
    for caller in (ALICE, None):
        with pytest.raises(QuorateError):
            limits.begin(caller, Kind.CALL)
    for _ in range(3):
        await limits.hold_back(ALICE)
    await limits.hold_back(None)
    assert waits == [
        HELD_FOR,
        HELD_FOR + 1 / REJECTIONS_A_SECOND,
        HELD_FOR + 2 / REJECTIONS_A_SECOND,
        HELD_FOR,
    ]


async def test_refused_calls_that_were_given_up_do_not_delay_later_rejections(
    monkeypatch: pytest.MonkeyPatch,
):
    limits = CallerLimits(lambda name: CallLimits(0), monotonic=Clock())
    with pytest.raises(QuorateError):
        limits.begin(ALICE, Kind.CALL)
    held = [asyncio.create_task(limits.hold_back(ALICE)) for _ in range(500)]
    await asyncio.sleep(0)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await limits.hold_back(ALICE)
    assert waits == [pytest.approx(HELD_FOR, abs=1 / REJECTIONS_A_SECOND)]


class Sender:
    """Calls whose requests are read; the bytes of those that were."""

    def __init__(self, limits: CallerLimits, caller: Caller | None) -> None:
        self.limits = limits
        self.caller = caller
        self.read: list[int] = []

    async def send(self, size: int) -> None:
        async def receive() -> bytes:
            self.read.append(size)
            return bytes(size)

        await self.limits.read(self.caller, receive)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("caller", [ALICE, None])
async def test_large_requests_are_read_no_faster_than_they_may_be_sent(
    caller: Caller | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quorate.security.limits._LOOK", 0.0)
    clock = Clock()
    limits = CallerLimits(lambda name: CallLimits(), monotonic=clock)
    limits.begin(caller, Kind.CALL)
    sender, size = Sender(limits, caller), LARGE_AT_ONCE // 4
    for _ in range(4):
        await sender.send(size)
    waiting = [asyncio.create_task(sender.send(size)) for _ in range(3)]
    small = asyncio.create_task(sender.send(10))
    await settle()
    # Whatever else this caller sends waits, too: how large it is is not known before it is read.
    assert len(sender.read) == 4
    # Time lets one through, and not all.
    clock.now += 1.0
    await settle()
    assert len(sender.read) == 5
    # A request that was not refused makes room at once.
    limits.answered(caller, size)
    await settle()
    assert len(sender.read) == 6
    clock.now += 2 * size / LARGE_A_SECOND
    await asyncio.wait_for(asyncio.gather(*waiting, small), 5)
    # Others are not concerned.
    bob = Sender(limits, Caller("bob", Role.SUBMITTER, How.TOKEN))
    limits.begin(bob.caller, Kind.CALL)
    await asyncio.wait_for(bob.send(size), 5)


async def test_small_requests_and_those_of_the_cluster_itself_are_not_counted():
    limits = CallerLimits(lambda name: CallLimits(), monotonic=Clock())
    limits.begin(ALICE, Kind.CALL)
    sender = Sender(limits, ALICE)
    for _ in range(LARGE_AT_ONCE // LARGE + 1):
        await asyncio.wait_for(sender.send(LARGE), 5)
    gateway = Sender(limits, Caller("g", Role.GATEWAY, How.CERTIFICATE))
    for _ in range(3):
        await asyncio.wait_for(gateway.send(LARGE_AT_ONCE), 5)
