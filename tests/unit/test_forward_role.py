"""Who serves a call, as the app's facts about leadership come in."""

from __future__ import annotations

import asyncio

from quorate.runtime.ids import InstanceId
from scheduler.api.forwarding.role import Leader, Local, Remote, Role, Roles, Unknown
from scheduler.api.servicer import Servicer

ME = InstanceId("me")


def leader(instance: str, address: str = "127.0.0.1:1") -> Leader:
    return Leader(b"key", 7, 3, "name", InstanceId(instance), address)


def test_nobody_leads_at_first() -> None:
    assert Roles(ME).role == Unknown()


def test_calls_go_to_the_leader_elsewhere() -> None:
    roles = Roles(ME)
    roles.seen(leader("other", "10.0.0.1:7001"))
    assert roles.role == Remote("10.0.0.1:7001")


def test_an_elected_candidate_that_does_not_serve_yet_is_unknown() -> None:
    roles = Roles(ME)
    roles.seen(leader("me"))
    assert roles.role == Unknown()


def test_the_local_servicer_answers_while_this_process_leads() -> None:
    roles = Roles(ME)
    heard: list[Role] = []
    roles.subscribe(heard.append)
    servicers = {"service": Servicer({})}
    roles.lead(servicers)
    roles.seen(leader("other"))
    roles.lead(None)
    assert heard == [Local(servicers), Remote("127.0.0.1:1")]


def test_subscribers_hear_of_changes_only() -> None:
    roles = Roles(ME)
    heard: list[Role] = []
    roles.subscribe(heard.append)
    roles.seen(None)
    roles.seen(leader("other"))
    roles.seen(leader("other"))
    assert heard == [Remote("127.0.0.1:1")]


async def test_waiting_ends_with_the_next_role() -> None:
    roles = Roles(ME)
    waiting = asyncio.create_task(roles.other_than(Unknown()))
    await asyncio.sleep(0)
    assert not waiting.done()
    roles.seen(leader("other"))
    assert await waiting == Remote("127.0.0.1:1")
