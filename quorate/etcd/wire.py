"""Between the values of `quorate.etcd.api` and etcd's protobuf messages.

This is the only module that touches `aetcd.rpc`, whose generated stubs carry no type hints; what it
hands on is typed, or is `Message` and opaque to everybody else. It owns no state and cannot fail
on what a server sends.

A Txn of the leader has up to a thousand puts, so `txn_request` fills sub-messages in place: with
upb that is 0.3 us a put, against 1.2 us when each is built from keyword arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import grpc.aio
from aetcd.rpc import rpc_pb2, rpc_pb2_grpc

from quorate.etcd.api import (
    Change,
    CompactEvents,
    Compare,
    Delete,
    KeyValue,
    Op,
    Put,
    Range,
    RangeResult,
    TxnResult,
    WatchEvent,
)

Message = Any
"""A protobuf message of etcd; only this module looks inside."""

_pb: Any = rpc_pb2
_grpc: Any = rpc_pb2_grpc

_aio: Any = grpc.aio
EOF: Any = _aio.EOF
"""What reading a stream yields at its end (grpc's published types lack it)."""

_RESULTS = {"=": 0, ">": 1, "<": 2, "!=": 3}  # Compare.CompareResult
_VERSION, _CREATE, _MOD = 0, 1, 2  # Compare.CompareTarget
_DELETED = 1  # Event.EventType


class Stubs:
    """etcd's services on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        kv, lease = _grpc.KVStub(channel), _grpc.LeaseStub(channel)
        self.range: Any = kv.Range
        self.put: Any = kv.Put
        self.delete: Any = kv.DeleteRange
        self.txn: Any = kv.Txn
        self.compact: Any = kv.Compact
        self.lease_grant: Any = lease.LeaseGrant
        self.lease_revoke: Any = lease.LeaseRevoke
        self.lease_keepalive: Any = lease.LeaseKeepAlive
        # By hand, for the size of each response: to count it anew takes longer than to parse it.
        self.watch: Any = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=_pb.WatchRequest.SerializeToString,
            response_deserializer=watch_response,
        )
        maintenance = _grpc.MaintenanceStub(channel)
        self.status: Any = maintenance.Status
        self.alarm: Any = maintenance.Alarm
        self.defragment: Any = maintenance.Defragment
        self.member_list: Any = _grpc.ClusterStub(channel).MemberList
        self.auth: Any = _grpc.AuthStub(channel)
        self.authenticate: Any = self.auth.Authenticate


def range_request(read: Range) -> Message:
    request = _pb.RangeRequest()
    _fill_range(request, read)
    return request


def put_request(key: bytes, value: bytes, lease: int) -> Message:
    return _pb.PutRequest(key=key, value=value, lease=lease)


def delete_request(key: bytes, range_end: bytes) -> Message:
    return _pb.DeleteRangeRequest(key=key, range_end=range_end)


def txn_request(
    compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op]
) -> Message:
    request = _pb.TxnRequest()
    for compare in compares:
        message = request.compare.add(key=compare.key, result=_RESULTS[compare.op])
        if compare.target == "mod":
            message.target, message.mod_revision = _MOD, compare.value
        elif compare.target == "create":
            message.target, message.create_revision = _CREATE, compare.value
        else:
            message.target, message.version = _VERSION, compare.value
    _fill_ops(request.success.add, success)
    _fill_ops(request.failure.add, failure)
    return request


def _fill_ops(add: Any, ops: Sequence[Op]) -> None:
    for op in ops:
        message: Any
        if type(op) is Put:
            message = add().request_put
            message.key, message.value, lease = op
            if lease:
                message.lease = lease
        elif type(op) is Delete:
            message = add().request_delete_range
            message.key = op.key
            if op.range_end:
                message.range_end = op.range_end
        elif type(op) is Range:
            _fill_range(add().request_range, op)
        else:
            raise AssertionError(f"unknown operation {op!r}")


def _fill_range(message: Message, read: Range) -> None:
    message.key = read.key
    message.range_end = read.range_end
    message.limit = read.limit
    message.revision = read.revision
    message.keys_only = read.keys_only
    message.count_only = read.count_only
    message.serializable = read.serializable


def key_value(kv: Message) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def range_result(response: Message, revision: int = 0) -> RangeResult:
    """`revision` stands in where a response inside a Txn has no header of its own."""
    return RangeResult(
        kvs=[key_value(kv) for kv in response.kvs],
        more=response.more,
        count=response.count,
        revision=response.header.revision or revision,
    )


def txn_result(response: Message, reads: bool) -> TxnResult:
    """`reads` is false when what was done has no Range: then the responses need no look."""
    revision = response.header.revision
    ranges = (
        [
            range_result(part.response_range, revision)
            for part in response.responses
            if part.WhichOneof("response") == "response_range"
        ]
        if reads
        else []
    )
    return TxnResult(succeeded=response.succeeded, revision=revision, ranges=ranges)


class WatchResponse(NamedTuple):
    """One response of a watch, and how many bytes it had."""

    message: Message
    size: int


def watch_response(data: bytes) -> WatchResponse:
    return WatchResponse(_pb.WatchResponse.FromString(data), len(data))


class ResponseEvents(CompactEvents):
    """The events of one response, which lives as long as they do."""

    def __init__(self, response: WatchResponse) -> None:
        self._events = response.message.events
        self.size = response.size

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[WatchEvent]:
        return map(_watch_event, self._events)

    @overload
    def __getitem__(self, place: int) -> WatchEvent: ...
    @overload
    def __getitem__(self, place: slice) -> list[WatchEvent]: ...
    def __getitem__(self, place: int | slice) -> WatchEvent | list[WatchEvent]:
        if isinstance(place, slice):
            return [_watch_event(event) for event in self._events[place]]
        return _watch_event(self._events[place])

    def changes(self) -> Iterator[Change]:
        for event in self._events:
            kv = event.kv
            value = kv.value
            # A deletion has none, and to ask for the type takes as long as for the value.
            gone = not value and event.type == _DELETED
            yield gone, kv.key, value, kv.mod_revision, kv.lease


def _watch_event(event: Message) -> WatchEvent:
    return WatchEvent(event.type == _DELETED, key_value(event.kv))


def watch_events(response: WatchResponse) -> ResponseEvents:
    return ResponseEvents(response)


def watch_request(key: bytes, range_end: bytes, start_revision: int) -> Message:
    request = _pb.WatchRequest()
    create = request.create_request
    create.key = key
    create.range_end = range_end
    create.start_revision = start_revision
    create.progress_notify = True
    create.fragment = True
    return request


def lease_grant_request(ttl: int) -> Message:
    return _pb.LeaseGrantRequest(TTL=ttl)


def lease_revoke_request(lease: int) -> Message:
    return _pb.LeaseRevokeRequest(ID=lease)


def lease_keepalive_request(lease: int) -> Message:
    return _pb.LeaseKeepAliveRequest(ID=lease)


def compact_request(revision: int) -> Message:
    return _pb.CompactionRequest(revision=revision)


def authenticate_request(user: str, password: str) -> Message:
    return _pb.AuthenticateRequest(name=user, password=password)


def status_request() -> Message:
    return _pb.StatusRequest()


def alarm_list_request() -> Message:
    return _pb.AlarmRequest(action=_pb.AlarmRequest.GET)


def alarm_name(kind: int) -> str:
    """`NOSPACE`, `CORRUPT`."""
    return str(_pb.AlarmType.Name(kind))


def disarm_request(member: int) -> Message:
    """End the NOSPACE alarm of one member."""
    return _pb.AlarmRequest(action=_pb.AlarmRequest.DEACTIVATE, memberID=member, alarm=_pb.NOSPACE)


def defragment_request() -> Message:
    return _pb.DefragmentRequest()


def member_list_request() -> Message:
    return _pb.MemberListRequest()
