"""Care for etcd itself: how its members are, compaction, defragmentation, the NOSPACE alarm.

Most of this concerns one member and is asked of that member, so each has a channel of its own here.
The members are those that etcd lists; they are reached at the given endpoints, and at the addresses
that they advertise where none of the endpoints is theirs.

Owned: the channels, until `close`. Nothing is kept in between; a call that fails half way has done
what its result would have said and can be made again.

Defragmenting a member stops it for as long as that takes (about a second for each GiB): it is done
to one at a time, the leader last, each time only when all members are well, so that a cluster of
three keeps its quorum throughout.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import TracebackType
from typing import Any, Final, Self

from quorate.etcd import wire
from quorate.etcd.api import Compacted, EtcdError, EtcdUnavailable, Range
from quorate.etcd.calls import Calls
from quorate.etcd.channels import Channels, EtcdTls
from quorate.runtime.errors import QuorateError, precondition, unavailable

NOSPACE: Final = "NOSPACE"
# What is to be free of the quota before the NOSPACE alarm is ended: this share of it, and these
# bytes. etcd writes whole pages anew for what changes in them, and takes requests of 1.5 MiB: right
# at the quota the alarm would be back with the next few writes.
MARGIN_SHARE: Final = 0.1
MARGIN_BYTES: Final = 4 << 20
_STATUS = attrgetter("status")
_MEMBERS = attrgetter("member_list")
_ALARM = attrgetter("alarm")
_DEFRAGMENT = attrgetter("defragment")
_COMPACT = attrgetter("compact")
_RANGE = attrgetter("range")

# Seconds.
_LOOK_TIMEOUT: Final = 2.0
_COMPACT_TIMEOUT: Final = 60.0
# 8 GiB, the largest database that etcd's makers advise, on a slow disk.
_DEFRAGMENT_TIMEOUT: Final = 600.0
_HEALTHY_WITHIN: Final = 60.0
_LOOK_EVERY: Final = 0.2


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """One member, as it says itself.

    Attributes:
        id: hex, as etcdctl prints it.
        endpoint: where it was asked; or advertises, when it does not answer.
        trouble: why it counts as not healthy; empty when it is healthy.
        db_size, db_size_in_use: bytes; the difference is what defragmentation gives back.
        latency: of a linearizable read through this member, seconds.
    """

    id: str
    name: str
    endpoint: str
    trouble: str = ""
    leader: bool = False
    learner: bool = False
    version: str = ""
    db_size: int = 0
    db_size_in_use: int = 0
    revision: int = 0
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """All members; `alarms` are (member id, kind)."""

    members: tuple[MemberHealth, ...]
    alarms: tuple[tuple[str, str], ...]

    @property
    def healthy(self) -> bool:
        """Every member answers, follows a leader, and no alarm is raised."""
        return not self.alarms and not any(member.trouble for member in self.members)

    @property
    def no_space(self) -> bool:
        """etcd refuses all writes but deletions until somebody makes space and says so."""
        return any(kind == NOSPACE for _, kind in self.alarms)


def with_room(quota: int) -> int:
    """How large a database may be, bytes, for etcd to go on for a while with this quota."""
    return quota - max(round(MARGIN_SHARE * quota), MARGIN_BYTES)


@dataclass(frozen=True, slots=True)
class Defragmented:
    """One member's database, in bytes, before and after; `took` seconds."""

    member: MemberHealth
    before: int
    after: int
    took: float


class Maintenance:
    """The members of one etcd.

    Args:
        endpoints: `host:port` of some of the members.
        user, password, tls: as for `EtcdClient`.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        user: str = "",
        password: str = "",
        tls: EtcdTls | None = None,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._options = (user, password)
        self._tls = tls
        self._calls: dict[str, Calls] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all channels."""
        for calls in self._calls.values():
            await calls.channels.close()

    async def health(self) -> ClusterHealth:
        """Ask every member. Raises QuorateError UNAVAILABLE when no endpoint answers at all."""
        at, listed = await self._find()
        members = await asyncio.gather(*(self._look(member, at) for member in listed))
        alarms = await self._alarms([member.endpoint for member in members if not member.trouble])
        return ClusterHealth(tuple(members), tuple((f"{who:x}", kind) for who, kind in alarms))

    async def compact(self, revision: int = 0) -> int:
        """Forget all revisions before `revision` (0: the present one); which it was.

        The space is free for etcd's use when this returns, but the file stays as large as it was.
        Raises QuorateError.
        """
        health = await self.health()
        well = [member for member in health.members if not member.trouble]
        if not well:
            raise _unwell(health)
        revision = revision or max(member.revision for member in well)
        request = wire.compact_request(revision)
        # Not to return before the space is really free: what follows may measure it.
        request.physical = True
        try:
            await self._call(well[0].endpoint, _COMPACT, request, _COMPACT_TIMEOUT)
        except Compacted:
            return revision
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"compaction failed: {error}") from error
        return revision

    async def defragment(
        self, each: Callable[[Defragmented], None] = lambda done: None
    ) -> list[Defragmented]:
        """Defragment every member, the leader last, waiting for health in between.

        Args:
            each: called after each member.

        Raises:
            QuorateError: ETCD_UNHEALTHY, before the first or between two; those reported are done.
        """
        health = await self.health()
        if any(member.trouble for member in health.members):
            raise _unwell(health)
        done: list[Defragmented] = []
        for member in sorted(health.members, key=attrgetter("leader", "name")):
            # All of them, not only the next: with one ill member, stopping a second costs the
            # quorum. Alarms do not count: this is how NOSPACE is mended.
            before = await self._healthy(member.id)
            began = time.monotonic()
            try:
                await self._call(
                    before.endpoint, _DEFRAGMENT, wire.defragment_request(), _DEFRAGMENT_TIMEOUT
                )
            except EtcdError as error:
                raise unavailable(
                    "ETCD_UNAVAILABLE", f"defragmenting {member.name} failed: {error}"
                ) from error
            after = await self._healthy(member.id)
            done.append(
                Defragmented(after, before.db_size, after.db_size, time.monotonic() - began)
            )
            each(done[-1])
        return done

    async def disarm(self) -> None:
        """End the NOSPACE alarm of every member. Raises QuorateError."""
        health = await self.health()
        well = [member.endpoint for member in health.members if not member.trouble]
        if not well:
            raise _unwell(health)
        for member, kind in health.alarms:
            if kind == NOSPACE:
                request = wire.disarm_request(int(member, 16))
                try:
                    await self._call(well[0], _ALARM, request, _LOOK_TIMEOUT)
                except EtcdError as error:
                    raise unavailable("ETCD_UNAVAILABLE", f"disarming failed: {error}") from error

    # -- inside --------------------------------------------------------------------------------

    async def _healthy(self, member: str) -> MemberHealth:
        """Wait until every member is well; the one that is meant."""
        until = time.monotonic() + _HEALTHY_WITHIN
        while True:
            health = await self.health()
            if not any(each.trouble for each in health.members):
                found = next((each for each in health.members if each.id == member), None)
                if found is not None:
                    return found
            if time.monotonic() > until:
                raise _unwell(health)
            await asyncio.sleep(_LOOK_EVERY)

    async def _find(self) -> tuple[dict[int, str], list[Any]]:
        """(endpoint of each member that answers at a given one, all members that etcd lists)."""
        at: dict[int, str] = {}
        listed: list[Any] = []
        trouble: EtcdError | None = None

        async def ask(endpoint: str) -> None:
            nonlocal listed, trouble
            try:
                answer = await self._call(endpoint, _MEMBERS, wire.member_list_request())
            except EtcdError as error:
                trouble = error
                return
            at.setdefault(answer.header.member_id, endpoint)
            # A member that was away may have an older list.
            listed = max(listed, list(answer.members), key=len)

        await asyncio.gather(*(ask(endpoint) for endpoint in self._endpoints))
        if not at:
            raise unavailable("ETCD_UNAVAILABLE", f"no etcd answers: {trouble}")
        return at, sorted(listed, key=attrgetter("name", "ID"))

    async def _look(self, member: Any, at: dict[int, str]) -> MemberHealth:
        """One member of etcd's list."""
        name, number = member.name, f"{member.ID:x}"
        advertised = [url.rpartition("://")[2] for url in member.clientURLs]
        endpoint = at.get(member.ID) or (advertised[0] if advertised else "")
        if not endpoint:
            return MemberHealth(number, name, "", trouble="it has not started yet")
        try:
            status = await self._call(endpoint, _STATUS, wire.status_request())
            began = time.monotonic()
            await self._call(endpoint, _RANGE, wire.range_request(Range(b"\0", limit=1)))
            latency = time.monotonic() - began
        except EtcdError as error:
            return MemberHealth(number, name, endpoint, trouble=str(error))
        return MemberHealth(
            id=number,
            name=name,
            endpoint=endpoint,
            trouble="" if status.leader else "it knows of no leader",
            leader=status.leader == member.ID,
            learner=status.isLearner,
            version=status.version,
            db_size=status.dbSize,
            db_size_in_use=status.dbSizeInUse,
            revision=status.header.revision,
            latency=latency,
        )

    async def _alarms(self, endpoints: Sequence[str]) -> list[tuple[int, str]]:
        for endpoint in endpoints:
            try:
                answer = await self._call(endpoint, _ALARM, wire.alarm_list_request())
            except EtcdUnavailable:
                continue
            except EtcdError as error:
                raise unavailable(
                    "ETCD_UNAVAILABLE", f"the alarms cannot be read: {error}"
                ) from error
            return [(one.memberID, wire.alarm_name(one.alarm)) for one in answer.alarms]
        return []

    async def _call(
        self,
        endpoint: str,
        method: Callable[[wire.Stubs], Any],
        request: Any,
        timeout: float = _LOOK_TIMEOUT,
    ) -> Any:
        """One RPC to one member, at most once. Raises EtcdError."""
        calls = self._calls.get(endpoint)
        if calls is None:
            calls = Calls(Channels([endpoint], self._tls), *self._options)
            self._calls[endpoint] = calls
        # A member that is down says so at once by a refused connection; waiting is for our callers.
        if not await calls.channels.current.connected(min(timeout, _LOOK_TIMEOUT)):
            raise EtcdUnavailable(f"etcd {endpoint} cannot be reached")
        return await calls.unary(
            method, request, timeout=timeout, repeat=False, require_leader=False
        )


def _unwell(health: ClusterHealth) -> QuorateError:
    ill = [f"{member.name or member.id}: {member.trouble}" for member in health.members]
    reported = "; ".join(each for each in ill if not each.endswith(": "))
    return precondition("ETCD_UNHEALTHY", f"unhealthy etcd members: {reported}")
