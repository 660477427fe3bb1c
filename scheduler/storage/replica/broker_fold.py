"""The broker's part of a standby's fold: exchanges, message queues, and what is in the queues.

What is declared is folded at whole revisions: writes of one Txn have no order, and a binding needs
both of its ends. The records of sub-logs are folded as they come, and concluded (`SubLog.settle`)
later: sub-log by sub-log while a snapshot is read, then a few at a time, those that changed longest
ago first; what is left when this process is elected is concluded then.

A deletion of a range comes as one event a key. Chunks of a queue that is not on record (its record
may be yet to come in the same Txn) are kept aside: a leader deletes what is left of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from quorate.internal.v1 import messages_pb2 as r
from scheduler.core.broker.routing.rows import Binding, Destination, DestinationKind
from scheduler.core.broker.routing.virtual_host import VirtualHost
from scheduler.core.broker.rows import QueueUid, SessionId
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import BadChunk
from scheduler.core.broker.storage.places import DELAYED, PRIORITIES, SubLogName, of_priority
from scheduler.core.broker.storage.sub_log import SubLog
from scheduler.storage import keys
from scheduler.storage.records.broker import codec, rows
from scheduler.storage.records.broker.writes import LaterFields
from scheduler.storage.unknown_fields import unknown_fields

log = structlog.get_logger(__name__)

# Chunks of sub-logs that are concluded for each revision that is followed, on average.
_SETTLED_AT_ONCE: Final = 200
_SUB_LOGS: Final = frozenset((*map(of_priority, range(PRIORITIES)), DELAYED))
_UID: Final = len(keys.MESSAGES)
_SUB_LOG: Final = _UID + keys.MESSAGE_QUEUE_UID + 1

_RECORDS: Final[dict[bytes, Any]] = {
    b"message-hosts": r.VirtualHostRecord,
    b"exchanges": r.ExchangeRecord,
    b"bindings": r.BindingRecord,
    b"message-queues": r.MessageQueueRecord,
    b"message-policies": r.MessagePolicyRecord,
    b"message-sessions": r.MessageSessionRecord,
    b"producers": r.ProducerRecord,
    # Named offsets alone.
    b"mq": r.StreamOffsetRecord,
}


class BrokerFold:
    """Folds the keys of the broker into `state`. Owned by a `Fold`.

    Attributes:
        later: what later versions wrote beside what this one knows.
    """

    def __init__(self, new_state: Callable[[], BrokerState] = BrokerState) -> None:
        self._new_state = new_state
        self.reset()

    def reset(self) -> None:
        """Begin anew: a snapshot follows."""
        self.state = self._new_state()
        self.later: LaterFields = {}
        # Declarations of the revision that is being folded, by key; None: deleted.
        self._changes: dict[bytes, bytes | None] = {}
        self._revision = 0
        self._bindings: dict[bytes, Binding] = {}
        # By what their keys begin with; `_aside`: those of queues that are not on record.
        self._logs: dict[bytes, SubLog] = {}
        self._aside: dict[QueueUid, dict[SubLogName, SubLog]] = {}
        # Those that are to be concluded, in the order of their last changes.
        self._changed: dict[bytes, SubLog] = {}
        self._loading = True
        self._allowed = 0

    @property
    def orphans(self) -> list[QueueUid]:
        """Queues that are gone, of which chunks are left. At a whole revision."""
        return list(self._aside)

    def put(self, kind: bytes, key: bytes, value: bytes, revision: int) -> None:
        """A key was written; those of other kinds are left out."""
        if kind == b"mq" and not key.startswith(codec.OFFSETS, _SUB_LOG):
            self._fold_message(key, value)
        elif kind == b"mb":
            if (body := keys.split_message_body_key(key)) is not None:
                self.state.bodies.fold(body)
        elif kind in _RECORDS:
            self._change(key, value, revision)

    def deleted(self, kind: bytes, key: bytes, revision: int) -> None:
        """A key was deleted; revision 0: in a Txn of its own."""
        if kind == b"mq" and not key.startswith(codec.OFFSETS, _SUB_LOG):
            self._fold_message(key, None)
        elif kind == b"mb":
            if (body := keys.split_message_body_key(key)) is not None:
                self.state.bodies.fold_deleted(body)
        elif kind in _RECORDS:
            self._change(key, None, revision)

    def at(self) -> None:
        """The fold is at a whole revision."""
        if self._changes:
            self._declare()
        if self._loading:
            self._loaded()
        if not self._changed:
            return
        self._allowed += _SETTLED_AT_ONCE
        place, sub_log = next(iter(self._changed.items()))
        if len(sub_log.chunks) <= self._allowed:
            self._allowed = 0
            del self._changed[place]
            sub_log.settle()

    def _loaded(self) -> None:
        """A snapshot is folded."""
        self._loading = False
        self.settle()
        producers = self.state.producers
        # Those that published last are at the end.
        by_age = sorted(producers.values(), key=lambda row: row.instant)
        producers.clear()
        producers.update((row.key, row) for row in by_age)

    def settle(self) -> None:
        """Conclude what is left. At a whole revision."""
        for sub_log in self._changed.values():
            sub_log.settle()
        self._changed.clear()

    # -- messages

    def _fold_message(self, key: bytes, value: bytes | None) -> None:
        end = key.find(b"/", _SUB_LOG) + 1
        place = key[:end]
        sub_log = self._logs.get(place)
        if sub_log is None:
            sub_log = self._sub_log(place, key, value is not None)
            if sub_log is None:
                return
        try:
            codec.fold(sub_log, place, key, value)
        except BadChunk as error:
            log.error("bad_chunk", key=key.decode(errors="replace"), error=str(error))
        changed = self._changed
        if self._loading and place not in changed:
            # Keys come in their order: nothing more comes of the one before.
            self.settle()
        changed.pop(place, None)
        changed[place] = sub_log

    def _sub_log(self, place: bytes, key: bytes, written: bool) -> SubLog | None:
        """The sub-log whose keys begin with `place`; None for what this version has not."""
        uid = QueueUid(key[_UID : _SUB_LOG - 1].decode(errors="replace"))
        name = SubLogName(place[_SUB_LOG:-1].decode(errors="replace"))
        if name not in _SUB_LOGS:
            return None
        queue = self.state.queues.get(uid)
        if queue is not None:
            found = queue.lane(name).log
        elif written or uid in self._aside:
            found = self._aside.setdefault(uid, {}).setdefault(name, SubLog())
        else:
            # Deleted with its queue.
            return None
        self._logs[place] = found
        return found

    def _forget_messages(self, uid: QueueUid) -> None:
        below = keys.message_queue_messages(uid)
        for name in _SUB_LOGS:
            place = below + name.encode() + b"/"
            self._logs.pop(place, None)
            self._changed.pop(place, None)

    # -- declarations

    def _change(self, key: bytes, value: bytes | None, revision: int) -> None:
        if self._changes and (revision != self._revision or not revision):
            self._declare()
        self._revision = revision
        self._changes[key] = value

    def _declare(self) -> None:
        """Fold the declarations of one revision: first what goes, then what comes."""
        changes, self._changes = self._changes, {}
        found: dict[bytes, list[tuple[bytes, Any]]] = {kind: [] for kind in _RECORDS}
        for key, value in changes.items():
            kind = key.partition(b"/")[0]
            record = None
            self.later.pop(key, None)
            if value is not None:
                record = _RECORDS[kind].FromString(value)
                if later := unknown_fields(record):
                    self.later[key] = later
            found[kind].append((key, record))
        for key, _ in found[b"bindings"]:
            # Also one that another has replaced.
            self._drop_binding(key)
        for key, record in found[b"message-queues"]:
            if record is None:
                self._drop_queue(QueueUid(key.rpartition(b"/")[2].decode()))
        for key, record in found[b"exchanges"]:
            if record is None:
                self._drop_exchange(*_names(key))
        for key, record in found[b"message-hosts"]:
            self._host(_names(key)[0], put=record is not None)
        for _, record in found[b"exchanges"]:
            if record is not None:
                self._put_exchange(record)
        for key, record in found[b"message-queues"]:
            if record is not None:
                self._put_queue(QueueUid(key.rpartition(b"/")[2].decode()), record)
        for key, record in found[b"bindings"]:
            if record is not None:
                self._put_binding(key, rows.binding_of(record))
        for key, record in found[b"message-policies"]:
            self._policy(key, record)
        for key, record in found[b"mq"]:
            uid, name = codec.split_offset_key(key)
            if record is None:
                self.state.drop_offset(QueueUid(uid), name)
            else:
                self.state.put_offset(QueueUid(uid), rows.offset_of(record))
        sessions, producers = self.state.sessions, self.state.producers
        for key, record in found[b"message-sessions"]:
            if record is not None:
                row = rows.session_of(record)
                sessions[row.id] = row
            else:
                sessions.pop(SessionId(_names(key)[0]), None)
        for key, record in found[b"producers"]:
            producers.pop(_names(key)[0], None)
            if record is not None:
                producers[record.key] = rows.producer_of(record)

    def _policy(self, key: bytes, record: r.MessagePolicyRecord | None) -> None:
        """What follows of it is in the records of queues and exchanges."""
        row = None if record is None else rows.policy_of(record)
        if row is None:
            self.state.policies.drop(codec.split_policy_key(key))
        else:
            self.state.policies.put(row)

    def _virtual_host(self, name: str) -> VirtualHost | None:
        return self.state.router.virtual_hosts.get(name)

    def _host(self, name: str, *, put: bool) -> None:
        router = self.state.router
        if put:
            router.create_virtual_host(name)
        elif name in router.virtual_hosts:
            router.delete_virtual_host(name)

    def _put_exchange(self, record: r.ExchangeRecord) -> None:
        host, row = self._virtual_host(record.virtual_host), rows.exchange_of(record)
        if host is None or row is None:
            log.warning("exchange_not_known", name=record.name, type=record.type)
            return
        known = host.exchanges.get(row.name)
        if known is not None and known.row.type is not row.type:
            # It was deleted and declared again within one Txn.
            self._drop_exchange(row.virtual_host, row.name)
        host.put_exchange(row)

    def _drop_exchange(self, virtual_host: str, name: str) -> None:
        host = self._virtual_host(virtual_host)
        if host is None or name not in host.exchanges:
            return
        for binding in (
            *host.bindings_from(name),
            *host.bindings_to(Destination(DestinationKind.EXCHANGE, name)),
        ):
            host.drop_binding(binding.id)
        host.drop_exchange(name)

    def _put_binding(self, key: bytes, row: Binding) -> None:
        host = self._virtual_host(row.virtual_host)
        if host is None or row.source not in host.exchanges:
            log.warning("binding_without_exchange", source=row.source)
            return
        host.put_binding(row)
        self._bindings[key] = row

    def _drop_binding(self, key: bytes) -> None:
        row = self._bindings.pop(key, None)
        host = self._virtual_host(row.virtual_host) if row is not None else None
        if row is not None and host is not None:
            host.drop_binding(row.id)

    def _put_queue(self, uid: QueueUid, record: r.MessageQueueRecord) -> None:
        row = rows.message_queue_of(uid, record)
        if self._virtual_host(row.virtual_host) is None:
            log.warning("message_queue_without_virtual_host", name=row.name)
            return
        new = uid not in self.state.queues
        queue = self.state.put_queue(row)
        if new:
            for name, sub_log in self._aside.pop(uid, {}).items():
                queue.lane(name).log = sub_log

    def _drop_queue(self, uid: QueueUid) -> None:
        queue = self.state.queues.get(uid)
        self._aside.pop(uid, None)
        self._forget_messages(uid)
        if queue is None:
            return
        host = self._virtual_host(queue.row.virtual_host)
        if host is not None:
            for binding in host.bindings_to(Destination(DestinationKind.QUEUE, queue.row.name)):
                host.drop_binding(binding.id)
        self.state.drop_queue(uid)


def _names(key: bytes) -> list[str]:
    """The names that a key holds in hex."""
    return [bytes.fromhex(part).decode() for part in key.decode().split("/")[1:]]
