"""A backup holds message queues with all that is in them."""

from __future__ import annotations

from pathlib import Path

from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.snapshot.restore import restore
from quorate.etcd.snapshot.snapshot import back_up
from scheduler.core.broker import effects as fx
from scheduler.core.broker.routing.rows import (
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
)
from scheduler.core.broker.rows import MessageQueueRow, MessageQueueSpec, ProducerRow, SessionRow
from scheduler.storage.replica.fold import Fold
from tests.support.broker_script import P0, SESSION, UID, Script, acks, asked, publish
from tests.support.broker_term import PREFIX, leading, load

HOST, NAME = "team/a", "a/b é"
ROWS: list[fx.Write] = [
    fx.PutVirtualHost(HOST),
    fx.PutExchange(Exchange(HOST, NAME, ExchangeType.TOPIC)),
    fx.PutMessageQueue(MessageQueueRow(UID, HOST, NAME, MessageQueueSpec(), 1.0)),
    fx.PutBinding(Binding(HOST, NAME, Destination(DestinationKind.QUEUE, NAME), b"#", (), 1)),
    fx.PutSession(SessionRow(SESSION, "alice", HOST, (UID,), 1.0)),
    fx.PutProducer(ProducerRow("alice/p", 7, 1.0)),
]


async def folded(etcd: MemoryEtcd) -> Fold:
    fold = Fold()
    await load(etcd, fold)
    fold.broker.settle()
    return fold


async def test_message_queues_come_back_from_a_backup(tmp_path: Path) -> None:
    etcd, other = MemoryEtcd(), MemoryEtcd()
    async with leading(etcd, machine=Script()) as term:
        await term.broker.call(asked(*ROWS))
        # Several MiB: the restore needs several Txns.
        for first in range(0, 24, 2):
            await term.broker.call(asked(add=[publish(first, 2, size=120_000)]))
        await term.broker.call(asked(acks(5)))
    await back_up(etcd, PREFIX, "test", tmp_path / "file", now=1.0)
    await restore(other, PREFIX, "test", tmp_path / "file", now=2.0)
    before, after = (await folded(etcd)).broker.state, (await folded(other)).broker.state
    queue = after.queue(HOST, NAME)
    assert queue.row == before.queue(HOST, NAME).row
    log = queue.lane(P0).log
    assert log.facts() == before.queue(HOST, NAME).lane(P0).log.facts()
    assert (log.cursor, log.tail, log.alive) == (5, 24, 19)
    host = after.router.virtual_hosts[HOST]
    assert list(host.bindings.values()) == [
        Binding(HOST, NAME, Destination(DestinationKind.QUEUE, NAME), b"#", (), 1)
    ]
    assert after.sessions == before.sessions
    assert after.producers == before.producers
