"""A log for the broker's machine: what is committed, as keys, and a state loaded from it.

Events wait until they are committed, several at once: messages that they add to one sub-log become
one chunk, as in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.routing.rows import Binding
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage import records as r
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import Packed, chunked, summarize
from tests.support.broker import check_writes

Key: TypeAlias = tuple[Any, ...]


@dataclass
class Log:
    """What is committed, and what waits.

    Attributes:
        store: kind and name of a record -> its value.
    """

    limits: BrokerLimits
    store: dict[Key, Any] = field(default_factory=dict)
    waiting: list[fx.BrokerEffects] = field(default_factory=list)

    def commit(self, count: int) -> list[object]:
        """The first events that wait are committed in one Txn: what to step then, and after it
        what to do (`After` effects, behind a None)."""
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        added: dict[tuple[Any, Any], list[Packed]] = {}
        for out in batch:
            check_writes(out)
            for write in out.writes:
                self.write(write)
            for one in out.additions:
                added.setdefault((one.uid, one.sub_log), []).extend(one.messages)
        committed: list[object] = []
        for (uid, sub_log), messages in added.items():
            chunks = [builder.build() for builder in chunked(messages)]
            for summary, value in chunks:
                # A queue that was deleted in the same batch: the journal seals it before that.
                if ("queue", uid) in self.store:
                    self.store["chunk", uid, sub_log, summary.first] = value
            committed.append(e.ChunksCommitted(uid, sub_log, chunks))
        return [*committed, None, *(after for out in batch for after in out.after)]

    def body(self, ref: BodyRef) -> bytes | None:
        """A body that is stored apart, as it is read back; None: it is not whole."""
        parts = sorted(key for key in self.store if key[:2] == ("body", ref.id))
        found = b"".join(self.store[key] for key in parts)
        return found if len(found) == ref.size else None

    def write(self, write: fx.Write) -> None:
        match write:
            case fx.PutMessageQueue(row):
                self.store["queue", row.uid] = row
            case fx.DropMessageQueue(uid):
                for key in [key for key in self.store if key[1] == uid]:
                    del self.store[key]
            case fx.PutExchange(row):
                self.store["exchange", row.virtual_host, row.name] = row
            case fx.DropExchange(virtual_host, name):
                del self.store["exchange", virtual_host, name]
            case fx.PutBinding(row):
                self.store["binding", row.virtual_host, row.id] = row
            case fx.DropBinding(row):
                del self.store["binding", row.virtual_host, row.id]
            case fx.PutProducer(row):
                self.store["producer", row.key] = row
            case fx.PutBodyPart(body, part, data):
                self.store["body", body, part] = data
            case fx.DropBody(body, parts):
                gone = [key for key in self.store if key[:2] == ("body", body)]
                # Fewer are on record if it was given up before the last one.
                assert len(gone) <= parts or not parts
                for key in gone:
                    del self.store[key]
            case fx.DropProducer(key):
                del self.store["producer", key]
            case fx.ChangeSubLog(uid, sub_log, writes):
                puts: set[Key] = set()
                for one in writes:
                    self.change(uid, sub_log, one, puts)
            case _:
                raise AssertionError(write)

    def change(self, uid: Any, sub_log: Any, write: r.Write, puts: set[Key]) -> None:
        place = (uid, sub_log)
        match write:
            case r.PutAcks(acks):
                self.store["acks", *place] = acks
            case r.PutChunkDone(done):
                puts.add(("done", *place, done.first))
                self.store["done", *place, done.first] = done
            case r.DeleteChunkDone(first):
                self.store.pop(("done", *place, first), None)
            case r.PutChunk(first, value):
                puts.add(("chunk", *place, first))
                self.store["chunk", *place, first] = value
            case r.DeleteChunks(first, last, own_records):
                kinds = ("chunk", "done") if own_records else ("chunk",)
                for kind in kinds:
                    for key in [key for key in self.store if key[:3] == (kind, *place)]:
                        if first <= key[3] <= last:
                            assert key not in puts, "a Txn takes no put in a deleted range"
                            del self.store[key]

    def load(self, random: Random) -> BrokerState:
        """A state as a standby has it, from what is committed; sub-logs in any order."""
        state = BrokerState(self.limits)
        host = state.router.virtual_hosts["/"]
        records = list(self.store.items())
        for key, value in records:
            if key[0] == "queue":
                state.put_queue(value)
            elif key[0] == "exchange":
                host.put_exchange(value)
            elif key[0] == "producer":
                state.producers[key[1]] = value
            elif key[0] == "body":
                state.bodies.fold(key[1])
        bindings: list[Binding] = [value for key, value in records if key[0] == "binding"]
        for binding in bindings:
            host.put_binding(binding)
        random.shuffle(records)
        for key, value in records:
            if key[0] not in ("acks", "done", "chunk"):
                continue
            log = state.queues[key[1]].lane(key[2]).log
            if key[0] == "acks":
                log.fold_acks(value)
            elif key[0] == "done":
                log.fold_chunk_done(value)
            else:
                log.fold_chunk(summarize(value))
        for queue in state.queues.values():
            for _, lane in queue.sub_logs():
                lane.log.settle()
        return state
