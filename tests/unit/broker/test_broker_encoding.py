"""What goes ahead of waiting writes while etcd has no space, and what must not."""

from __future__ import annotations

from scheduler.core.broker import effects as fx
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.format import pack
from scheduler.core.broker.storage.places import of_priority
from scheduler.core.broker.storage.records import Acks, DeleteChunks, PutAcks
from scheduler.storage.records.broker.writes import BrokerCodec

UID = QueueUid("00000000000000a1")
P0 = of_priority(0)
GONE = fx.ChangeSubLog(UID, P0, (DeleteChunks(1, 1, own_records=False), PutAcks(Acks())))


def codec() -> BrokerCodec:
    return BrokerCodec(b"/q/", {})


def test_what_is_acknowledged_goes_ahead_and_its_bodies_behind_all_that_waits() -> None:
    out = fx.BrokerEffects(writes=[GONE, fx.DropBody(7, 1), fx.DropBody(8, 3)])
    step = codec().encode(out, lambda uid, sub_log: lambda chunks, revision: None, space=False)
    assert [delete.key for delete in step.purged] == [
        b"/q/mq/00000000000000a1/p00/c/000000000001",
    ]
    assert [delete.key for delete in step.bodies] == [
        b"/q/mb/0000000000000007/0000",
        b"/q/mb/0000000000000008/",
    ]
    assert not step.writes
    # What it says of the others waits.
    assert len(step.additions) == 1


def test_a_copy_is_in_the_txn_that_deletes_what_it_is_of() -> None:
    copy = fx.AddMessages(UID, P0, [pack(9, 1.0, b"dead letter")])
    out = fx.BrokerEffects(writes=[GONE, fx.DropBody(7, 1)], additions=[copy])
    step = codec().encode(out, lambda uid, sub_log: lambda chunks, revision: None, space=False)
    assert not step.purged
    assert not step.bodies
    assert len(step.writes) == 2
    assert len(step.additions) == 2
