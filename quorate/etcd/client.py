"""`Etcd` over gRPC: the real store.

Responsible for turning each call into one RPC and its answer or failure into the values and errors
of `quorate.etcd.api`. Owns the channels; `close` ends them. Where a call goes and what happens when
that fails is `quorate.etcd.calls`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quorate.etcd import wire
from quorate.etcd.api import (
    Compacted,
    Compare,
    EtcdRefused,
    EtcdUnavailable,
    LeaseGrant,
    LeaseNotFound,
    Op,
    Range,
    RangeResult,
    StoreStatus,
    TxnResult,
    WatchBatch,
)
from quorate.etcd.calls import Calls, Metadata
from quorate.etcd.channels import Channels, EtcdTls
from quorate.etcd.failures import FUTURE_TEXT
from quorate.etcd.watch import EtcdWatch, compacted_revision
from quorate.etcd.wire import Message, Stubs
from quorate.runtime.config import EtcdSettings

__all__ = ["EtcdClient", "EtcdTls"]

_RANGE = attrgetter("range")
_PUT = attrgetter("put")
_DELETE = attrgetter("delete")
_TXN = attrgetter("txn")
_GRANT = attrgetter("lease_grant")
_REVOKE = attrgetter("lease_revoke")
_COMPACT = attrgetter("compact")
_STATUS = attrgetter("status")
_MEMBERS = attrgetter("member_list")
_ALARM = attrgetter("alarm")


class EtcdClient:
    """A client of one etcd cluster, for one event loop; see `Etcd` for what each call promises.

    Args:
        endpoints: `host:port` of the members.
        user, password: sent when `user` is not empty; ignored by an etcd without authentication.
        tls: use TLS; without it the connections are plaintext.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        user: str = "",
        password: str = "",
        tls: EtcdTls | None = None,
    ) -> None:
        self._channels = Channels(endpoints, tls)
        self._calls = Calls(self._channels, user, password)

    @classmethod
    def from_settings(
        cls, settings: EtcdSettings, endpoints: Sequence[str] | None = None
    ) -> EtcdClient:
        """A client as `settings` describe it, of all their endpoints or of some.

        OSError when a named file cannot be read.
        """
        password = ""
        if settings.etcd_password_file:
            password = Path(settings.etcd_password_file).read_text().rstrip("\r\n")
        tls = None
        if settings.etcd_ca_file:
            tls = EtcdTls(settings.etcd_ca_file, settings.etcd_cert_file, settings.etcd_key_file)
        wanted = settings.endpoints if endpoints is None else endpoints
        return cls(wanted, user=settings.etcd_user, password=password, tls=tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        try:
            response = await self._calls.unary(
                _RANGE,
                wire.range_request(read),
                timeout=timeout,
                repeat=True,
                require_leader=not read.serializable,
            )
        except Compacted as error:
            first = await compacted_revision(self._calls, read.key, read.revision, timeout)
            raise Compacted(first or read.revision + 1) from error
        return wire.range_result(response)

    async def put(self, key: bytes, value: bytes, *, lease: int = 0, timeout: float = 5.0) -> int:
        request = wire.put_request(key, value, lease)
        response = await self._calls.unary(_PUT, request, timeout=timeout, repeat=False)
        return int(response.header.revision)

    async def delete(self, key: bytes, range_end: bytes = b"", *, timeout: float = 5.0) -> int:
        request = wire.delete_request(key, range_end)
        response = await self._calls.unary(_DELETE, request, timeout=timeout, repeat=False)
        return int(response.deleted)

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        request = wire.txn_request(compares, success, failure)
        response = await self._calls.unary(_TXN, request, timeout=timeout, repeat=False)
        done = success if response.succeeded else failure
        return wire.txn_result(response, Range in map(type, done))

    async def lease_grant(self, ttl: int, *, timeout: float = 5.0) -> LeaseGrant:
        # May leave a second lease behind when repeated; it expires unused.
        request = wire.lease_grant_request(ttl)
        response = await self._calls.unary(_GRANT, request, timeout=timeout, repeat=True)
        return LeaseGrant(id=response.ID, ttl=response.TTL)

    async def lease_keepalive(self, lease: int, *, timeout: float = 2.0) -> int:
        request = wire.lease_keepalive_request(lease)
        response = await self._calls.unary(_keepalive, request, timeout=timeout, repeat=True)
        if response.TTL <= 0:
            raise LeaseNotFound(f"lease {lease:x} expired or was revoked")
        return int(response.TTL)

    async def lease_revoke(self, lease: int, *, timeout: float = 5.0) -> None:
        request = wire.lease_revoke_request(lease)
        try:
            await self._calls.unary(_REVOKE, request, timeout=timeout, repeat=True)
        except LeaseNotFound:
            return

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        return EtcdWatch(self._calls, key, range_end, start_revision)

    async def compact(self, revision: int, *, timeout: float = 30.0) -> None:
        request = wire.compact_request(revision)
        try:
            await self._calls.unary(_COMPACT, request, timeout=timeout, repeat=True)
        except Compacted:
            return
        except EtcdRefused as error:
            if FUTURE_TEXT not in str(error):
                raise

    async def status(self, *, timeout: float = 2.0) -> StoreStatus:
        response = await self._calls.unary(
            _STATUS, wire.status_request(), timeout=timeout, repeat=True, require_leader=False
        )
        members = await self._calls.unary(
            _MEMBERS, wire.member_list_request(), timeout=timeout, repeat=True, require_leader=False
        )
        return StoreStatus(
            version=response.version,
            db_size=response.dbSize,
            db_size_in_use=response.dbSizeInUse,
            revision=response.header.revision,
            leader=response.leader,
            members=len(members.members),
        )

    async def alarms(self, *, timeout: float = 2.0) -> list[tuple[int, str]]:
        """The alarms that are raised: (member, `NOSPACE` or `CORRUPT`). For diagnosis."""
        response = await self._calls.unary(
            _ALARM, wire.alarm_list_request(), timeout=timeout, repeat=True, require_leader=False
        )
        return [(one.memberID, wire.alarm_name(one.alarm)) for one in response.alarms]

    async def administer(self, method: str, request: Message, *, timeout: float = 5.0) -> Message:
        """A call of etcd's Auth service by name, for `quorate.etcd.server.users`; not repeated."""

        def stub(stubs: Stubs) -> Any:
            return getattr(stubs.auth, method)

        return await self._calls.unary(stub, request, timeout=timeout, repeat=False)

    async def close(self) -> None:
        await self._channels.close()


def _keepalive(stubs: Stubs) -> Any:
    """LeaseKeepAlive as a unary call: one request, one answer, the stream ended."""

    async def once(request: Message, *, timeout: float, metadata: Metadata) -> Message:
        call = stubs.lease_keepalive(iter((request,)), timeout=timeout, metadata=metadata)
        answer: Message = None
        async for response in call:
            answer = response
        if answer is None:
            raise EtcdUnavailable("etcd ended the keepalive without an answer")
        return answer

    return once
