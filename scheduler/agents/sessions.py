"""One stream to each node agent, for one epoch.

`Sessions` keeps a `Link` per registered agent process: that dials it, opens a session, turns its
reports into events, and writes what the driver tells it.

A node is lost when its link says so, or when it holds nothing and its key is gone from etcd. The
loss is an event; only once it is on record is its lease revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog

from quorate.etcd.api import Etcd, EtcdError, LeaseNotFound
from quorate.runtime.ids import Epoch, InstanceId, NodeName, TaskId
from quorate.runtime.timing.backoff import Backoff
from quorate.security.dialer import Dialer
from quorate.security.session_proof import proof_of
from scheduler.agents.node_link import Link
from scheduler.core.model.rows import TaskRow
from scheduler.engine.driver import Driver
from scheduler.engine.spans import TaskSpans

log = structlog.get_logger(__name__)

# Seconds.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class Sessions:
    """All links of one epoch; what `Driver.agents` tells goes through here.

    Args:
        driver: where reports go.
        etcd: for revoking leases and reading back specs.
        prefix: the cluster's key prefix.
        epoch: goes with every message.
        leader: this process's name, for people.
        unreachable_after: seconds.
        dialer: opens the channels to agents; plaintext ones when left out.
        key: the secret in this leader's election key, by which agents know that it is the leader.
    """

    def __init__(
        self,
        driver: Driver,
        etcd: Etcd,
        prefix: bytes,
        epoch: Epoch,
        leader: str,
        unreachable_after: float,
        dialer: Dialer | None = None,
        key: bytes = b"",
    ) -> None:
        self.driver = driver
        self.etcd = etcd
        self.prefix = prefix
        self.epoch = epoch
        self.leader = leader
        self.unreachable_after = unreachable_after
        self.dialer = dialer or Dialer(None)
        self.spans: TaskSpans | None = None
        # Who is marked, of what is committed: as folded, then as told. Kept for those registered.
        self._scaling_down = {mark.instance for mark in driver.state.scaling_down.values()}
        self._links: dict[InstanceId, tuple[Link, asyncio.Task[None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._key = key
        self.on_misbehaved: Callable[[str], None] = lambda kind: None
        """Told the kind of each fault of an agent."""

    async def run(self) -> None:
        """Own the links until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.sync()
            await asyncio.Event().wait()

    def proof(self, instance: InstanceId) -> bytes:
        """What shows to one process that this leader is the one that etcd names."""
        return proof_of(self._key, self.epoch, instance) if self._key else b""

    def misbehaved(self, kind: str) -> None:
        """An agent said what none may say."""
        self.on_misbehaved(kind)

    def sync(self) -> None:
        """Have a link to each registered process, and to no other."""
        if self._tasks is None:
            return
        wanted = {node.instance: node for node in self.driver.state.nodes.values()}
        for instance in [known for known in self._links if known not in wanted]:
            self._links.pop(instance)[1].cancel()
        self._scaling_down.intersection_update(wanted)
        for instance, node in wanted.items():
            known = self._links.get(instance)
            if known is not None and known[0].address != node.address:
                # Until now this leader did not know where it is.
                known[1].cancel()
                known = None
            if known is None:
                link = Link(self, node)
                known = (link, self._tasks.create_task(link.run()))
                self._links[instance] = known
            known[0].suspected(since=node.suspect_since)

    def channel(self, instance: InstanceId) -> grpc.aio.Channel | None:
        """The channel to a process, while there is a link to it."""
        known = self._links.get(instance)
        return known[0].channel if known else None

    # -- driver.Agents

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].start(row, attempt)

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].orders.cancel(task, attempt)

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].orders.acknowledge(task, attempt)

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].orders.drain(draining, grace)

    def leave(self, instance: InstanceId, scaling_down: bool) -> None:
        if scaling_down:
            self._scaling_down.add(instance)
        else:
            self._scaling_down.discard(instance)
        known = self._links.get(instance)
        if known is not None:
            known[0].orders.leave(scaling_down)

    def is_scaling_down(self, instance: InstanceId) -> bool:
        """Whether a process is to know that a scale-down may end it."""
        return instance in self._scaling_down

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None:
        if self._tasks is not None and lease:
            self._tasks.create_task(self._revoke(node, instance, lease))

    async def _revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None:
        """Take a lost process's lease from it, so that it learns and its key goes.

        Not whatever lease its key has by now: it may have registered again.
        """
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                await self.etcd.lease_revoke(lease)
                log.info("node_lease_revoked", node=node, instance=instance)
                return
            except LeaseNotFound:
                return
            except EtcdError as error:
                # Again until it is done: a process that lives and keeps its lease would never
                # learn that it was given up, and nobody would dial it.
                log.warning("node_lease_not_revoked", node=node, error=str(error))
                await asyncio.sleep(backoff.next())
