"""Message queues while leaders die: promises are kept, and planted faults are found."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.publishing import rejections
from scheduler.core.broker.intake import Prepared
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.broker.driver import _answer as answer
from scheduler.engine.driver import Driver
from tests.simulation.broker.bound import Bound
from tests.simulation.broker.world import CheckedBroker, Messages
from tests.simulation.planted import SEEDS, found
from tests.simulation.schedulers import CheckedFold, Scheduler
from tests.simulation.world import World, play


def test_promises_to_producers_and_consumers_are_kept() -> None:
    """A failure names its seed: `python -m tests.simulation.seeds --kind messages --first ...`."""
    worlds = [play(Messages, seed, 8.0) for seed in range(4)]
    assert all(isinstance(world, Messages) for world in worlds)
    played: list[Any] = worlds
    assert sum(world.terms > 1 for world in played) > 1
    assert sum(len(world.promises.confirmed) for world in played) > 100
    assert sum(len(world.promises.acked) for world in played) > 100
    assert sum(world.promises.repeated for world in played) > 0
    reasons = {reason for world in played for reason in world.promises.refused.values()}
    assert reasons == {"MESSAGE_QUEUE_FULL", "ROUTE_NOT_FOUND"}


def test_each_confirmed_message_is_one_task() -> None:
    """Checked at the end of each history."""
    played: list[Any] = [play(Bound, seed, 6.0) for seed in range(3)]
    assert sum(world.terms > 1 for world in played) > 1
    assert sum(world.made for world in played) > 100
    reasons = {reason for world in played for reason in world.promises.refused.values()}
    assert reasons == {"QUEUE_FULL", "ROUTE_NOT_FOUND"}


class ConfirmsBeforeTheCommit(Messages):
    """A producer is answered when its messages are on their way to etcd."""

    class broker_type(BrokerDriver):
        def _one(self, event: object, now: float) -> fx.BrokerEffects:
            out = super()._one(event, now)
            for effect in out.after:
                if type(effect) is fx.Reply and isinstance(event, e.MessagesPublished):
                    answer(effect)
            return out


class RejectionsAreForgotten(Messages):
    """What was rejected or returned is confirmed when it is repeated."""

    planted = (rejections, "again", lambda row, position, one: None)


class StandbysForgetProducers(Messages):
    """A new leader queues what was repeated once more."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not key.startswith(b"producers/"):
                super().put(key, value, mod_revision, lease)


class StandbysForgetAcknowledgements(Messages):
    """A new leader does not know which messages of a chunk are done."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not (key.startswith(b"mq/") and key.endswith(b"/acks")):
                super().put(key, value, mod_revision, lease)


class PublicationsAreReordered(Messages):
    """Messages of one request reach their queues in another order."""

    class broker_machine_type(CheckedBroker):
        def step(self, event: object, now: float) -> fx.BrokerEffects:
            if isinstance(event, e.MessagesPublished):
                # Of two, the second one first.
                first, *others = event.publications
                event = event._replace(publications=[*others, first])
            return super().step(event, now)


class NewLeadersRepeatTasks(Bound):
    """What a producer repeats becomes a second task."""

    fold_type = StandbysForgetProducers.fold_type


class TasksAreForgotten(Bound):
    """Some messages have their copies, and no task."""

    def message_tasks(self, scheduler: Scheduler, driver: Driver) -> MessageTasks:
        made = super().message_tasks(scheduler, driver)
        create = made.create

        def some(prepared: Prepared, creator: str, now: float) -> None:
            if self.rng.random() < 0.9:
                create(prepared, creator, now)

        made.create = some  # type: ignore[method-assign]
        return made


FAULTS: list[type[World]] = [
    ConfirmsBeforeTheCommit,
    RejectionsAreForgotten,
    StandbysForgetProducers,
    StandbysForgetAcknowledgements,
    PublicationsAreReordered,
    NewLeadersRepeatTasks,
    TasksAreForgotten,
]


@pytest.mark.parametrize("world", FAULTS, ids=lambda world: world.__name__)
def test_a_planted_fault_is_found(world: type[World], monkeypatch: pytest.MonkeyPatch) -> None:
    planted: tuple[Any, str, object] | None = getattr(world, "planted", None)
    if planted is not None:
        monkeypatch.setattr(*planted, raising=False)
    assert found(world, 6.0) is not None, f"{SEEDS} seeds did not find it"
