"""What a step of the broker writes, as operations on etcd and additions to the journal.

`encode` is called right after the step: sub-logs move on afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

from google.protobuf.message import Message

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import weigh
from quorate.etcd.journal.joined import Addition
from scheduler.core.broker import effects as fx
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.broker.storage.records import MOST_ACKS_BYTES
from scheduler.storage import keys
from scheduler.storage.records.broker import codec, rows
from scheduler.storage.records.broker.joins import Committed, Publication
from scheduler.storage.records.ranges import prefix_range

# What later versions wrote beside what this one knows, by key without the cluster's prefix: it is
# put back when a record is written. As many as there are such records.
LaterFields = dict[bytes, bytes]
# Makes what gets the chunks of a sub-log that were committed.
CommittedOf = Callable[[QueueUid, SubLogName], Committed]

# At most, with the key.
_ACKS_BYTES: Final = MOST_ACKS_BYTES + 256
# Of a message in a chunk in which numbers are missing.
_MESSAGE_BYTES: Final = 4


class EncodedStep(NamedTuple):
    """One event's writes.

    Attributes:
        purged: what goes as a purge, as etcd has no space.
        bodies: the same of bodies. Memory counts no chunk that refers to them, but the deletion of
            one may wait, with what takes its place: so they go behind all that waits.
        weight: bytes of the others in a request, rounded up.
    """

    purged: list[Delete]
    bodies: list[Delete]
    writes: list[Put | Delete]
    additions: list[Addition]
    weight: int


class BrokerCodec:
    """Encodes the writes of one cluster, whose keys begin with `prefix`.

    Args:
        later: as the fold found them.
    """

    def __init__(self, prefix: bytes, later: LaterFields) -> None:
        self._prefix = prefix
        self._later = later

    def encode(
        self, out: fx.BrokerEffects, committed: CommittedOf, *, space: bool = True
    ) -> EncodedStep:
        """One event's writes.

        Args:
            committed: makes what gets the chunks of a sub-log.
            space: whether etcd takes puts. If not, the deletion of chunks goes as a purge, since it
                is their durable acknowledgement; and so does an event that only deletes.
        """
        writes: list[Put | Delete] = []
        additions: list[Addition] = []
        purged: list[Delete] = []
        bodies: list[Delete] = []
        weight = 0
        gone: list[QueueUid] = []
        if out.additions or out.in_order:
            # What takes the place of what is deleted is in the same Txn, or in one before.
            space = True
        for write in out.writes:
            if type(write) is fx.ChangeSubLog:
                place = keys.message_sub_log(self._prefix, write.uid, write.sub_log)
                if space:
                    change = codec.encode(place, write.writes)
                else:
                    deletes, change = codec.encode_without_space(place, write.writes)
                    purged += deletes
                writes += change.writes
                additions += change.additions
                weight += _ACKS_BYTES * len(change.additions)
            elif type(write) is fx.DropMessageQueue:
                gone.append(write.uid)
            elif type(write) is fx.DropBody and not space:
                bodies.append(self._body(write.body, write.parts))
            else:
                self._definition(write, writes)
        for added in out.additions:
            place = keys.message_sub_log(self._prefix, added.uid, added.sub_log)
            chunks = committed(added.uid, added.sub_log)
            additions.append(Publication(place, added.messages, chunks))
            weight += sum([message.size + _MESSAGE_BYTES for message in added.messages])
        if gone:
            writes, additions = self._drop(gone, writes, additions)
        if not space and not additions and all(type(write) is Delete for write in writes):
            purged += cast("list[Delete]", writes)
            writes = []
        return EncodedStep(purged, bodies, writes, additions, weight + weigh(writes))

    def _body(self, body: int, parts: int) -> Delete:
        if parts == 1:
            return Delete(self._prefix + keys.message_body_key(body, 0))
        return Delete(*prefix_range(self._prefix, keys.message_body_parts(body)))

    def orphans(self, uids: Sequence[QueueUid]) -> list[Delete]:
        """The deletion of the messages of queues that are gone."""
        return [
            Delete(*prefix_range(self._prefix, keys.message_queue_messages(uid))) for uid in uids
        ]

    def _drop(
        self, gone: Sequence[QueueUid], writes: list[Put | Delete], additions: list[Addition]
    ) -> tuple[list[Put | Delete], list[Addition]]:
        """Delete queues with all that is below `mq/<uid>/`: what the same event wrote there is
        left out, as a Txn may not put what it deletes."""
        below = tuple([self._prefix + keys.message_queue_messages(uid) for uid in gone])
        writes = [write for write in writes if not write.key.startswith(below)]
        additions = [added for added in additions if not added.place.startswith(below)]
        for uid in gone:
            self._delete(keys.message_queue_key(uid), writes)
        return writes + self.orphans(gone), additions

    def _definition(self, write: fx.Write, writes: list[Put | Delete]) -> None:
        match write:
            case fx.PutProducer(row):
                self._put(keys.producer_key(row.key), rows.producer_record(row), writes)
            case fx.DropProducer(producer):
                self._delete(keys.producer_key(producer), writes)
            case fx.PutSession(row):
                self._put(keys.message_session_key(row.id), rows.session_record(row), writes)
            case fx.DropSession(session):
                self._delete(keys.message_session_key(session), writes)
            case fx.PutMessageQueue(row):
                key = keys.message_queue_key(row.uid)
                self._put(key, rows.message_queue_record(row), writes)
            case fx.PutPolicy(row):
                self._put(codec.policy_key(row.key), rows.policy_record(row), writes)
            case fx.DropPolicy(row):
                self._delete(codec.policy_key(row.key), writes)
            case fx.PutOffset(uid, row):
                self._put(codec.offset_key(uid, row.name), rows.offset_record(row), writes)
            case fx.DropOffset(uid, name):
                self._delete(codec.offset_key(uid, name), writes)
            case fx.PutBinding(row):
                key = keys.binding_key(row.virtual_host, row.ordinal)
                self._put(key, rows.binding_record(row), writes)
            case fx.DropBinding(row):
                self._delete(keys.binding_key(row.virtual_host, row.ordinal), writes)
            case fx.PutExchange(row):
                key = keys.exchange_key(row.virtual_host, row.name)
                self._put(key, rows.exchange_record(row), writes)
            case fx.DropExchange(virtual_host, name):
                self._delete(keys.exchange_key(virtual_host, name), writes)
            case fx.PutBodyPart(body, part, data):
                writes.append(Put(self._prefix + keys.message_body_key(body, part), data))
            case fx.DropBody(body, parts):
                writes.append(self._body(body, parts))
            case fx.PutVirtualHost(name):
                self._put(keys.message_host_key(name), rows.host_record(name), writes)
            case fx.DropVirtualHost(name):
                self._delete(keys.message_host_key(name), writes)
            case _:
                raise AssertionError(f"a write of another kind: {write}")

    def _put(self, key: bytes, record: Message, writes: list[Put | Delete]) -> None:
        if later := self._later.get(key):
            record.MergeFromString(later)
        writes.append(Put(self._prefix + key, record.SerializeToString()))

    def _delete(self, key: bytes, writes: list[Put | Delete]) -> None:
        self._later.pop(key, None)
        writes.append(Delete(self._prefix + key))
