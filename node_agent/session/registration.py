"""The node's record in etcd, under a lease: how the leader learns of this process.

```
 start -> registered --watch: another instance--> Replaced (the process ends)
             ^  |
             +--+ LeaseNotFound: again at once, as the same process
```

A lost lease says nothing about what runs here: etcd may have slept, and the leader waits for a
process that it can reach to register again. What was given away all the same, the next session
tells (an attempt that the leader does not know any longer is ended). So the instance id, which
attempts on record belong to, is the process's for good.

Who finds a living agent of the same name at another address does not register: NameTaken. One that
neither answers nor is refused is asked again until its lease ends, or for twice as long as a lease.

An agent that may not read its record (it shares an etcd user with the other pods of a Deployment,
see `quorate.etcd.server.users`) does not look for another agent with its name: names of pods are
unique. It learns from its lease that the record is gone.

Owned by the app, which runs `keep`. While etcd is silent nothing happens: the lease may well be
alive, and `on_alive` simply stops telling of later instants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from google.protobuf.message import DecodeError

from quorate.etcd.api import (
    Compacted,
    Compare,
    Etcd,
    EtcdError,
    EtcdUnauthenticated,
    LeaseNotFound,
    Put,
    Range,
)
from quorate.etcd.lease import LeaseSession
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.backoff import Backoff
from quorate.runtime.timing.clock import Clock

_log = structlog.get_logger("node_agent.registration")

# How long the first registration tries before the process gives up, and the pauses in between.
PATIENCE_SECONDS = 15.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# How often the lease's latest renewal is passed on.
_RECHECK_SECONDS = 0.25
# How long the announcement of an end may take: the end itself does not wait for etcd.
_ANNOUNCE_SECONDS = 1.0


class Replaced(Exception):
    """Another process registered under this node's name."""


class CannotRegister(Exception):
    """The first registration failed for too long, or for good."""


class NameTaken(CannotRegister):
    """Another agent lives under this node's name."""


async def _nothing() -> None:
    pass


async def _nobody(record: NodeRecord) -> bool | None:
    return False


class Registration:
    """Keeps the node registered.

    Args:
        key: the node's key.
        record: the record of this process; `register_time` is set here.
        ttl: of the lease, in seconds.
        on_alive: called with the time until when (monotonic) the lease is surely alive.
        on_lost: called when the lease is gone for certain.
        on_registered: called with the lease and the instance id each time the record was written.
        before: awaited before anything is written; a QuorateError of it is final.
        alive: whether the process that wrote a record answers; asked about another address. None:
            there is only silence.
    """

    def __init__(
        self,
        etcd: Etcd,
        key: bytes,
        record: NodeRecord,
        ttl: int,
        clock: Clock,
        on_alive: Callable[[float], None],
        on_lost: Callable[[], None],
        on_registered: Callable[[int, str], None] = lambda lease, instance: None,
        *,
        before: Callable[[], Awaitable[None]] = _nothing,
        alive: Callable[[NodeRecord], Awaitable[bool | None]] = _nobody,
    ) -> None:
        self.registered = asyncio.Event()
        self._etcd = etcd
        self._key = key
        self._record = record
        self._ttl = ttl
        self._clock = clock
        self._on_alive = on_alive
        self._on_lost = on_lost
        self._on_registered = on_registered
        self._before = before
        self._alive = alive
        self._lease: LeaseSession | None = None
        # Whether etcd lets this process read its record.
        self._reads = True
        # The revision of the record as this process wrote it.
        self._written = 0

    @property
    def lease(self) -> LeaseSession | None:
        """The lease under which the node is registered; None while it is not."""
        return self._lease

    async def keep(self) -> None:
        """Register, and again after each loss. Raises Replaced or CannotRegister."""
        give_up = self._clock.monotonic() + PATIENCE_SECONDS
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                await self._hold()
            except QuorateError as error:
                raise CannotRegister(error.message) from error
            except EtcdUnauthenticated as error:
                if not self.registered.is_set():
                    raise CannotRegister(f"etcd refuses the credentials: {error}") from error
                _log.error("etcd_credentials_refused", error=str(error))
            except EtcdError as error:
                if not self.registered.is_set() and self._clock.monotonic() > give_up:
                    raise CannotRegister(f"etcd does not answer: {error}") from error
                _log.warning("not_registered", error=str(error))
            else:
                backoff.reset()
                continue
            await asyncio.sleep(backoff.next())

    async def announce_end(self) -> None:
        """Say on record that this process ends in good order, so that it is not taken for lost.

        Nothing while it is not registered, or when etcd does not take it at once.
        """
        lease = self._lease
        if lease is None or lease.lost.is_set() or not self._written:
            return
        self._record.ending = True
        # Who cannot read the record cannot compare it either.
        own = (Compare(self._key, "mod", "=", self._written),) if self._reads else ()
        written = Put(self._key, self._record.SerializeToString(), lease.id)
        with suppress(EtcdError):
            await self._etcd.txn(own, (written,), timeout=_ANNOUNCE_SECONDS)

    async def close(self) -> None:
        """Leave: revoke the lease, and the record with it."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.close()

    # -- inside --------------------------------------------------------------------------------

    async def _hold(self) -> None:
        """Hold one lease until it is lost. EtcdError when it could not be had."""
        await self._before()
        if self._lease is None:
            self._lease = await LeaseSession.open(self._etcd, self._ttl, clock=self._clock)
        lease = self._lease
        revision = await self._put(lease)
        self._on_alive(lease.trusted_until)
        if not self.registered.is_set():
            self.registered.set()
        _log.info("registered", instance=self._record.instance, lease=f"{lease.id:x}")
        lost = asyncio.ensure_future(lease.lost.wait())
        watch = asyncio.ensure_future(self._watch(lease, revision))
        try:
            while not lost.done():
                self._on_alive(lease.trusted_until)
                await asyncio.wait(
                    (lost, watch), timeout=_RECHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if watch.done():
                    if (error := watch.exception()) is None:
                        break  # the key has to be written again
                    if isinstance(error, Compacted) or not isinstance(error, EtcdError):
                        raise error
                    # Etcd is silent: the next watch is tried without haste.
                    await asyncio.sleep(_RECHECK_SECONDS)
                    watch = asyncio.ensure_future(self._watch(lease, revision))
        finally:
            lost.cancel()
            watch.cancel()
            await asyncio.gather(lost, watch, return_exceptions=True)
        if lease.lost.is_set():
            self._lease = None
            await lease.close(revoke=False)
            _log.warning("lease_lost")
            self._on_lost()

    async def _put(self, lease: LeaseSession) -> int:
        """Write the record; the revision from which to watch. Raises NameTaken.

        A record of another process is overwritten: it is our predecessor's, or that process cannot
        be reached and learns from it that we took its place.
        """
        give_up = self._clock.monotonic() + 2 * self._ttl
        while True:
            found = await self._read()
            if found is None or not await self._is_silent(found):
                break
            if self._clock.monotonic() > give_up:
                break
            await asyncio.sleep(_RECHECK_SECONDS)
        self._record.register_time = self._clock.wall()
        try:
            revision = await self._etcd.put(
                self._key, self._record.SerializeToString(), lease=lease.id
            )
        except LeaseNotFound:
            lease.lost.set()
            return 0
        self._written = revision
        self._on_registered(lease.id, self._record.instance)
        return revision + 1

    async def _read(self) -> bytes | None:
        """The record in etcd; None when there is none, or when it may not be read."""
        try:
            found = await self._etcd.range(Range(self._key))
        except EtcdUnauthenticated as error:
            if self._reads:
                # Wrong credentials are refused for the write that follows, too.
                _log.info("registration_not_readable", error=str(error))
            self._reads = False
            return None
        self._reads = True
        return found.kvs[0].value if found.kvs else None

    async def _is_silent(self, value: bytes) -> bool:
        """Whether the process of this record may live and does not say. Raises NameTaken."""
        try:
            other = NodeRecord.FromString(value)
        except DecodeError:
            return False
        if other.instance == self._record.instance or other.address == self._record.address:
            return False
        alive = await self._alive(other)
        if alive:
            raise NameTaken(
                f"another agent runs as node {self._record.name!r} (at {other.address}): "
                "give this one a name of its own with --name"
            )
        return alive is None

    async def _watch(self, lease: LeaseSession, revision: int) -> None:
        """Return when the record has to be written again; raise Replaced when we have to go."""
        if not self._reads:
            await asyncio.Event().wait()
        async with self._etcd.watch(self._key, start_revision=revision) as batches:
            # What happened before the watch was there (after a loss of it) is read.
            found = await self._etcd.range(Range(self._key))
            self._check(found.kvs[0].value if found.kvs else None)
            if not found.kvs:
                await lease.renew()
                return
            async for batch in batches:
                for event in batch.events:
                    if event.deleted:
                        # Expired, revoked, or deleted by hand: etcd knows which.
                        await lease.renew()
                        return
                    self._check(event.kv.value)

    def _check(self, value: bytes | None) -> None:
        if value is None:
            return
        other = NodeRecord.FromString(value)
        if other.instance != self._record.instance:
            raise Replaced(
                f"another agent registered as node {self._record.name!r} "
                f"(at {other.address}): this one ends"
            )
