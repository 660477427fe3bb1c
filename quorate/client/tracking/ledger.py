"""Who waits for which task's outcome: pure bookkeeping for the trackers.

A watch may report that a task finished before the answer to its creation brings its id. Such events
are kept, for as long as a submission that began before them is under way, and at most
`MOST_UNCLAIMED` of them (other programs' tasks are among them). What had to be dropped is named
by `claim`, and has to be asked for one by one.

Not thread-safe: the owner holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NewType

from quorate.client.tracking.outcome import is_finished
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

MOST_UNCLAIMED = 50_000

Outcome = task_pb2.Task | BaseException
"""A finished task, or why its outcome cannot be had."""

Sink = Callable[[Outcome], None]
"""Told once, outside of any lock. Must not block or raise."""

Ticket = NewType("Ticket", int)


class Ledger:
    """Outcomes on their way to those who wait for them."""

    def __init__(self, most_unclaimed: int = MOST_UNCLAIMED) -> None:
        self._most = most_unclaimed
        self._waiting: dict[str, Sink] = {}
        # Who waits for tasks that have left the queue.
        self._moved: list[tuple[str, Sink]] = []
        # Event number of each, oldest first; None: it has left the queue.
        self._unclaimed: OrderedDict[str, tuple[int, task_pb2.Task | None]] = OrderedDict()
        self._submissions: dict[Ticket, int] = {}
        self._events = 0
        self._dropped = 0
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> list[str]:
        """Ids whose outcome is awaited, oldest first."""
        return sorted(self._waiting)

    def begin(self) -> Ticket:
        """A submission starts: from now on keep what may belong to it."""
        self._tickets += 1
        ticket = Ticket(self._tickets)
        self._submissions[ticket] = self._events
        return ticket

    def claim(
        self, ticket: Ticket, ids: Sequence[str], sinks: Sequence[Sink]
    ) -> tuple[list[tuple[Sink, Outcome]], list[str]]:
        """The submission answered with `ids`: (outcomes already here, ids to ask for)."""
        began = self._submissions[ticket]
        ready: list[tuple[Sink, Outcome]] = []
        doubtful = []
        for task_id, sink in zip(ids, sinks, strict=True):
            found = self._unclaimed.pop(task_id, None)
            if found is not None and found[1] is not None:
                ready.append((sink, found[1]))
                continue
            self._waiting[task_id] = sink
            if found is not None or self._dropped > began:
                doubtful.append(task_id)
        self.end(ticket)
        return ready, doubtful

    def on_gap(self) -> None:
        """The watch began anew: what finished in between was not reported.

        Who waits already is looked for in a list; submissions under way, whose ids nobody knows
        yet, have to ask for each.
        """
        self._events += 1
        self._dropped = self._events

    def end(self, ticket: Ticket) -> None:
        """The submission is over; forget what was kept for it alone."""
        self._submissions.pop(ticket, None)
        oldest = min(self._submissions.values(), default=self._events + 1)
        while self._unclaimed:
            task_id, (number, _) = next(iter(self._unclaimed.items()))
            if number > oldest:
                break
            del self._unclaimed[task_id]

    def on_events(self, events: Sequence[pb.TaskEvent]) -> list[tuple[Sink, Outcome]]:
        """Versions of tasks arrived: the outcomes to report now. `take_moved` follows."""
        ready: list[tuple[Sink, Outcome]] = []
        for event in events:
            if event.kind == pb.TaskEvent.KIND_DELETED:
                # Of one that finished, that was reported before.
                moved = self.take(event.task.id)
                self._moved += moved
                if not moved:
                    self._keep(event.task.id, None)
            elif is_finished(event.task):
                ready.extend(self._on_finished(event.task))
        return ready

    def _on_finished(self, task: task_pb2.Task) -> list[tuple[Sink, Outcome]]:
        sink = self._waiting.pop(task.id, None)
        if sink is not None:
            return [(sink, task)]
        self._keep(task.id, task)
        return []

    def _keep(self, task_id: str, task: task_pb2.Task | None) -> None:
        """It may belong to a submission whose answer, with its ids, is still on its way."""
        if not self._submissions:
            return
        self._events += 1
        # A later word replaces an earlier one: finished, then deleted is still finished.
        if task is None and task_id in self._unclaimed:
            return
        self._unclaimed.pop(task_id, None)
        self._unclaimed[task_id] = (self._events, task)
        if len(self._unclaimed) > self._most:
            _, (number, _) = self._unclaimed.popitem(last=False)
            self._dropped = max(self._dropped, number)

    def take_moved(self) -> list[tuple[str, Sink]]:
        """Tasks that have left the queue since it was last asked, and who waits for each: their
        outcomes are in another queue, and no longer expected here."""
        moved, self._moved = self._moved, []
        return moved

    def take(self, task_id: str) -> list[tuple[str, Sink]]:
        """A task and who waits for it, no longer here; nothing where nobody does."""
        sink = self._waiting.pop(task_id, None)
        return [] if sink is None else [(task_id, sink)]

    def settle(self, task_id: str, outcome: Outcome) -> list[tuple[Sink, Outcome]]:
        """The outcome of one task was found in another way."""
        sink = self._waiting.pop(task_id, None)
        return [] if sink is None else [(sink, outcome)]

    def give_up(self, error: BaseException) -> list[tuple[Sink, Outcome]]:
        """No outcome will come any more: every wait fails."""
        ready: list[tuple[Sink, Outcome]] = [(sink, error) for sink in self._waiting.values()]
        ready += [(sink, error) for _, sink in self.take_moved()]
        self._waiting.clear()
        self._unclaimed.clear()
        return ready
