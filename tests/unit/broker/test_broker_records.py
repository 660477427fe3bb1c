"""Rows of the broker as records: they come back as they were, with what later versions wrote."""

from __future__ import annotations

from math import inf

import pytest

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import messages_pb2 as r
from scheduler.core.broker import effects as fx
from scheduler.core.broker.routing.fields import FieldType, Value, text
from scheduler.core.broker.routing.rows import (
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
)
from scheduler.core.broker.rows import (
    MessageQueueRow,
    MessageQueueSpec,
    Overflow,
    ProducerRow,
    QueueType,
    QueueUid,
    SessionId,
    SessionRow,
)
from scheduler.core.broker.storage.format import chunked, pack
from scheduler.core.broker.storage.places import of_priority
from scheduler.core.broker.storage.records import Acks, DeleteChunks, PutAcks
from scheduler.storage import keys
from scheduler.storage.records.broker import rows
from scheduler.storage.records.broker.tables import put_table, table_of
from scheduler.storage.records.broker.writes import BrokerCodec
from scheduler.storage.replica.fold import Fold
from tests.support.next_release import FIELD, NOTE, classes, fill, following, present

UID = QueueUid("00000000000000a1")
P0 = of_priority(0)
ODD = "a/b é\x00"
TABLE = (
    ("text", text("é")),
    ("flag", Value(FieldType.BOOL, True)),
    ("small", Value(FieldType.INT8, -128)),
    ("byte", Value(FieldType.UINT8, 255)),
    ("short", Value(FieldType.INT16, -32_768)),
    ("word", Value(FieldType.UINT32, 2**32 - 1)),
    ("long", Value(FieldType.INT64, -(2**63))),
    ("float", Value(FieldType.FLOAT, 0.5)),
    ("double", Value(FieldType.DOUBLE, -0.1)),
    ("money", Value(FieldType.DECIMAL, (2, -1234))),
    ("bytes", Value(FieldType.BYTES, b"\xff\x00")),
    ("when", Value(FieldType.TIMESTAMP, 2**64 - 1)),
    ("nothing", Value(FieldType.VOID)),
    ("list", Value(FieldType.ARRAY, items=(text("x"), Value(FieldType.INT32, 7)))),
    ("table", Value(FieldType.TABLE, entries=(("b", text("1")), ("a", text("2"))))),
    # A name may stand there twice.
    ("text", text("again")),
)
EXCHANGE = Exchange("/", ODD, ExchangeType.TOPIC, False, True, True, TABLE, "", 1.5)
BINDING = Binding("/", ODD, Destination(DestinationKind.EXCHANGE, "x"), b"\xff#", TABLE, 2**40)
SPEC = MessageQueueSpec(
    QueueType.STREAM,
    True,
    True,
    0.0,
    5.0,
    1,
    2,
    Overflow.REJECT_PUBLISH_DEAD_LETTER,
    "",
    "key",
    31,
    0,
    True,
    0.0,
    False,
    TABLE,
    inf,
)


def test_a_table_keeps_order_types_and_values() -> None:
    record = r.ExchangeRecord()
    put_table(record.arguments, TABLE)
    assert table_of(r.ExchangeRecord.FromString(record.SerializeToString()).arguments) == TABLE


@pytest.mark.parametrize("row", [EXCHANGE, Exchange("v", "e", ExchangeType.CONSISTENT_HASH)])
def test_an_exchange_comes_back(row: Exchange) -> None:
    assert rows.exchange_of(rows.exchange_record(row)) == row


def test_an_exchange_of_a_later_type_is_none() -> None:
    assert rows.exchange_of(r.ExchangeRecord(name="e", type="x-later")) is None


@pytest.mark.parametrize(
    "row", [BINDING, Binding("/", "", Destination(DestinationKind.QUEUE, "q"))]
)
def test_a_binding_comes_back(row: Binding) -> None:
    assert rows.binding_of(rows.binding_record(row)) == row


@pytest.mark.parametrize("spec", [SPEC, MessageQueueSpec()])
def test_a_message_queue_comes_back(spec: MessageQueueSpec) -> None:
    row = MessageQueueRow(UID, "/", ODD, spec, 1.5, SessionId("s"))
    assert rows.message_queue_of(UID, rows.message_queue_record(row)) == row


def test_sessions_and_producers_come_back() -> None:
    session = SessionRow(SessionId("s"), "alice", "/", (UID,), 1.5)
    assert rows.session_of(rows.session_record(session)) == session
    producer = ProducerRow("alice/p", 2**63, 1.5, b"digest")
    assert rows.producer_of(rows.producer_record(producer)) == producer


# -- keys and the fold


def folded(writes: list[fx.Write], fold: Fold | None = None, revision: int = 5) -> Fold:
    """What a standby makes of the writes of one Txn, whose events come in the worst order."""
    fold = fold or Fold()
    out = fx.BrokerEffects(writes=writes)
    step = BrokerCodec(b"", fold.broker.later).encode(out, lambda uid, sub_log: lambda c, r: None)
    for write in reversed(step.writes):
        if isinstance(write, Put):
            fold.put(write.key, write.value, revision)
        elif write.range_end:
            # etcd sends an event for each key.
            known = [keys.message_chunk_key(keys.message_sub_log(b"", UID, P0), n) for n in (0, 2)]
            for key in known:
                fold.deleted(key, revision)
        else:
            fold.deleted(write.key, revision)
    fold.at(revision)
    return fold


def queue(name: str = "q", uid: QueueUid = UID) -> MessageQueueRow:
    return MessageQueueRow(uid, "v/1", name, MessageQueueSpec(), 1.0)


QUEUE_BINDING = Binding("v/1", ODD, Destination(DestinationKind.QUEUE, "q"), b"k", (), 1)
TOPOLOGY: list[fx.Write] = [
    fx.PutVirtualHost("v/1"),
    fx.PutExchange(Exchange("v/1", ODD, ExchangeType.DIRECT)),
    fx.PutMessageQueue(queue()),
    fx.PutBinding(QUEUE_BINDING),
    fx.PutSession(SessionRow(SessionId("s/1"), "alice", "v/1", (UID,), 1.5)),
    fx.PutProducer(ProducerRow("alice/p", 7, 1.5)),
]


def test_what_is_declared_in_one_txn_is_folded_in_whatever_order_it_comes() -> None:
    state = folded(TOPOLOGY).broker.state
    host = state.router.virtual_hosts["v/1"]
    assert list(host.bindings.values()) == [QUEUE_BINDING]
    assert state.queue("v/1", "q").row == queue()
    assert list(state.sessions) == ["s/1"]
    assert state.producers["alice/p"].number == 7


def test_what_is_deleted_in_one_txn_goes_in_whatever_order_it_comes() -> None:
    fold = folded(TOPOLOGY)
    drops: list[fx.Write] = [
        fx.DropBinding(QUEUE_BINDING),
        fx.DropExchange("v/1", ODD),
        fx.DropMessageQueue(UID),
        fx.DropVirtualHost("v/1"),
        fx.DropSession(SessionId("s/1")),
        fx.DropProducer("alice/p"),
    ]
    state = folded(drops, fold, 6).broker.state
    assert list(state.router.virtual_hosts) == ["/"]
    assert not state.queues
    assert not state.names
    assert not state.sessions
    assert not state.producers
    assert not fold.broker.orphans


def test_a_queue_that_is_deleted_and_declared_again_in_one_txn_is_the_new_one() -> None:
    fold = folded(TOPOLOGY)
    new = QueueUid("00000000000000a2")
    again = Binding("v/1", ODD, Destination(DestinationKind.QUEUE, "q"), b"k", (), 2)
    state = folded(
        [
            fx.DropBinding(QUEUE_BINDING),
            fx.DropMessageQueue(UID),
            fx.PutMessageQueue(queue(uid=new)),
            fx.PutBinding(again),
        ],
        fold,
        6,
    ).broker.state
    assert state.queue("v/1", "q").row.uid == new
    assert list(state.queues) == [new]
    assert [row.ordinal for row in state.router.virtual_hosts["v/1"].bindings.values()] == [2]


def test_an_exchange_that_is_declared_again_with_another_type_is_the_new_one() -> None:
    fold = folded(TOPOLOGY)
    fanout = Exchange("v/1", ODD, ExchangeType.FANOUT)
    writes: list[fx.Write] = [fx.DropBinding(QUEUE_BINDING), fx.PutExchange(fanout)]
    host = folded(writes, fold, 6).broker.state.router.virtual_hosts["v/1"]
    assert host.exchanges[ODD].row == fanout
    assert not host.bindings


def test_chunks_ahead_of_their_queue_in_a_txn_are_its_own() -> None:
    fold = Fold()
    place = keys.message_sub_log(b"", UID, P0)
    fold.put(keys.message_chunk_key(place, 0), chunk(0, 3), 5)
    state = folded(TOPOLOGY, fold).broker.state
    fold.broker.settle()
    assert state.queue("v/1", "q").lane(P0).log.alive == 3
    assert not fold.broker.orphans


def test_chunks_of_a_queue_that_is_gone_are_orphans() -> None:
    fold = Fold()
    fold.put(keys.message_chunk_key(keys.message_sub_log(b"", UID, P0), 0), chunk(0, 3), 5)
    fold.at(5)
    assert fold.broker.orphans == [UID]
    (delete,) = BrokerCodec(b"/p/", {}).orphans(fold.broker.orphans)
    assert delete == Delete(b"/p/mq/" + UID.encode() + b"/", b"/p/mq/" + UID.encode() + b"0")


def test_a_queue_that_goes_takes_its_messages() -> None:
    fold = folded(TOPOLOGY)
    place = keys.message_sub_log(b"", UID, P0)
    for first in (0, 2):
        fold.put(keys.message_chunk_key(place, first), chunk(first, 2), 6)
    fold.at(6)
    folded([fx.DropBinding(QUEUE_BINDING), fx.DropMessageQueue(UID)], fold, 7)
    assert not fold.broker.orphans
    assert not fold.broker._logs
    assert not fold.broker._changed


def test_sub_logs_are_concluded_a_few_at_a_time() -> None:
    fold = folded(TOPOLOGY)
    place = keys.message_sub_log(b"", UID, P0)
    for revision in range(6, 9):
        fold.put(keys.message_chunk_key(place, revision), chunk(revision, 1), revision)
        fold.at(revision)
    log = fold.broker.state.queue("v/1", "q").lane(P0).log
    assert not fold.broker._changed
    assert (log.cursor, log.tail, log.alive) == (6, 9, 3)


def test_the_same_queue_of_a_sub_log_that_this_version_has_not_is_left_alone() -> None:
    fold = folded(TOPOLOGY)
    key = keys.message_queue_messages(UID) + b"later/c/000000000000"
    fold.put(key, b"anything", 6)
    fold.deleted(key, 7)
    fold.at(7)
    assert not fold.broker.orphans


def chunk(first: int, count: int) -> bytes:

    (builder,) = chunked([pack(first + n, 1.0, b"x") for n in range(count)])
    return builder.build()[1]


# -- later versions

NEXT = classes(following(present()))


@pytest.mark.parametrize(
    "write", [one for one in TOPOLOGY if not isinstance(one, fx.PutVirtualHost)]
)
def test_what_a_later_version_wrote_stays_when_a_record_is_written(write: fx.Write) -> None:
    fold = Fold()
    codec = BrokerCodec(b"", fold.broker.later)
    (put,) = codec.encode(fx.BrokerEffects(writes=[write]), lambda *a: lambda c, r: None).writes
    assert isinstance(put, Put)
    name = {
        b"exchanges": "ExchangeRecord",
        b"message-queues": "MessageQueueRecord",
        b"bindings": "BindingRecord",
        b"message-sessions": "MessageSessionRecord",
        b"producers": "ProducerRecord",
    }[put.key.partition(b"/")[0]]
    later = NEXT[f"quorate.internal.v1.{name}"].FromString(put.value)
    fill(later)
    fold.put(put.key, later.SerializeToString(), 5)
    fold.at(5)
    (again,) = codec.encode(fx.BrokerEffects(writes=[write]), lambda *a: lambda c, r: None).writes
    assert isinstance(again, Put)
    assert getattr(NEXT[f"quorate.internal.v1.{name}"].FromString(again.value), FIELD) == NOTE
    fold.deleted(put.key, 6)
    fold.at(6)
    assert not fold.broker.later


# -- without space


def test_without_space_the_deletion_of_chunks_goes_ahead() -> None:
    writes = (DeleteChunks(0, 4, False), PutAcks(Acks(5, 5)))
    out = fx.BrokerEffects(writes=[fx.ChangeSubLog(UID, P0, writes)])
    codec = BrokerCodec(b"", {})
    with_space = codec.encode(out, lambda *a: lambda c, r: None)
    assert not with_space.purged
    assert len(with_space.writes) == len(with_space.additions) == 1
    without = codec.encode(out, lambda *a: lambda c, r: None, space=False)
    assert without.purged == with_space.writes
    assert not without.writes
    assert len(without.additions) == 1


def test_without_space_an_event_that_only_deletes_goes_ahead_as_a_whole() -> None:
    out = fx.BrokerEffects(writes=[fx.DropBinding(QUEUE_BINDING), fx.DropMessageQueue(UID)])
    step = BrokerCodec(b"", {}).encode(out, lambda *a: lambda c, r: None, space=False)
    assert len(step.purged) == 3
    assert not step.writes
    assert not step.additions


def test_an_event_that_deletes_a_queue_writes_nothing_into_it() -> None:
    writes: list[fx.Write] = [
        fx.ChangeSubLog(UID, P0, (PutAcks(Acks(5, 5)),)),
        fx.DropMessageQueue(UID),
    ]
    added = [fx.AddMessages(UID, P0, [pack(7, 1.0, b"x")])]
    out = fx.BrokerEffects(writes=writes, additions=added)
    step = BrokerCodec(b"", {}).encode(out, lambda *a: lambda c, r: None)
    assert [type(write) for write in step.writes] == [Delete, Delete]
    assert not step.additions
