"""What the broker knows: the rows, the sub-logs, and what of them only a leader has.

    leader and standby   router, queues by name and uid, sessions on record, producers
    leader               lanes of the queues, bodies, timers, what waits for a chunk, `consuming`

A standby puts and drops rows in the order of its log, and folds the sub-logs of
`queue(uid).lane(sub_log).log`; `lead` concludes them when a term begins.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import IntEnum
from itertools import takewhile
from typing import Final, NamedTuple

from quorate.runtime.errors import not_found
from scheduler.core.broker.consuming.registry import Consuming
from scheduler.core.broker.effects import BrokerEffects, LoadBody, LoadChunks
from scheduler.core.broker.intake import NoTasks, TaskIntake
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.policies import Policies
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.queues.timers import Timers
from scheduler.core.broker.queues.totals import Totals
from scheduler.core.broker.queues.window import Window
from scheduler.core.broker.routing.router import Router
from scheduler.core.broker.rows import (
    MessageQueueRow,
    NamedOffset,
    ProducerRow,
    QueueKey,
    QueueUid,
    SessionId,
    SessionRow,
)
from scheduler.core.broker.storage.bodies import Bodies, BodyRef

# It is there from the beginning, and has no record.
DEFAULT_VIRTUAL_HOST: Final = "/"
# Calls that wait for one chunk; more are answered RESOURCE_EXHAUSTED.
MOST_WAITING: Final = 64


class Awaited(NamedTuple):
    """Who waits for a body: queues whose consumers need it, and events."""

    queues: dict[QueueUid, None]
    events: list[object]


class Space(IntEnum):
    """What etcd has room for. Set by the driver."""

    PLENTY = 0
    # The database in use is above half of its quota: nothing is merged.
    NO_MERGES = 1
    # etcd refuses puts: only what frees space is done.
    NONE = 2


class BrokerState:
    """Owned by the machine, or by a standby's fold.

    Attributes:
        router: exchanges and bindings; it knows the names of the queues.
        queues, names: message queues by uid, uids by virtual host and name.
        sessions: those that are open, and those on record (with `queues`).
        producers: by key, those that published last at the end; `refused_runs`: of all of them.
        named_offsets: how many all streams have together.
        publishing: by producer or stream, while a publish or transaction of it is under way: what
            came after it, in order. See `handlers.publishing.turns`.
        consuming: what the leader knows of consumers: see `consuming`.
        tasks: makes tasks of messages. Set when a term begins.
        space: what etcd has room for.
        instant: the latest one that was stepped. Time does not go back.
        touched: queues in which messages became ready in this step.
        gone: queues that went in this step.
        bodies: those that are stored apart from their messages.
        totals: what became of messages of all queues.
        announcing: bytes of messages about ends of tasks and jobs that wait for their commit.
    """

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        limits = limits or BrokerLimits()
        self.router = Router()
        self.router.create_virtual_host(DEFAULT_VIRTUAL_HOST)
        self.queues: dict[QueueUid, MessageQueue] = {}
        self.names: dict[QueueKey, QueueUid] = {}
        self.sessions: dict[SessionId, SessionRow] = {}
        self.producers: dict[str, ProducerRow] = {}
        self.refused_runs = 0
        self.named_offsets = 0
        self.policies = Policies()
        self.publishing: dict[str, deque[object]] = {}
        self.totals = Totals()
        self.bodies = Bodies(limits.writing_bytes)
        self.window = Window(limits.window_bytes, limits.outgoing_bytes)
        self.timers = Timers()
        self.consuming = Consuming()
        self.tasks: TaskIntake = NoTasks()
        self.space = Space.PLENTY
        self.instant = 0.0
        self.touched: dict[QueueUid, None] = {}
        self.gone: list[MessageQueue] = []
        self.announcing = 0
        # Events that are stepped again when a chunk is there; none of some, which look by
        # themselves.
        self._waiting: dict[tuple[QueueUid, Missing], list[object]] = {}
        # Likewise for bodies, whichever queues need them; and those that clients have no room for.
        self._bodies_awaited: dict[BodyRef, Awaited] = {}
        self._held_back: OrderedDict[BodyRef, None] = OrderedDict()

    # -- rows: put and dropped on the leader and on a standby -------------------------------------

    def put_queue(self, row: MessageQueueRow) -> MessageQueue:
        """A message queue is on record, or its row has changed."""
        queue = self.queues.get(row.uid)
        if queue is not None:
            queue.row = row
            return queue
        queue = self.queues[row.uid] = MessageQueue(row, self.window, self.totals, self.bodies)
        self.names[row.key] = row.uid
        self.router.virtual_hosts[row.virtual_host].put_queue(row.name)
        return queue

    def drop_queue(self, uid: QueueUid) -> None:
        """A message queue is gone, after its bindings."""
        queue = self.queues.pop(uid, None)
        if queue is None:
            return
        row = queue.row
        self.named_offsets -= len(queue.offsets)
        # A standby may have folded its successor first: a new uid, put in the same Txn.
        if self.names.get(row.key) == uid:
            del self.names[row.key]
            host = self.router.virtual_hosts.get(row.virtual_host)
            if host is not None:
                host.drop_queue(row.name)
        self.window.drop_queue(uid)

    def put_offset(self, uid: QueueUid, row: NamedOffset) -> None:
        """A named offset of a stream is on record."""
        queue = self.queues.get(uid)
        if queue is not None:
            self.named_offsets += row.name not in queue.offsets
            queue.offsets[row.name] = row

    def drop_offset(self, uid: QueueUid, name: str) -> None:
        """A named offset is gone, or its stream is."""
        queue = self.queues.get(uid)
        if queue is not None and queue.offsets.pop(name, None) is not None:
            self.named_offsets -= 1

    # -- what there is ---------------------------------------------------------------------------

    def queue(self, virtual_host: str, name: str) -> MessageQueue:
        """The message queue of that name. Raises NOT_FOUND."""
        uid = self.names.get((virtual_host, name))
        if uid is None:
            raise not_found("message_queue", name)
        return self.queues[uid]

    def find_queue(self, virtual_host: str, name: str) -> MessageQueue | None:
        """The message queue of that name; None for none."""
        uid = self.names.get((virtual_host, name))
        return None if uid is None else self.queues[uid]

    # -- leading ---------------------------------------------------------------------------------

    def lead(self, now: float) -> None:
        """A term begins. Time does not run below what is on record."""
        self.timers.clear()
        self.window.clear()
        self._waiting.clear()
        self._bodies_awaited.clear()
        self._held_back.clear()
        self.publishing.clear()
        self.announcing = 0
        latest = [now]
        for queue in self.queues.values():
            queue.lead(now)
            latest += [lane.log.latest for _, lane in queue.sub_logs()]
        self.bodies.lead(
            refs
            for queue in self.queues.values()
            for _, lane in queue.sub_logs()
            for refs in lane.log.chunks.bodies
        )
        latest += [row.instant for row in self.producers.values()]
        self.producers = {
            row.key: row for row in sorted(self.producers.values(), key=lambda row: row.instant)
        }
        self.refused_runs = sum([len(row.refused) for row in self.producers.values()])
        self.instant = max(latest)

    def load(
        self,
        queue: MessageQueue,
        missing: Missing,
        out: BrokerEffects,
        then: object = None,
        *,
        bounded: bool = False,
    ) -> bool:
        """Have a chunk or a body loaded, once however many ask. A body that is to be sent is loaded
        when clients have room for it.

        Args:
            then: an event to be stepped again when it is there; None: consumers of the queue are
                served again.
            bounded: callers may ask for it as often as they like.

        Returns:
            False: too many calls wait for it already, and `then` is not stepped.
        """
        if missing.body is not None:
            return self._load_body(queue.row.uid, missing, missing.body, out, then, bounded)
        key = queue.row.uid, missing
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = []
            out.now.append(LoadChunks(((queue.row.uid, missing.sub_log, missing.first),)))
        return _wait(waiting, then, bounded)

    def _load_body(
        self,
        uid: QueueUid,
        missing: Missing,
        ref: BodyRef,
        out: BrokerEffects,
        then: object,
        bounded: bool,
    ) -> bool:
        awaited = self._bodies_awaited.get(ref)
        if awaited is None:
            awaited = self._bodies_awaited[ref] = Awaited({}, [])
            if missing.sent and not self.window.bodies.may_send(ref):
                self._held_back[ref] = None
            else:
                out.now.append(LoadBody(ref))
        elif ref in self._held_back and (not missing.sent or self.window.bodies.may_send(ref)):
            # What was on its way may be gone without having been taken.
            del self._held_back[ref]
            out.now.append(LoadBody(ref))
        awaited.queues[uid] = None
        return _wait(awaited.events, then, bounded)

    def body_loaded(self, ref: BodyRef) -> list[object]:
        """A body is in memory, or not to be read: its queues are served again; the events that
        waited."""
        awaited = self._bodies_awaited.pop(ref, None)
        self._held_back.pop(ref, None)
        if awaited is None:
            return []
        self.touched.update(awaited.queues)
        return awaited.events

    def send_held_back(self, out: BrokerEffects) -> None:
        """Clients have room for bodies again: those that were held back are looked at in order, up
        to the first one that still has to wait. Something is on its way then, so this is called
        again."""
        for ref in list(takewhile(self.window.bodies.may_send, self._held_back)):
            del self._held_back[ref]
            awaited = self._bodies_awaited.pop(ref)
            self.touched.update(awaited.queues)
            out.then += awaited.events

    def loaded(self, uid: QueueUid, missing: Missing) -> list[object]:
        """A chunk is there, or is not on record any more: the events that waited."""
        return self._waiting.pop((uid, missing), [])


def _wait(waiting: list[object], then: object, bounded: bool) -> bool:
    # Tuples of different types may be equal.
    if then is None or any(type(one) is type(then) and one == then for one in waiting):
        return True
    if bounded and len(waiting) >= MOST_WAITING:
        return False
    waiting.append(then)
    return True
