"""Hubs of callers: tokens that nobody knows take no place of those whom the cluster knows."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import grpc
import pytest

from gateway.http.problems import HttpError
from gateway.live import limits
from gateway.live.callers import Hubs
from gateway.live.hub import Hub
from quorate.runtime.errors import QuorateError
from tests.support.live import FakeCluster


class Wire:
    """A client's connection."""

    def __init__(self, hub: Hub) -> None:
        self.closed: list[int] = []
        self.wire = self
        hub.sessions[self] = None  # type: ignore[index]

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def tell_status(self, rest: bytes) -> None:
        pass


@pytest.fixture
async def hubs() -> Hubs:
    return Hubs(lambda token: Hub(FakeCluster(), "i"))


def prove(hub: Hub, caller: str = "") -> None:
    hub.leader.seen = SimpleNamespace()  # type: ignore[assignment]
    hub.leader.caller = caller


REFUSED = QuorateError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN", "nobody")


async def test_tokens_that_nobody_knows_keep_no_user_out(hubs: Hubs) -> None:
    for number in range(limits.CALLERS):
        hub = hubs.of(f"junk{number}")
        Wire(hub)
        hub._refuse(REFUSED)
    users = [hubs.of(f"user{number}") for number in range(limits.CALLERS)]
    for hub in users:
        prove(hub)
    for number in range(3 * limits.UNPROVEN):
        with pytest.raises(HttpError) as full:
            hubs.of(f"more junk{number}")
        assert full.value.reason == "TOO_MANY_CALLERS"
    assert [hubs.of(f"user{number}") for number in range(limits.CALLERS)] == users
    await hubs.close()


async def test_many_tokens_of_one_caller_keep_no_other_out(hubs: Hubs) -> None:
    user = hubs.of("user")
    prove(user, "submitter:user")
    many = [hubs.of(f"token{number}") for number in range(limits.CALLERS - 1)]
    clients = [Wire(hub) for hub in many]
    for hub in many:
        prove(hub, "submitter:many")
    for number in range(3):
        prove(hubs.of(f"other{number}"), f"submitter:other{number}")
    assert [bool(client.closed) for client in clients[:4]] == [True, True, True, False]
    assert clients[0].closed == [1013]
    assert hubs.of("user") is user
    # Nor may another of its own tokens take a place from anybody else.
    prove(hubs.of("token again"), "submitter:many")
    assert clients[3].closed == [1013]
    assert len(list(hubs)) == limits.CALLERS + 1
    await hubs.close()


async def test_a_hub_learns_whose_its_token_is(hubs: Hubs) -> None:
    hub = hubs.of("token")
    assert hub.caller == ""
    await hub.leader._ask()
    assert hub.caller == "submitter:ci"
    await hubs.close()


async def test_a_flood_of_unanswered_tokens_drops_the_oldest_of_them_only(hubs: Hubs) -> None:
    """While no scheduler answers, too: who is known stays."""
    known = hubs.of("user")
    prove(known)
    user = Wire(known)
    first = Wire(hubs.of("junk"))
    for number in range(limits.UNPROVEN):
        hubs.of(f"junk{number}")
    assert first.closed == [1013]
    assert user.closed == []
    assert hubs.of("user") is known
    assert len(list(hubs)) <= limits.UNPROVEN + 2
    await hubs.close()


async def test_a_refused_token_is_forgotten_at_once(hubs: Hubs) -> None:
    hub = hubs.of("junk")
    client = Wire(hub)
    hub._refuse(REFUSED)
    assert client.closed == [4401]
    await hubs.look(asyncio.get_running_loop().time())
    assert hub not in list(hubs)
    assert hubs.of("junk") is not hub
    await hubs.close()
