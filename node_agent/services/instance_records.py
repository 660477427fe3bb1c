"""The records of this node's instances in etcd: what gateways and the leader know of them.

```
 put, remove (plain calls, at once)          run: one write at a time
 ------------> what each key should hold ------------------------------> services/<service>/<id>
                    ^ all of it again                                     under the agent's lease
                    +-- on_registered: a new lease, or a key deleted by hand
```

Owned by the app, which runs `run`. Callers never wait. While etcd is away only the newest state of
each instance is kept; it is written when etcd is back. When the lease is lost the keys are gone
with it: they are written again under the next one.

Order: each write is conditional on the key being as this process last saw it, so a write whose
outcome was unknown and which arrives late changes nothing. One exception: a creation that arrives
late, or once more, finds its condition true again when the key was deleted. So each key is deleted
a second time, when nothing can be late any more. And a key that a later attempt of the task has
written, on whatever node, is left alone: the task was given away.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from quorate.etcd.api import (
    Compare,
    Delete,
    Etcd,
    EtcdError,
    EtcdRefused,
    KeyValue,
    LeaseNotFound,
    Put,
    Range,
    TxnResult,
)
from quorate.internal.v1.records_pb2 import InstanceRecord
from quorate.runtime.timing.backoff import Backoff
from quorate.v1.service_pb2 import ServiceInstance

_log = structlog.get_logger("node_agent.instances")

# Deletions that wait for etcd or for their second time; beyond that the oldest are left to the
# lease, and to readers, who look only at attempts on record.
MAX_DELETIONS = 10_000
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# Seconds after which a request that got no answer has arrived or never will: its connection has
# been given up by then.
_LATEST_ARRIVAL = 30.0


@dataclass(slots=True)
class _Entry:
    """What a key should hold; `instance` None: nothing."""

    attempt: int
    instance: ServiceInstance | None
    # The key's mod_revision as last seen; 0: absent, as far as we know.
    revision: int = 0
    # The key was deleted once, and nothing was written since.
    deleted: bool = False


class InstanceRecords:
    """What etcd should say about this node's instances.

    Args:
        prefix: the cluster's.
    """

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        # At most one for each live replica, and MAX_DELETIONS.
        self._entries: dict[bytes, _Entry] = {}
        # Keys to be written, in the order in which they changed.
        self._dirty: dict[bytes, None] = {}
        self._deletions = 0
        self._lease = 0
        self._agent = ""
        self._wake = asyncio.Event()

    def put(self, instance: ServiceInstance, attempt: int) -> None:
        """Say how an instance is; ignored when a later attempt of it has said something."""
        key = self._key(instance.service, instance.id)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(attempt, None)
        elif entry.attempt > attempt:
            return
        elif entry.instance is None:
            self._deletions -= 1
        entry.attempt, entry.instance, entry.deleted = attempt, instance, False
        self._touch(key)

    def remove(self, service: str, instance: str, attempt: int) -> None:
        """The attempt has ended; ignored when a later one took its place."""
        key = self._key(service, instance)
        entry = self._entries.get(key)
        if entry is None or entry.attempt != attempt or entry.instance is None:
            return
        entry.instance = None
        self._deletions += 1
        self._touch(key)
        if self._deletions > MAX_DELETIONS:
            oldest = next(k for k, of in self._entries.items() if of.instance is None)
            self._forget(oldest)

    def on_registered(self, lease: int, agent: str) -> None:
        """The node's record was written: write those of the instances under the same lease."""
        self._lease, self._agent = lease, agent
        for key in self._entries:
            self._touch(key)

    def on_lease_lost(self) -> None:
        """The lease is gone, and the keys with it: nothing is written until there is another."""
        self._lease = 0

    @property
    def settled(self) -> bool:
        """Whether etcd says what it should."""
        return not self._dirty

    async def run(self, etcd: Etcd) -> None:
        """Write for ever."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            while not self._dirty or not self._lease:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._dirty))
            try:
                await self._write(etcd, key)
            except EtcdRefused as error:
                # The same write would be refused again, and hold up the others.
                _log.error("instance_record_refused", key=key, error=str(error))
                self._give_up(key)
            except LeaseNotFound:
                # The registration learns of it too, and registers or loses everything.
                await asyncio.sleep(_FIRST_PAUSE)
            except EtcdError as error:
                _log.warning("instance_record_not_written", key=key, error=str(error))
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()

    # -- inside --------------------------------------------------------------------------------

    def _key(self, service: str, instance: str) -> bytes:
        return self._prefix + f"services/{service}/{instance}".encode()

    def _touch(self, key: bytes) -> None:
        self._dirty[key] = None
        self._wake.set()

    def _forget(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self._dirty.pop(key, None)
        self._deletions -= entry.instance is None

    def _give_up(self, key: bytes) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.instance is None:
            self._forget(key)
        else:
            self._dirty.pop(key, None)

    async def _write(self, etcd: Etcd, key: bytes) -> None:
        """Bring one key to what it should hold, once. It may change again meanwhile."""
        entry = self._entries[key]
        wanted, attempt = entry.instance, entry.attempt
        op: Put | Delete
        if wanted is None:
            op = Delete(key)
        else:
            record = InstanceRecord(instance=wanted, agent=self._agent, attempt=attempt)
            op = Put(key, record.SerializeToString(), self._lease)
        answer = await etcd.txn(
            (Compare(key, "mod", "=", entry.revision),), (op,), failure=(Range(key),)
        )
        if self._entries.get(key) is not entry:
            return  # everything was lost meanwhile
        if not answer.succeeded:
            self._on_other(key, entry, answer)
            return
        entry.revision = answer.revision if wanted is not None else 0
        if entry.instance is not wanted or entry.attempt != attempt:
            return  # changed meanwhile: it is still dirty
        if wanted is not None:
            self._dirty.pop(key, None)
        elif not entry.deleted:
            entry.deleted = True
            self._dirty.pop(key, None)
            asyncio.get_running_loop().call_later(_LATEST_ARRIVAL, self._delete_again, key)
        else:
            self._forget(key)

    def _delete_again(self, key: bytes) -> None:
        """Delete a key for the second time, unless it is in use again."""
        entry = self._entries.get(key)
        if entry is not None and entry.instance is None:
            self._touch(key)

    def _on_other(self, key: bytes, entry: _Entry, answer: TxnResult) -> None:
        """The key is not as it was last seen: somebody else's write, or ours that came late."""
        found = answer.ranges[0].kvs
        if found and _attempt_of(found[0]) > entry.attempt:
            # The task was given away; `remove` finds nothing then.
            self._forget(key)
            return
        entry.revision = found[0].mod_revision if found else 0


def _attempt_of(kv: KeyValue) -> int:
    """The attempt that wrote a record; 0 when no attempt did."""
    try:
        return InstanceRecord.FromString(kv.value).attempt
    except DecodeError:
        return 0
