"""Whose turn it is among the queues that have something waiting: by slot time. Pure.

Each queue has a virtual time, as each tenant within a queue has (`scheduler.core.queues.shares`):
the slot-seconds that its attempts took, divided by its share. The queue with the least goes next.
So a queue of short calls gets as much of the slots as a queue whose chunks take a tenth of a
second each, whatever the number of its tasks.

An attempt is charged what it will probably take when it is assigned: the mean of its queue, or of a
chunk the mean of its job for each subtask. The difference follows when it ends or, of a chunk, with
each report.

Memory of the leader, and only while queues wait for the same slots: who is alone is charged
nothing. A new leader begins anew, with all queues alike. Memory: one number for each attempt that
was charged and has not ended, and a few for each queue that waited lately.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.queues.shares import USUAL, Turns

# Seconds for which queues are charged after two of them waited at once.
_LASTS = 10.0
# What an assignment is charged at least: where attempts take no time queues still take turns.
_LEAST = 1e-4
# Work, in seconds, and attempts of one turn: a turn costs more than an assignment.
_TURN = 0.005
MOST_AT_ONCE = 16
# Slot-seconds by which a queue that could not start anything is behind the others at most: what it
# may catch up. And by which an attempt that took longer than expected sets it back at most, or as
# many usual attempts.
_MOST_BEHIND = 5.0
_MOST_AHEAD = 60.0
_ATTEMPTS_AHEAD = 4
# Virtual times of queues that are gone, before they are dropped.
_CLEAR_ABOVE = 256


class SlotTime:
    """The queues that wait, by virtual time."""

    __slots__ = ("_turns", "_until", "_used", "charged", "on")

    def __init__(self) -> None:
        # Whether attempts are charged.
        self.on = False
        self._until = 0.0
        self._forget()

    def _forget(self) -> None:
        # What was charged for attempts that have not ended, in virtual time: the share of a queue
        # may change meanwhile. Of chunks, for each subtask.
        self.charged: dict[TaskId, float] = {}
        self._turns = Turns()
        self._used: dict[str, float] = {}

    def look(self, waiting: Sequence[tuple[QueueName, int]], now: float) -> bool:
        """A pass begins. Whether the queues take turns in it; else there is only one.

        Args:
            waiting: the queues that have something waiting, and how many attempts of each run;
                that is looked at where attempts are not charged yet.
        """
        if len(waiting) > 1:
            self._until = now + _LASTS
            if not self.on:
                self.on = True
                # Nothing is known of what runs but that it takes slots.
                self._used = {name: running * USUAL for name, running in waiting}
                self._turns.floor = min(self._used.values())
        elif self.on and now >= self._until:
            self.on = False
            self._forget()
        if not self.on:
            return False
        used = self._used
        if len(used) > 2 * len(waiting) + _CLEAR_ABOVE:
            # Who used less than those that wait begins with them anyway.
            floor = self._turns.floor or 0.0
            self._used = used = {name: time for name, time in used.items() if time > floor}
        self._turns.bring_back(_MOST_BEHIND)
        self._turns.enter((name for name, _ in waiting), lambda name: used.get(name, 0.0))
        return True

    def first(self) -> QueueName | None:
        """The queue that goes next; None when all were set aside."""
        name = self._turns.first()
        return None if name is None else QueueName(name)

    def at_once(self, queue: QueueName) -> int:
        """It goes now, with so many attempts."""
        self._turns.chosen(queue)
        return max(1, min(MOST_AT_ONCE, int(_TURN / max(_LEAST, self._turns.mean(queue)))))

    def leave(self, queue: QueueName) -> None:
        """It has nothing that waits."""
        self._turns.leave(queue)

    def set_aside(self, queue: QueueName) -> None:
        """It can start nothing more in this pass."""
        self._turns.set_aside(queue)

    def charge(
        self, queue: QueueName, attempt: TaskId, share: float, each: float = -1.0, count: int = 1
    ) -> None:
        """An attempt is assigned: a task, or a chunk of `count` subtasks.

        Args:
            share: of the queue; here and below.
            each: seconds that a task or subtask takes; below 0: not known.
        """
        each = max(_LEAST, self._turns.mean(queue) if each < 0.0 else each)
        self.charged[attempt] = each / share
        self._move(queue, each * count / share, inf)

    def moved_on(self, queue: QueueName) -> None:
        """Something of it starts that takes no slot."""
        self._move(queue, USUAL, inf)

    def correct(self, queue: QueueName, attempt: TaskId, share: float, seconds: float) -> None:
        """A task's attempt has ended after so many seconds; 0.0: it never began."""
        each = self.charged.pop(attempt, None)
        if each is None:
            return
        most = max(_MOST_AHEAD, _ATTEMPTS_AHEAD * self._turns.mean(queue))
        self._move(queue, max(_LEAST, seconds) / share - each, most / share)
        if seconds > 0.0:
            self._turns.ran(queue, seconds)

    def correct_chunk(
        self,
        queue: QueueName,
        chunk: TaskId,
        share: float,
        seconds: float,
        count: int,
        *,
        over: bool = False,
    ) -> None:
        """`count` subtasks of a chunk took so long together, or were returned.

        Args:
            over: nothing else follows of the chunk.
        """
        each = self.charged.pop(chunk, None) if over else self.charged.get(chunk)
        if each is not None:
            self._move(queue, seconds / share - each * count, _MOST_AHEAD / share)

    def _move(self, queue: QueueName, by: float, most: float) -> None:
        """Move its virtual time, up to `most` above that of those that begin now."""
        turns, floor = self._turns, self._turns.floor or 0.0
        before = max(turns.time(queue), self._used.get(queue, 0.0))
        self._used[queue] = time = min(before + by, max(before, floor + most))
        turns.moved(queue, time)
