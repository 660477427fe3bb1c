"""What the machine asks of the world. The driver carries the lists out in this order:
recall, recall_chunks, end_subtasks, drain, signal, kill, unstaff, staff, start; the rest goes to
the open session, if any."""

from __future__ import annotations

from dataclasses import dataclass, field

from node_agent.core.attempts import Attempt, Ref
from node_agent.core.chunks.report import ChunkReport
from node_agent.core.outbox import Report


@dataclass(slots=True)
class Effects:
    """Imperatives gathered since the last `Machine.take`."""

    # Lanes whose queued attempts are to be taken back from the executor; answered, at once or
    # later, by `Machine.on_recalled`, also when nothing could be taken back.
    recall: list[int] = field(default_factory=list)
    # Chunks of which what has not begun is to be returned.
    recall_chunks: list[Attempt] = field(default_factory=list)
    # Subtasks of chunks, by offset, that are not to begin, or to be ended.
    end_subtasks: list[tuple[Attempt, list[int]]] = field(default_factory=list)
    # Replicas that are to get no new request from now on; the kill follows in its time.
    drain: list[Attempt] = field(default_factory=list)
    # Names of signals for programs that run.
    signal: list[tuple[Attempt, str]] = field(default_factory=list)
    # Attempts to end: the first of their lane. Answered by `Machine.on_exited`.
    kill: list[Attempt] = field(default_factory=list)
    # Spare lanes that are closed: their workers are to end.
    unstaff: list[int] = field(default_factory=list)
    # Spare lanes that need a worker; answered by `Machine.on_lane_ready`.
    staff: list[int] = field(default_factory=list)
    # Attempts to run in `attempt.lane`.
    start: list[Attempt] = field(default_factory=list)
    # To report to the leader.
    started: list[Attempt] = field(default_factory=list)
    finished: list[Report] = field(default_factory=list)
    returned: list[Ref] = field(default_factory=list)
    chunk_reports: list[ChunkReport] = field(default_factory=list)
    # Attempts whose progress is to be reported.
    progress: list[Attempt] = field(default_factory=list)
    # Chunks that wait for results (`Chunk.wanted`).
    wanted: list[Attempt] = field(default_factory=list)
    credit: int | None = None

    def __bool__(self) -> bool:
        return bool(
            self.recall
            or self.recall_chunks
            or self.end_subtasks
            or self.drain
            or self.signal
            or self.kill
            or self.unstaff
            or self.staff
            or self.start
            or self.started
            or self.finished
            or self.returned
            or self.chunk_reports
            or self.progress
            or self.wanted
            or self.credit is not None
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the node has when a session opens."""

    running: tuple[tuple[Attempt, float], ...]
    waiting: tuple[Ref, ...]
    finished: tuple[Ref, ...]
    # Of the running and waiting ones, those that are chunks.
    chunks: tuple[Attempt, ...] = ()
