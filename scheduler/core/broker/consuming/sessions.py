"""Sessions and their consumers: what each has not settled, and how much more it may get.

    AWAITED --(inventory)--> PRESENT <--(came back)--- LOST
       |                      |   `----(stream broke)---^ |
       `--(grace is over)-----+--(closed)--> ENDING <-----'(grace is over)

A session is on record from its first consumer on; the record names its queues. It has no lease: the
client's stream to the leader is its heartbeat (docs/adr/0019).

A consumer that ended keeps its deliveries, as `basic.cancel` leaves them to the channel: they are
settled, or come back with the end of the session. One that timed out loses them at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from scheduler.core.broker.consuming.bounds import MESSAGE_BYTES, STEP_MESSAGES, UNLIMITED_BYTES
from scheduler.core.broker.consuming.settles import Settles
from scheduler.core.broker.effects import EndConsumer
from scheduler.core.broker.rows import (
    ConsumerNumber,
    QueueUid,
    SessionId,
    SessionRow,
    SubscribeSpec,
)
from scheduler.core.values.reply_token import Pending

# The number under which `Fetch` has its deliveries.
FETCHING: Final = ConsumerNumber(0)


class Presence(Enum):
    """Where the client of a session is."""

    PRESENT = "present"
    # Its stream broke.
    LOST = "lost"
    # It is on record; this leader has not heard of it yet, or not all of it.
    AWAITED = "awaited"
    # It ended; the commit that says so is on its way.
    ENDING = "ending"


class Unsettled(NamedTuple):
    """A delivery that is not settled.

    Attributes:
        time: when it was sent, or touched.
        size: of the message, bytes.
        failed: deliveries in vain before this one.
        key: its ordering key; empty for none.
        recorded: the record says `failed + 1` until it is settled.
    """

    time: float
    size: int
    failed: int
    key: bytes = b""
    recorded: bool = False


class Total:
    """Deliveries that are not settled, of all queues or of all streams.

    Attributes:
        most: nothing is delivered beyond.
        starved: queues that wait because of that.
    """

    __slots__ = ("most", "starved", "unsettled")

    def __init__(self, most: int) -> None:
        self.most = most
        self.unsettled = 0
        self.starved: dict[QueueUid, None] = {}

    @property
    def room(self) -> int:
        """How many more there may be."""
        return max(self.most - self.unsettled, 0)


class Tally:
    """Deliveries of one queue or stream that are not settled; they count in its `total`, too."""

    __slots__ = ("total", "unsettled")

    def __init__(self, total: Total) -> None:
        self.total = total
        self.unsettled = 0

    def add(self, count: int) -> None:
        """So many more."""
        self.unsettled += count
        self.total.unsettled += count


class Listed:
    """What a session that came back says of one consumer.

    Attributes:
        deliveries: ids that it has; `place`: how many of them were compared.
        confirmed: those of them that the leader knew.
    """

    __slots__ = ("confirmed", "consumer", "deliveries", "place")

    def __init__(self, consumer: Consumer, deliveries: Sequence[int]) -> None:
        self.consumer = consumer
        self.deliveries = deliveries
        self.place = 0
        self.confirmed: dict[int, None] = {}


class Session:
    """Owned by `Consuming`.

    Attributes:
        row: as it is on record, or on its way there if it names queues.
        caller: who opened it; empty: this leader does not know yet.
        consumers: by number; those that ended with unsettled deliveries, too.
        fetching: what `Fetch` got, by queue.
        replies: addresses of its consumers of direct replies: see `replies`.
        owned: its exclusive queues.
        prefetch: one limit for all of them; 0: none.
        unsettled: deliveries of all of them.
        present: it gets deliveries.
        paused: its stream has no room for deliveries at the moment; `sending`: until its client has
            taken a large message.
        recorded: queues of which it is durable that the record names them.
        awaited: queues that wait for it, under a new leader.
        inventory: what has to be compared, after it came back: see `handlers.consuming.inventory`;
            `token`: to be answered then; `ended`: consumers that could not go on.
        resumed: it came back once: what it repeats is no error.
        settles: which settlements are done.
        full: consumers that wait for room in the session's limit, longest first.
        deleted: consumers that ended with their queues, the latest at the end.
    """

    __slots__ = (
        "awaited",
        "consumers",
        "deleted",
        "ended",
        "fetching",
        "full",
        "inventory",
        "owned",
        "paused",
        "prefetch",
        "presence",
        "present",
        "recorded",
        "replies",
        "resumed",
        "row",
        "sending",
        "settles",
        "token",
        "unsettled",
    )

    def __init__(self, row: SessionRow, presence: Presence = Presence.PRESENT) -> None:
        self.row = row
        self.consumers: dict[ConsumerNumber, Consumer] = {}
        self.fetching: dict[QueueUid, Consumer] = {}
        self.replies: dict[ConsumerNumber, str] = {}
        self.owned: dict[QueueUid, None] = {}
        self.full: dict[Consumer, None] = {}
        self.deleted: dict[ConsumerNumber, None] = {}
        self.recorded: dict[QueueUid, None] = {}
        self.settles = Settles()
        self.awaited: tuple[QueueUid, ...] = ()
        self.inventory: deque[Listed] = deque()
        self.token: Pending[object] | None = None
        self.ended: list[EndConsumer] = []
        self.prefetch = self.unsettled = 0
        self.paused = self.sending = self.resumed = False
        self.become(presence)

    @property
    def id(self) -> SessionId:
        return self.row.id

    def become(self, presence: Presence) -> None:
        """The client is somewhere else."""
        self.presence = presence
        self.present = presence is Presence.PRESENT
        # What its streams before had no room for says nothing of the next one.
        self.sending = False

    def all_consumers(self) -> list[Consumer]:
        """Those that subscribed, and what `Fetch` got."""
        return [*self.consumers.values(), *self.fetching.values()]


class Consumer:
    """Owned by its session.

    Attributes:
        order: rises with each consumer: who came first.
        prefetch: deliveries that may be unsettled; 0: `UNLIMITED_BYTES` bound them.
        timeout: seconds in which a delivery has to be settled; infinity: none.
        unsettled: by id, those that were not touched for the longest time first.
        size: what they count, bytes.
        offset: of a stream: the next one that it reads; `since`: none published before.
        ready: it is on record that the session consumes from the queue.
        ended: it gets nothing any more.
        queued: it stands in its queue's turns.
        committing: an automatic acknowledgement is on its way: the next delivery waits for it.
    """

    __slots__ = (
        "committing",
        "ended",
        "offset",
        "order",
        "prefetch",
        "queued",
        "ready",
        "session",
        "since",
        "size",
        "spec",
        "tally",
        "timeout",
        "uid",
        "unsettled",
    )

    def __init__(
        self,
        session: Session,
        spec: SubscribeSpec,
        uid: QueueUid,
        tally: Tally,
        order: int,
        timeout: float,
    ) -> None:
        self.session = session
        self.spec = spec
        self.uid = uid
        self.tally = tally
        self.order = order
        self.timeout = timeout
        self.prefetch = spec.prefetch
        self.unsettled: dict[int, Unsettled] = {}
        self.size = self.offset = 0
        self.since = 0.0
        self.ended = self.queued = self.committing = self.ready = False

    def room(self) -> int:
        """How many more deliveries it may get now, at most `STEP_MESSAGES`."""
        session = self.session
        if self.ended or not (self.ready and session.present):
            return 0
        if session.paused or session.sending:
            return 0
        if self.spec.automatic_ack:
            return 0 if self.committing else STEP_MESSAGES
        if self.prefetch:
            room = self.prefetch - len(self.unsettled)
        else:
            room = (UNLIMITED_BYTES - self.size) // MESSAGE_BYTES
        if session.prefetch and session.prefetch - session.unsettled < room:
            room = session.prefetch - session.unsettled
            if room <= 0:
                session.full[self] = None
        return max(min(room, STEP_MESSAGES), 0)

    def put(self, delivery: int, unsettled: Unsettled) -> None:
        """A delivery is on its way to it."""
        self.unsettled[delivery] = unsettled
        self.size += unsettled.size + MESSAGE_BYTES
        self.session.unsettled += 1
        self.tally.add(1)

    def pop(self, delivery: int) -> Unsettled | None:
        """A delivery is settled or lost; None if it has no such delivery."""
        unsettled = self.unsettled.pop(delivery, None)
        if unsettled is not None:
            self.size -= unsettled.size + MESSAGE_BYTES
            self.session.unsettled -= 1
            self.tally.add(-1)
        return unsettled

    def pop_all(self, deliveries: Sequence[int]) -> list[tuple[int, bytes]]:
        """Deliveries that it has are settled; those with ordering keys, and the keys."""
        unsettled, size = self.unsettled, 0
        keyed: list[tuple[int, bytes]] = []
        for delivery in deliveries:
            one = unsettled.pop(delivery)
            size += one.size
            if one.key:
                keyed.append((delivery, one.key))
        count = len(deliveries)
        self.size -= size + count * MESSAGE_BYTES
        self.session.unsettled -= count
        self.tally.add(-count)
        return keyed

    def clear(self) -> None:
        """All of its deliveries are gone."""
        count = len(self.unsettled)
        self.unsettled.clear()
        self.size = 0
        self.session.unsettled -= count
        self.tally.add(-count)
