"""The links of one epoch to the node agents: what the driver sends goes through them.

What is for an agent process without a link is dropped: the inventory of the next session settles
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence

from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.agents.node_link import Link
from scheduler.core.model.rows import TaskRow


class Links:
    """See `scheduler.engine.ports.Agents`.

    Args:
        scaling_down: the processes that are marked, of what is committed.
    """

    def __init__(self, scaling_down: Iterable[InstanceId] = ()) -> None:
        # As folded, then as reported. Kept for those registered.
        self._scaling_down = set(scaling_down)
        self._links: dict[InstanceId, Link] = {}
        self.revocations: asyncio.Queue[tuple[NodeName, InstanceId, int]] = asyncio.Queue()
        """Leases of lost processes, to be revoked: node, instance, lease."""

    def __iter__(self) -> Iterator[InstanceId]:
        return iter(self._links)

    def of(self, instance: InstanceId) -> Link | None:
        """The link to a process, while there is one."""
        return self._links.get(instance)

    def add(self, instance: InstanceId, link: Link) -> None:
        """There is a link to this process from now on, instead of an earlier one."""
        self._links[instance] = link

    def remove(self, instance: InstanceId) -> None:
        """There is no longer."""
        del self._links[instance]

    def forget_marks(self, registered: Collection[InstanceId]) -> None:
        """Forget the marks of all but the registered processes."""
        self._scaling_down.intersection_update(registered)

    def is_scaling_down(self, instance: InstanceId) -> bool:
        """Whether a process is to know that a scale-down may end it."""
        return instance in self._scaling_down

    # -- scheduler.engine.ports.Agents

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.start(row, attempt)

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.cancel(task, attempt)

    def signal(self, instance: InstanceId, task: TaskId, attempt: int, signal: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.signal(task, attempt, signal)

    def suspend(self, instance: InstanceId, task: TaskId, attempt: int, suspended: bool) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.suspend(task, attempt, suspended)

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.acknowledge(task, attempt)

    def acknowledge_report(
        self, instance: InstanceId, chunk: TaskId, attempt: int, number: int
    ) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.acknowledge_report(chunk, attempt, number)

    def recall(self, instance: InstanceId, chunk: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.recall(chunk, attempt)

    def end_subtasks(
        self, instance: InstanceId, chunk: TaskId, attempt: int, ranges: Sequence[tuple[int, int]]
    ) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.end_subtasks(chunk, attempt, ranges)

    def forget_job(self, job: TaskId) -> None:
        for link in self._links.values():
            link.orders.forget_job(job)

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None:
        known = self._links.get(instance)
        if known is not None:
            known.orders.drain(draining, grace)

    def leave(self, instance: InstanceId, scaling_down: bool) -> None:
        if scaling_down:
            self._scaling_down.add(instance)
        else:
            self._scaling_down.discard(instance)
        known = self._links.get(instance)
        if known is not None:
            known.orders.leave(scaling_down)

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None:
        if lease:
            self.revocations.put_nowait((node, instance, lease))
