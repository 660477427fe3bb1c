"""One stream to each node agent, for one epoch.

`Sessions` keeps a `Link` per registered agent process in `Links`: that dials it, opens a session,
turns its reports into events, and writes what the driver sends.

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
from quorate.runtime.ids import Epoch, InstanceId, NodeName
from quorate.runtime.timing.backoff import Backoff
from quorate.security.session_proof import proof_of
from quorate.security.tls.dialer import Dialer
from scheduler.agents.links import Links
from scheduler.agents.node_link import Link
from scheduler.engine.driver import Driver
from scheduler.engine.spans import TaskSpans
from scheduler.storage.job_values import JobValues
from scheduler.storage.result_pages import ResultPages

log = structlog.get_logger(__name__)

# Seconds.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class Sessions:
    """All links of one epoch; what the driver sends to agents goes through here.

    Args:
        driver: where reports go.
        links: to be filled: through them the driver's orders go.
        etcd: for revoking leases and reading back specs.
        prefix: the cluster's key prefix.
        epoch: goes with every message.
        leader: this process's name, for people.
        unreachable_after: seconds.
        dialer: opens the channels to agents; plaintext ones when left out.
        key: the secret in this leader's election key, by which agents know that it is the leader.
        spans: traces of assignments; None: not wanted.
        on_misbehaved: called with the kind of each misconduct of an agent.
    """

    def __init__(
        self,
        driver: Driver,
        links: Links,
        etcd: Etcd,
        prefix: bytes,
        epoch: Epoch,
        leader: str,
        unreachable_after: float,
        dialer: Dialer | None = None,
        key: bytes = b"",
        spans: TaskSpans | None = None,
        on_misbehaved: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self.driver = driver
        self.etcd = etcd
        self.prefix = prefix
        self.epoch = epoch
        self.leader = leader
        self.unreachable_after = unreachable_after
        self.dialer = dialer or Dialer(None)
        self.spans = spans
        self.job_values = JobValues(etcd, prefix)
        """Templates and items of jobs, as they are sent."""
        self.result_pages = ResultPages(etcd, prefix)
        """Results of arrays that reduces on nodes read."""
        self._links = links
        self._running: dict[InstanceId, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._key = key
        self._on_misbehaved = on_misbehaved

    async def run(self) -> None:
        """Own the links until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.sync()
            while True:
                tasks.create_task(self._revoke(*await self._links.revocations.get()))

    def proof(self, instance: InstanceId) -> bytes:
        """What shows to one process that this leader is the one that etcd names."""
        return proof_of(self._key, self.epoch, instance) if self._key else b""

    def misbehaved(self, kind: str) -> None:
        """An agent said what none may say."""
        self._on_misbehaved(kind)

    def sync(self) -> None:
        """Have a link to each registered process, and to no other."""
        if self._tasks is None:
            return
        wanted = {node.instance: node for node in self.driver.state.nodes.values()}
        for instance in [known for known in self._links if known not in wanted]:
            self._links.remove(instance)
            self._running.pop(instance).cancel()
        self._links.forget_marks(wanted)
        for instance, node in wanted.items():
            link = self._links.of(instance)
            if link is not None and link.address != node.address:
                # Until now this leader did not know where it is.
                self._running.pop(instance).cancel()
                link = None
            if link is None:
                link = Link(self, node)
                self._links.add(instance, link)
                self._running[instance] = self._tasks.create_task(link.run())
            link.suspected(since=node.suspect_since)

    def is_scaling_down(self, instance: InstanceId) -> bool:
        """See Links."""
        return self._links.is_scaling_down(instance)

    def channel(self, instance: InstanceId) -> grpc.aio.Channel | None:
        """The channel to a process, while there is a link to it."""
        link = self._links.of(instance)
        return link.channel if link is not None else None

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
