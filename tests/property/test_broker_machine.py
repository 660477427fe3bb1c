"""Whatever is published, received, rejected, put back, expired, moved and merged, with commits that
are late and leaders that die: no confirmed message is lost, none is there again after its
acknowledgement was confirmed, order is kept, and the leader has what its writes say.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.core.broker import events as e
from scheduler.core.broker.rows import NO_SESSION
from tests.support.broker import Waiting
from tests.support.broker_world import QUEUES, ROUTED, World

# How often each step is taken.
STEPS = {
    "publish": 10,
    "receive": 5,
    "take": 4,
    "put back": 2,
    "reject": 3,
    "purge": 0.2,
    "move": 0.5,
    "commit": 12,
    "load": 8,
    "time": 5,
    "forget": 2,
    "flush": 1,
    "crash": 0.6,
}


def play(seed: int) -> World:
    world = World(seed)
    random = world.random
    # Each history takes some of the steps.
    kinds = {kind: often for kind, often in STEPS.items() if random.random() < 0.8}
    for kind in random.choices(list(kinds), list(kinds.values()), k=80):
        name = random.choice(list(QUEUES))
        match kind:
            case "publish":
                world.publish()
            case "receive":
                world.receive(name)
            case "take":
                world.take(name)
            case "put back":
                world.put_back(name)
            case "reject":
                world.reject(name)
            case "purge":
                world.purged.add(name)
                world.step(e.PurgeAsked("/", name, NO_SESSION, Waiting()))
            case "move" if name in ROUTED:
                world.moved.add(name)
                world.step(e.MoveAsked("/", name, "moved", 5, Waiting()))
            case "commit":
                world.commit(random.randint(1, 6))
            case "load":
                world.load(random.randint(1, 5))
            case "time":
                world.now += random.choice((0.5, 5.0, 20.0))
                world.step(e.TimePassed())
            case "forget":
                world.state.window.clear()
            case "flush":
                world.flush()
            case "crash":
                world.crash()
        world.check_counts()
    world.end()
    return world


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_nothing_confirmed_is_lost_and_nothing_acknowledged_returns(seed: int) -> None:
    play(seed)
