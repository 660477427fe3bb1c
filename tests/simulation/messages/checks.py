"""What holds for whole queues and streams: nothing is lost, nothing is there twice."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import NO_SESSION
from tests.simulation.messages.model import KINDS
from tests.simulation.messages.mortal import Dies
from tests.support.broker_term import Follower

if TYPE_CHECKING:
    from tests.simulation.messages.world import World


async def read_log(world: World) -> None:
    """A stream has every message once, in order."""
    wanted = [
        number
        for (number, root), copy in world.model.copies.items()
        if root == "log" and copy.sent.until != inf
    ]
    found: list[int] = []
    offset = 0
    while True:
        peek = partial(e.PeekAsked, "/", "log", 100, offset)
        answer = await world.call(peek)
        if not answer.deliveries:
            break
        offsets = [one.id for one in answer.deliveries]
        assert offsets == list(range(offset, offset + len(offsets))), offsets
        offset += len(offsets)
        found += [int(MessageEnvelope.FromString(one.payload).body) for one in answer.deliveries]
    assert len(found) == len(set(found)), "twice in the stream"
    assert set(wanted) <= set(found), f"not in the stream: {set(wanted) - set(found)}"
    known = {one.sent.number for one in world.model.copies.values() if one.sent.ordered}
    ordered = [number for number in found if number in known]
    assert ordered == sorted(ordered), "the stream is not in the order of its producer"


async def settle_all(world: World) -> None:
    """Faults end; what nobody has settled is somewhere, once."""
    world.store.doom(-1, Dies.BEFORE)
    await world.quiet()
    for client in list(world.clients.values()):
        while not client.connected or client.asked:
            await world.turn(0.1)
        client.end()
    # What is delayed is due, and what waits to be tried again.
    left: dict[tuple[int, str], str] = {}
    empty = 0
    while empty < 2:
        await world.turn(10.0)
        some = [await _drain(world, name, left) for name in KINDS if name != "log"]
        empty = 0 if any(some) else empty + 1
    await read_log(world)
    for key, copy in world.model.copies.items():
        if copy.sent.until == inf or key[1] == "log" or key in left:
            continue
        assert copy.may_be_gone(world.now), f"lost: {copy}"
    await check_bodies(world)


async def check_bodies(world: World) -> None:
    """Bodies that are stored apart are those that messages refer to: none is lost, none is left."""
    await world.quiet()
    known = world.term.broker.state.bodies
    fold = Follower(world.store).follow()
    fold.broker.settle()
    standby = fold.broker.state
    standby.lead(world.now)
    assert standby.bodies.facts() == known.facts()
    assert not standby.bodies.has_unused
    assert not known.writing


async def _drain(world: World, name: str, left: dict[tuple[int, str], str]) -> int:
    """Take all that is ready in a queue; how many."""
    count = 0
    while True:
        answer = await world.call(partial(e.ReceiveAsked, "/", name, NO_SESSION, 100))
        if not answer.deliveries:
            return count
        for one in answer.deliveries:
            count += 1
            copy = world.found(name, one, None)
            key = (copy.sent.number, copy.root)
            assert key not in left, f"{key} is in {left[key]} and in {name}"
            left[key] = name
