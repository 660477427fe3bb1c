"""Faults that are planted on purpose: each must be found, or the simulation proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from quorate.etcd.api import Compare, Delete, Op, Put, TxnResult
from quorate.etcd.journal.batch import After, Failed
from quorate.etcd.journal.journal import Journal
from quorate.v1 import service_pb2
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.values import ServiceName
from scheduler.storage import records
from tests.simulation.network import Way
from tests.simulation.planted import SEEDS, found
from tests.simulation.schedulers import CheckedFold, CheckedMachine
from tests.simulation.world import World


class EffectsBeforeTheCommit(World):
    """Replies and assignments go out when their writes are appended."""

    class journal_type(Journal):
        def append(
            self,
            writes: Sequence[Put | Delete],
            after: After | None = None,
            failed: Failed | None = None,
        ) -> None:
            super().append(writes, None, failed)
            if after is not None:
                after(self.head_revision)


class WritesWithoutTheFence(World):
    """A leader's Txns do not ask whether it still leads."""

    class way_type(Way):
        async def txn(
            self,
            compares: Sequence[Compare],
            success: Sequence[Op],
            failure: Sequence[Op] = (),
            *,
            timeout: float = 5.0,
        ) -> TxnResult:
            return await super().txn((), success, failure, timeout=timeout)


class WritesWithoutTheHead(World):
    """A leader's Txns ask whether it leads, and not whether they come in order."""

    class way_type(Way):
        async def txn(
            self,
            compares: Sequence[Compare],
            success: Sequence[Op],
            failure: Sequence[Op] = (),
            *,
            timeout: float = 5.0,
        ) -> TxnResult:
            return await super().txn(compares[:1], success, failure, timeout=timeout)


class OldAttemptsCount(World):
    """The result of an attempt that was given up is taken for that of the current one."""

    weights: ClassVar[dict[str, float]] = {
        "submit": 12,
        "cancel_some": 5,
        "cut_off_agent": 4,
        "kill_agent": 3,
        "kill_leader": 0.7,
        "nothing": 40,
    }

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            if isinstance(event, e.AttemptSucceeded | e.AttemptFailed):
                row = self.state.tasks.get(event.task)
                if row is not None and row.instance:
                    event = event._replace(attempt=row.attempt, instance=row.instance)
            return super().step(event, now)


class StandbysForgetGenerations(World):
    """A standby takes each spec of a service for its first generation."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            super().put(key, value, mod_revision, lease)
            if key.startswith(b"service-specs/"):
                row = self.state.services[ServiceName(key.partition(b"/")[2].decode())]
                message = service_pb2.ServiceSpec.FromString(row.spec.spec)
                row.spec = records.service_spec(row.name, 1, message)


class StandbysForgetAnswers(World):
    """A standby does not remember which calls were answered."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not key.startswith(b"dedup/"):
                super().put(key, value, mod_revision, lease)


class HealthIsNotLookedAt(World):
    """Services are not looked at when an instance became healthy or went."""

    weights: ClassVar[dict[str, float]] = {"change_service": 12, "kill_agent": 1, "nothing": 40}

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            if isinstance(event, e.InstanceSeen | e.InstanceGone):
                out.due.clear()
            return out


class LostNodesKeepTheirWork(World):
    """What a lost node ran is not given to others."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            out.then = [follow for follow in out.then if not isinstance(follow, e.AttemptLost)]
            return out


class AssignmentsGetLost(World):
    """An inventory is not compared with what was given to the node."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            if isinstance(event, e.SessionOpened):
                out.after = [one for one in out.after if not isinstance(one, fx.StartAttempt)]
            return out


FAULTS: list[type[World]] = [
    EffectsBeforeTheCommit,
    WritesWithoutTheFence,
    WritesWithoutTheHead,
    OldAttemptsCount,
    StandbysForgetGenerations,
    StandbysForgetAnswers,
    HealthIsNotLookedAt,
    LostNodesKeepTheirWork,
    AssignmentsGetLost,
]


@pytest.mark.parametrize("world", FAULTS, ids=lambda world: world.__name__)
def test_a_planted_fault_is_found(world: type[World]) -> None:
    assert found(world) is not None, f"{SEEDS} seeds did not find it"
