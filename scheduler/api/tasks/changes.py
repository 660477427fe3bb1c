"""Recent changes of tasks' records, in the order of the log: what every watch is served from.

```
 standby: the replica's batches --take--> raw --index--> lanes, one a queue and one of all
 leader: one upstream watch ----take-----'                 |
                                      oldest revisions out '--> floor, last change left out by queue
```

Pure and owned by one process: a standby fills it with what its replica folds anyway, and the leader
that it becomes goes on with the same ring, so that a watch which resumes after a failover finds
here what it missed. Nothing is in it that is not committed.

Bounds: `MAX_CHANGES` changes and `MAX_BYTES` of keys and values (about 400 bytes of objects a
change beside them); whole revisions go, the oldest first. Batches are kept as they came until
somebody watches: while nobody does a batch costs its size only (`etcd.api.CompactEvents`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from quorate.etcd.api import WatchBatch, WatchEvent, size_of
from quorate.etcd.generation import FIRST_GENERATION, scoped
from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks import views
from scheduler.storage import keys

MAX_CHANGES: Final = 100_000
MAX_BYTES: Final = 32 << 20
# Queues of which it is known when the last change was left out; past it they are all forgotten.
MAX_QUEUES: Final = 10_000
# Bytes of an event, on average, from which on a batch is looked at for chunks of messages.
_LARGE: Final = 2_048
# The index of an event that stands for all of its revision.
WHOLE: Final = 2**31 - 1
ALL: Final = ""


class Notification(NamedTuple):
    """A change as watchers see it."""

    # 0 for a deletion; MOVED where the task is in another queue from then on.
    state: int
    # A WatchTasksResponse with this event alone: such bytes joined are one with all of them.
    data: bytes


MOVED: Final = -2
_UNMADE: Final = Notification(-1, b"")


class Change:
    """One event of one of a task's records.

    Attributes:
        at: (revision, index): its place among all events of its revision below the prefix.
        told: what watchers see; None when they see nothing. Made when first wanted, once for all.
    """

    __slots__ = (
        "_event",
        "_generation",
        "_moved",
        "_notification",
        "at",
        "kind",
        "queue",
        "size",
        "task",
    )

    def __init__(
        self,
        at: tuple[int, int],
        kind: bytes,
        queue: str,
        task: str,
        event: WatchEvent,
        generation: int,
        *,
        moved: bool = False,
    ) -> None:
        self.at = at
        self.kind = kind
        self.queue = queue
        self.task = task
        self.size = len(event.kv.key) + len(event.kv.value)
        self._event: WatchEvent | None = event
        self._generation = generation
        self._moved = moved
        self._notification: Notification | None = _UNMADE

    @property
    def notification(self) -> Notification | None:
        if self._notification is _UNMADE:
            self._notification = self._make()
            self._event = None
        return self._notification

    def _make(self) -> Notification | None:
        event = self._event
        assert event is not None
        if event.deleted:
            # Both records go in one Txn: one of them counts.
            if self.kind == b"runs":
                return None
            notification = pb.TaskEvent(kind=pb.TaskEvent.KIND_DELETED)
            notification.task.id, notification.task.queue = self.task, self.queue
            state = MOVED if self._moved else 0
        elif self.kind == b"runs":
            run = r.RunRecord.FromString(event.kv.value)
            view = views.task(self.queue, self.task, None, run, now=0.0, full=False)
            notification = pb.TaskEvent(kind=pb.TaskEvent.KIND_UPDATED, task=view)
            state = run.state
        else:
            if event.kv.version != 1:
                # Written again by a retry: its run record follows.
                return None
            record = r.TaskRecord.FromString(event.kv.value)
            view = views.task(
                self.queue, self.task, record, None, now=record.create_time, full=False
            )
            notification = pb.TaskEvent(kind=pb.TaskEvent.KIND_CREATED, task=view)
            state = view.state
        notification.revision = scoped(self._generation, event.kv.mod_revision)
        return Notification(
            state, pb.WatchTasksResponse(events=(notification,)).SerializeToString()
        )


def changes_in(
    events: Sequence[WatchEvent], prefix: bytes, generation: int, *, exact: bool = True
) -> Iterator[Change]:
    """The changes of tasks among a watch's events of whole revisions.

    Args:
        exact: these are all events below `prefix`, so that each one's index is known; else every
            one stands at the end of its revision.
    """
    skip, revision, index = len(prefix), 0, -1
    came: set[tuple[int, str]] | None = None
    for event in events:
        kv = event.kv
        if kv.mod_revision != revision:
            revision, index = kv.mod_revision, -1
        index += 1
        kind, _, rest = kv.key[skip:].partition(b"/")
        if kind != b"runs" and kind != b"tasks":
            continue
        queue, _, task = rest.partition(b"/")
        at = (revision, index if exact else WHOLE)
        moved = False
        if event.deleted and kind == b"tasks":
            if came is None:
                came = _created(events, skip)
            moved = (revision, task.decode()) in came
        yield Change(at, kind, queue.decode(), task.decode(), event, generation, moved=moved)


def _created(events: Iterable[WatchEvent], skip: int) -> set[tuple[int, str]]:
    """The tasks whose records were put, and in which revision: one that was deleted in the same one
    has gone to another queue."""
    found = set()
    for event in events:
        if not event.deleted and event.kv.key[skip:].startswith(b"tasks/"):
            found.add((event.kv.mod_revision, event.kv.key.rpartition(b"/")[2].decode()))
    return found


def _without_messages(batch: WatchBatch, messages: tuple[bytes, ...]) -> WatchBatch:
    """The batch without the values of chunks and bodies: they would drive changes of tasks out of
    the ring.

    The events stay: their number says where others are.
    """
    return WatchBatch(
        batch.revision,
        [
            event._replace(kv=event.kv._replace(value=b""))
            if event.kv.key.startswith(messages)
            else event
            for event in batch.events
        ],
    )


class _Lane:
    """The changes of one queue, oldest first; those before `start` are gone."""

    __slots__ = ("items", "start")

    def __init__(self) -> None:
        self.items: list[Change] = []
        self.start = 0

    def drop_first(self) -> None:
        # Moved together now and then: a list that loses its head each time is quadratic.
        self.items[self.start] = None  # type: ignore[call-overload]
        self.start += 1
        if self.start > 512 and self.start * 2 > len(self.items):
            del self.items[: self.start]
            self.start = 0

    def __len__(self) -> int:
        return len(self.items) - self.start


class Recent:
    """The ring.

    Attributes:
        revision: all up to it was taken.
        at: all up to it is indexed; watches get this far.
        floor: every change behind it is here.
        since: of every change between it and `floor` it is known to which queue it belonged.
    """

    def __init__(
        self,
        prefix: bytes,
        generation: int = FIRST_GENERATION,
        *,
        most: int = MAX_CHANGES,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        self.prefix = prefix
        self.generation = generation
        self.revision = self.at = self.floor = self.since = 0
        self._most = most
        self._most_bytes = most_bytes
        self._raw: deque[tuple[WatchBatch, int]] = deque()
        self._raw_events = 0
        self._bytes = 0
        # The batch that is being looked at, and its revision.
        self._indexing: tuple[Iterator[Change], int] | None = None
        self._lanes: dict[str, _Lane] = {ALL: _Lane()}
        # (kind, queue) of changes left out, and the revision of the last one.
        self._left_out: dict[tuple[bytes, str], int] = {}

    def __len__(self) -> int:
        """Changes, and events not looked at yet."""
        return self._raw_events + len(self._lanes[ALL])

    def restart(self, revision: int) -> None:
        """Begin anew: what changed up to `revision` is not known."""
        self.revision = self.at = self.floor = self.since = revision
        self._raw.clear()
        self._raw_events = self._bytes = 0
        self._indexing = None
        self._lanes = {ALL: _Lane()}
        self._left_out.clear()

    # -- filling

    def take(self, batch: WatchBatch, *, indexed_next: bool = False) -> None:
        """The next batch below the prefix.

        Args:
            indexed_next: the caller indexes it before it takes another one; until then it may
                exceed the bounds, and of what goes it is known to which queues it belonged.
        """
        size = size_of(batch.events)
        if size > _LARGE * len(batch.events):
            kinds = (self.prefix + keys.MESSAGES, self.prefix + keys.MESSAGE_BODIES)
            batch = _without_messages(batch, kinds)
            size = size_of(batch.events)
        self._raw.append((batch, size))
        self._raw_events += len(batch.events)
        self._bytes += size
        self.revision = batch.revision
        if not indexed_next:
            self._trim()

    def index(self, most: int) -> set[str] | None:
        """Look at up to `most` more changes; their queues, None when no change is left."""
        if self._indexing is None:
            if not self._raw:
                return None
            batch, size = self._raw.popleft()
            self._raw_events -= len(batch.events)
            self._bytes -= size
            found = changes_in(batch.events, self.prefix, self.generation)
            self._indexing = (found, batch.revision)
        changes, revision = self._indexing
        lanes, touched = self._lanes, set[str]()
        whole, taken = lanes[ALL].items, 0
        for change in islice(changes, most):
            lane = lanes.get(change.queue)
            if lane is None:
                lane = lanes[change.queue] = _Lane()
            lane.items.append(change)
            whole.append(change)
            self._bytes += change.size
            touched.add(change.queue)
            taken += 1
        if taken < most:
            self._indexing, self.at = None, revision
        self._trim()
        return touched

    def _trim(self) -> None:
        whole = self._lanes[ALL]
        while whole and self._over:
            revision = whole.items[whole.start].at[0]
            while whole and whole.items[whole.start].at[0] == revision:
                self._leave_out(whole.items[whole.start])
                whole.drop_first()
            self.floor = revision
        while self._raw and self._over:
            batch, size = self._raw.popleft()
            self._raw_events -= len(batch.events)
            self._bytes -= size
            # Nobody looked at it: to which queues it belonged is not known.
            self._indexing = None
            self.at = self.floor = self.since = batch.revision
            self._left_out.clear()
        if len(self._left_out) > MAX_QUEUES:
            self._left_out.clear()
            self.since = self.floor

    @property
    def _over(self) -> bool:
        return len(self) > self._most or self._bytes > self._most_bytes

    def _leave_out(self, change: Change) -> None:
        self._left_out[change.kind, change.queue] = change.at[0]
        self._bytes -= change.size
        lane = self._lanes[change.queue]
        lane.drop_first()
        if not lane:
            del self._lanes[change.queue]

    # -- reading

    def missed(self, queue: str, kind: bytes, revision: int) -> int:
        """The last change of a queue's records between `revision` and the floor; 0: none.

        Only for a revision that is not before `since`.
        """
        last = self._left_out.get((kind, queue), 0)
        return last if last > revision else 0

    def behind(self, queue: str, at: tuple[int, int], most: int) -> list[Change]:
        """Up to `most` indexed changes of a queue behind a place; of all queues for `ALL`."""
        lane = self._lanes.get(queue)
        if not lane:
            return []
        first = bisect_right(lane.items, at, lo=lane.start, key=_place)
        return lane.items[first : first + most]


def _place(change: Change) -> tuple[int, int]:
    return change.at
