"""The part of the state that is about services: as their owners want them, and their instances."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from scheduler.core.model.rows import InstanceRow, ServiceRow, TaskRow
from scheduler.core.values import ServiceName


class ServiceState:
    """Services, their replicas and instances. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.services: dict[ServiceName, ServiceRow] = {}
        # The live tasks of each service, in the order in which they were made or folded.
        self.replicas: dict[ServiceName, dict[TaskId, TaskRow]] = {}
        # By service and id, as etcd has them; also of a service that is not known (yet).
        self.instances: dict[ServiceName, dict[str, InstanceRow]] = {}
        self.instance_count = 0
        # Services of which something changed since the last step, in the order of the changes.
        self.touched: dict[ServiceName, None] = {}
        # See `State`.
        self.last_instant = 0.0

    def observe(self, instant: float) -> None:
        """Note an instant of the log."""
        if instant > self.last_instant:
            self.last_instant = instant

    def touch(self, service: ServiceName) -> None:
        """Something of a service changed: it is to be looked at, and sent to its watchers."""
        if service in self.services:
            self.touched[service] = None

    def put_service(self, row: ServiceRow) -> None:
        """A service is there, or is another one now."""
        self.services[row.name] = row
        self.observe(row.create_time)
        self.touch(row.name)

    def drop_service(self, service: ServiceName) -> None:
        """A service is gone."""
        self.services.pop(service, None)
        self.touched.pop(service, None)

    def put_instance(self, row: InstanceRow) -> None:
        """An instance is there, or changed."""
        instances = self.instances.setdefault(row.service, {})
        self.instance_count += row.id not in instances
        instances[row.id] = row
        self.touch(row.service)

    def drop_instance(self, service: ServiceName, name: str) -> None:
        """An instance is gone."""
        instances = self.instances.get(service)
        if instances is None or instances.pop(name, None) is None:
            return
        self.instance_count -= 1
        if not instances:
            del self.instances[service]
        self.touch(service)
