"""Schedules in the log: each tick fires once, with its cursor, and none while it is paused."""

from __future__ import annotations

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import task_pb2


class Ticks:
    """The ticks of one history."""

    def __init__(self) -> None:
        # The task or job of each tick that fired, by schedule.
        self.fired: dict[tuple[str, int], str] = {}
        self._cursors: dict[str, int] = {}
        # How it is paused; empty: it is not.
        self._paused: dict[str, bytes] = {}
        # At the last revision.
        self._paused_before: dict[str, bytes] = {}
        self._fresh: list[tuple[str, int]] = []

    def schedule(self, record: r.ScheduleRecord) -> None:
        assert record.cursor >= self._cursors.get(record.name, 0), f"{record} goes back"
        self._cursors[record.name] = record.cursor
        paused = record.HasField("pause")
        self._paused[record.name] = record.pause.SerializeToString() if paused else b""

    def schedule_gone(self, name: str) -> None:
        for known in (self._cursors, self._paused, self._paused_before):
            known.pop(name, None)

    def made(self, spec: task_pb2.TaskSpec, run: str) -> None:
        """A task, or a job with this template, was made by a schedule."""
        made = spec.schedule
        if made.cause != task_pb2.SCHEDULE_CAUSE_TICK:
            return
        tick = (made.name, made.tick_time.ToMicroseconds())
        first = self.fired.setdefault(tick, run)
        assert first == run, f"{tick} fired twice: {first}, {run}"
        self._fresh.append(tick)

    def over(self) -> None:
        """A revision is over: the cursor of what fired was in the same Txn."""
        for name, tick in self._fresh:
            assert tick <= self._cursors[name], f"{name}: {tick} is not behind its cursor"
            paused = self._paused.get(name)
            # By another pause: it was resumed, fired and was paused again within this Txn.
            stands_still = paused and paused == self._paused_before.get(name)
            assert not stands_still, f"{name}: {tick} fired, and it is paused"
        self._fresh.clear()
        if self._paused_before != self._paused:
            self._paused_before = dict(self._paused)
