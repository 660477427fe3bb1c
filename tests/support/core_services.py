"""What a `Cluster` of tests does about services: calls of their owners, and their instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1 import service_pb2
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.core.values import InstanceState, ServiceName, TaskState
from scheduler.storage import records
from tests.support.core_log import LEASE, Log
from tests.support.core_specs import service_spec


class ServiceCalls:
    """Calls about services, each of which returns its answer, and what agents say of instances."""

    state: State
    log: Log | None
    call: Callable[[Any], object]
    step: Callable[[e.Event], fx.Effects]

    def service(
        self,
        name: str,
        request: e.Request = e.Request(),  # noqa: B008 (a tuple)
        **spec: object,
    ) -> object:
        """Create a service; its spec as `service_spec` takes it."""
        what = records.service_spec(ServiceName(name), 1, service_spec(**spec))  # type: ignore[arg-type]
        return self.call(lambda token: e.ServiceSubmitted(ServiceName(name), what, request, token))

    def update(
        self,
        name: str,
        request: e.Request = e.Request(),  # noqa: B008 (a tuple)
        **spec: object,
    ) -> object:
        """Update a service as the registry does."""
        row = self.state.services[ServiceName(name)]
        new = service_spec(**spec)  # type: ignore[arg-type]
        old = service_pb2.ServiceSpec.FromString(row.spec.spec)
        generation = row.spec.generation + records.replaces_replicas(old, new)
        what = records.service_spec(row.name, generation, new)
        return self.call(
            lambda token: e.ServiceUpdateAsked(row.name, what, row.version, request, token)
        )

    def delete_service(self, name: str) -> object:
        return self.call(lambda token: e.ServiceDeleteAsked(ServiceName(name), e.Request(), token))

    def replicas(self, name: str) -> list[TaskId]:
        """The live replicas that are not being ended, oldest first."""
        rows = self.state.replicas.get(ServiceName(name), {}).values()
        return sorted(row.id for row in rows if not row.cancel_requested)

    def ending(self, name: str) -> list[TaskId]:
        """The replicas that are being ended, oldest first."""
        rows = self.state.replicas.get(ServiceName(name), {}).values()
        return sorted(row.id for row in rows if row.cancel_requested)

    def health(self, task: TaskId, state: InstanceState = InstanceState.HEALTHY) -> None:
        """The agent that runs a replica writes its instance."""
        row = self.state.tasks[task]
        assert row.replica is not None
        record = r.InstanceRecord(agent=row.instance, attempt=row.attempt)
        record.instance.state = int(state)  # type: ignore[assignment]
        self.instance(row.replica.service, task, record)

    def instance(self, service: str, name: str, record: r.InstanceRecord | None) -> None:
        """An instance's key was written, or (None) is gone."""
        if self.log is not None:
            self.log.instance(service, name, record)
        if record is None:
            self.step(e.InstanceGone(ServiceName(service), name))
            return
        seen = records.instance_row(service, name, record.SerializeToString(), LEASE)
        assert seen is not None
        self.step(e.InstanceSeen(seen))

    def healthy(self, name: str) -> list[TaskId]:
        """Make every running replica that is wanted HEALTHY; which those are."""
        found = [t for t in self.replicas(name) if self.state.tasks[t].state is TaskState.RUNNING]
        for task in found:
            if task in self.state.tasks and not self.state.tasks[task].cancel_requested:
                self.health(task)
        return found
