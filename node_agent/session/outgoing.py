"""What a session still has to report to the leader, and how it is cut into messages.

Filled by the driver on the agent's loop, emptied by the session's one writer. Its size is bounded
by the outbox and the credit, as every entry belongs to an attempt that counts there.
"""

from __future__ import annotations

import asyncio
from collections import deque

from node_agent.core.attempts import Attempt, Ref
from node_agent.core.chunks.report import ChunkReport
from node_agent.core.effects import Effects, Inventory
from node_agent.core.outbox import Report
from node_agent.session import chunk_messages as chunk_wire
from node_agent.session import messages as wire
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_pb2

# A message is closed when it holds this much; one more report (about 1 MiB at most) still fits
# into the 16 MiB that both sides accept.
MESSAGE_BYTES = 2 * 1024 * 1024
_REF_BYTES = 64


class Outgoing:
    """The other end of the driver: one per session."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._started: list[tuple[Attempt, float]] = []
        self._finished: deque[Report] = deque()
        self._chunk_reports: deque[ChunkReport] = deque()
        self._returned: deque[Ref] = deque()
        # By task, with its age: of each the newest alone.
        self._progress: dict[str, tuple[Attempt, float]] = {}
        self._wanted: list[Attempt] = []
        self._credit: int | None = None
        self._stats: node_pb2.NodeStats | None = None
        self._wake = asyncio.Event()

    async def wait(self) -> None:
        """Until there is something to send."""
        await self._wake.wait()

    def add(self, effects: Effects, wall: float, now: float, *, hold: bool) -> None:
        """Take over what is meant for the leader. `wall`, `now`: the time, wall and monotonic.

        `hold`: nothing is in a hurry, and waits for more or for `flush`. What is returned does
        not wait, since it could run elsewhere.
        """
        self._started.extend(
            (attempt, wall - max(0.0, now - (attempt.running_since or now)))
            for attempt in effects.started
        )
        self._finished.extend(effects.finished)
        self._returned.extend(effects.returned)
        self._chunk_reports.extend(effects.chunk_reports)
        for attempt in effects.progress:
            age = 0.0 if attempt.progress is None else now - attempt.progress.at
            self._progress[attempt.task_id] = attempt, age
        self._wanted.extend(effects.wanted)
        if effects.credit is not None:
            self._credit = effects.credit
        if not hold or self._returned or self._chunk_reports or self._wanted:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        if (
            self._started
            or self._finished
            or self._returned
            or self._chunk_reports
            or self._progress
            or self._wanted
            or self._credit is not None
        ):
            self._wake.set()

    def add_stats(self, stats: node_pb2.NodeStats) -> None:
        """The newest measurements replace older ones."""
        self._stats = stats
        self._wake.set()

    def first(self, inventory: Inventory, now: float, monotonic: float) -> pb.SessionResponse:
        """The message that answers `hello`. Times: wall and monotonic now."""
        response = pb.SessionResponse(instance=self._instance)
        wire.set_time(response.time, now)
        message = response.inventory
        for attempt, since in inventory.running:
            item = message.running.add(task_id=attempt.task_id, attempt=attempt.number)
            wire.set_time(item.start_time, now - (monotonic - since))
            if attempt.suspended:
                message.suspended.add(task_id=attempt.task_id, attempt=attempt.number)
            if attempt.progress is not None:
                age = monotonic - attempt.progress.at
                wire.put_progress(message.progress.add(), attempt, age)
        for ref in inventory.waiting:
            message.waiting.add(task_id=ref.task_id, attempt=ref.number)
        for ref in inventory.finished:
            message.finished.add(task_id=ref.task_id, attempt=ref.number)
        for attempt in inventory.chunks:
            chunk_wire.put_progress(message.chunks.add(), attempt)
        return response

    def next(self, now: float) -> pb.SessionResponse | None:
        """One message of what has gathered, or None. `now` is wall time."""
        if not self._wake.is_set():
            return None
        response = pb.SessionResponse(instance=self._instance)
        size = 0
        for attempt, since in self._started:
            if attempt.over:
                continue  # its end says all
            item = response.started.add(task_id=attempt.task_id, attempt=attempt.number)
            wire.set_time(item.start_time, since)
        self._started.clear()
        for attempt, age in self._progress.values():
            if not attempt.over:
                wire.put_progress(response.progress.add(), attempt, age)
        self._progress.clear()
        for attempt in self._wanted:
            chunk_wire.put_wanted(response, attempt)
        self._wanted.clear()
        reports, finished = self._chunk_reports, self._finished
        while reports and size < MESSAGE_BYTES:
            one = reports.popleft()
            chunk_wire.put_report(response.chunk_reports.add(), one)
            size += one.size
        # The end of a chunk comes behind all that the chunk tells.
        while finished and size < MESSAGE_BYTES and not reports:
            report = finished.popleft()
            wire.put_finished(response, report, now)
            size += report.size
        while self._returned and size < MESSAGE_BYTES:
            task_id, number = self._returned.popleft()
            response.returned.add(task_id=task_id, attempt=number)
            size += _REF_BYTES
        if self._credit is not None:
            response.credit = self._credit
            self._credit = None
        if self._stats is not None:
            response.stats.CopyFrom(self._stats)
            wire.set_time(response.time, now)
            self._stats = None
        if not finished and not self._returned and not reports:
            self._wake.clear()
        return response
