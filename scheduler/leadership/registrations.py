"""Follows the keys under which node agents register, from where the fold ended."""

from __future__ import annotations

from typing import Protocol

from quorate.etcd.api import Compacted, Etcd, KeyValue, Range, prefix_end
from quorate.runtime.ids import NodeName
from scheduler.core.model import events as e
from scheduler.engine.driver import Driver
from scheduler.storage import keys, records


class Links(Protocol):
    """What holds the sessions with the nodes."""

    def sync(self) -> None:
        """Have a session with each registered process, and with no other."""


async def follow_registrations(
    etcd: Etcd, prefix: bytes, driver: Driver, sessions: Links, revision: int
) -> None:
    """Registrations and lost leases behind `revision`, until cancelled."""
    nodes = prefix + keys.NODES
    end = prefix_end(nodes)
    while True:
        try:
            async with etcd.watch(nodes, end, start_revision=revision + 1) as batches:
                async for batch in batches:
                    for event in batch.events:
                        _node_changed(driver, event.kv, deleted=event.deleted, skip=len(nodes))
                        if event.deleted:
                            # At once: the same process may register again within this batch, and
                            # its session would be that of a node that was forgotten.
                            sessions.sync()
                    sessions.sync()
        except Compacted:
            # The stream broke, and the last change of a node was longer ago than what etcd
            # keeps: look at all of them.
            found = await etcd.range(Range(nodes, end))
            revision = found.revision
            registered = {kv.key: kv for kv in found.kvs}
            for name in list(driver.state.nodes):
                key = nodes + name.encode()
                if key not in registered:
                    gone = KeyValue(key, b"", 0, 0, 0, 0)
                    _node_changed(driver, gone, deleted=True, skip=len(nodes))
            for kv in registered.values():
                _node_changed(driver, kv, deleted=False, skip=len(nodes))
            sessions.sync()


def _node_changed(driver: Driver, kv: KeyValue, *, deleted: bool, skip: int) -> None:
    """A node's key was written or is gone; `skip` is the length of the keys' prefix.

    Stepped one by one: a process may register and go within one batch.
    """
    state = driver.state
    name = NodeName(kv.key[skip:].decode(errors="replace"))
    if not deleted:
        row = records.node_row(name, kv.value, kv.lease, state)
        if row is not None:
            driver.handle((e.NodeRegistered(row),))
        elif name in state.nodes:
            # Its process wrote what no agent writes.
            why = "its record is none"
            driver.handle((e.NodeLost(name, state.nodes[name].instance, why),))
    elif name in state.nodes:
        driver.handle((e.NodeLeaseEnded(name, state.nodes[name].instance),))
