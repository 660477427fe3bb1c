"""All sessions, and all queues that somebody consumes from: what a leader knows of consumers.

A standby has none of it but the sessions' records. A new leader begins with `lead`.
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.broker.consuming.bounds import STREAM_UNSETTLED, UNSETTLED
from scheduler.core.broker.consuming.served import Served
from scheduler.core.broker.consuming.sessions import Consumer, Presence, Session, Total
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueRow,
    QueueType,
    QueueUid,
    SessionId,
    SessionRow,
)


class Consuming:
    """Owned by the leader's state.

    Attributes:
        sessions: by id.
        served: queues by uid, those that somebody consumes from, waits for, or has messages of.
        total, of_streams: unsettled deliveries of queues, and of streams.
        consumers: of all sessions, those that ended with unsettled deliveries included.
        replies: consumers of direct replies, by address.
    """

    def __init__(self) -> None:
        self.sessions: dict[SessionId, Session] = {}
        self.served: dict[QueueUid, Served] = {}
        self.total = Total(UNSETTLED)
        self.of_streams = Total(STREAM_UNSETTLED)
        self.consumers = 0
        self.replies: dict[str, tuple[Session, ConsumerNumber]] = {}
        self._orders = 0

    def lead(
        self,
        rows: Iterable[SessionRow],
        queues: Iterable[MessageQueueRow],
        reattach_at: float,
        now: float,
    ) -> list[Session]:
        """A term begins: the sessions of which this leader has to hear.

        Args:
            rows: sessions on record; `queues`: all queues. The owner of an exclusive queue may have
                no record of its own.
        """
        self.__init__()  # type: ignore[misc]
        by_uid = {row.uid: row for row in queues}
        for row in rows:
            session = self.sessions[row.id] = Session(row, Presence.AWAITED)
            session.awaited = row.queues
            for uid in row.queues:
                if uid in by_uid:
                    self.serve(by_uid[uid]).awaited[row.id] = None
        for queue in by_uid.values():
            if not queue.owner:
                continue
            owner = self.sessions.get(queue.owner)
            if owner is None:
                row = SessionRow(queue.owner, "", queue.virtual_host, (), now)
                owner = self.sessions[queue.owner] = Session(row, Presence.AWAITED)
            owner.owned[queue.uid] = None
        for served in self.served.values():
            served.reattach_at = reattach_at
        return list(self.sessions.values())

    def waits(self, uid: QueueUid, now: float) -> bool:
        """Whether what is ready in a queue may be with sessions of which this leader has to
        hear."""
        served = self.served.get(uid)
        return served is not None and served.waits(now)

    def serve(self, row: MessageQueueRow) -> Served:
        """What is known of the consumers of a queue; made if there is nothing."""
        served = self.served.get(row.uid)
        if served is None:
            total = self.of_streams if row.spec.type is QueueType.STREAM else self.total
            served = self.served[row.uid] = Served(row, total)
        return served

    def own(self, row: MessageQueueRow) -> None:
        """An exclusive queue goes with the session that owns it."""
        session = self.sessions.get(row.owner)
        if session is not None:
            session.owned[row.uid] = None

    def disown(self, row: MessageQueueRow) -> None:
        """An exclusive queue is gone."""
        session = self.sessions.get(row.owner)
        if session is not None:
            session.owned.pop(row.uid, None)

    def order(self) -> int:
        """The next number of a consumer."""
        self._orders += 1
        return self._orders

    def forget_idle(self, uid: QueueUid) -> None:
        """Forget a queue that nobody needs."""
        served = self.served.get(uid)
        if served is not None and served.idle:
            del self.served[uid]

    def forget(self, consumer: Consumer) -> None:
        """It ended and has nothing left."""
        session = consumer.session
        number = consumer.spec.consumer
        session.full.pop(consumer, None)
        if number:
            if session.consumers.get(number) is consumer:
                del session.consumers[number]
                self.consumers -= 1
        elif session.fetching.get(consumer.uid) is consumer:
            del session.fetching[consumer.uid]
        served = self.served.get(consumer.uid)
        if served is not None:
            served.members.pop(consumer, None)
            self.forget_idle(consumer.uid)
