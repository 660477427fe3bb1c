"""What became of the calls of a chunk, and which of them are not to begin."""

from __future__ import annotations

import time
from collections.abc import Iterable

from node_agent.core.attempts import Failure, Outcome, Reason, Result
from node_agent.core.chunks.chunk import Piece
from node_agent.core.chunks.report import Failed, Value
from node_agent.core.held.chunks import cancelled, failure_of_kill
from node_agent.executors.workers.lanes import Lane
from node_agent.executors.workers.running_chunk import RunningChunk
from node_agent.protocol.pieces import ERROR, JSON, Record


def outcomes_of(records: Iterable[Record], piece: Piece) -> tuple[list[Value], list[Failed]]:
    """What a worker says of offsets of a piece: results, and failures."""
    now = 0.0
    values: list[Value] = []
    failed: list[Failed] = []
    for offset, kind, value in records:
        if piece.begin + offset < piece.base:
            continue  # it was read from the marks before
        if kind == ERROR:
            name, message, traceback, pickled, bases = value
            names = tuple(bases.split("\n")) if bases else ()
            now = now or time.time()
            failure = Failure(name, message, traceback, 0, pickled, names)
            failed.append((piece.begin + offset, failure, now))
        else:
            values.append((piece.begin + offset, "json" if kind == JSON else "pickle", value))
    return values, failed


def failure_of_loss(running: RunningChunk, offset: int, crash: Outcome) -> Failure | None:
    """Why the subtask failed that ran when its worker was lost; None: it runs again."""
    if running.attempt.killed is not None:
        return failure_of_kill(running.attempt)
    if running.ended == offset:
        return cancelled()
    if running.late == offset:
        message = f"{Reason.TIMEOUT.value} of {running.chunk.timeout:g} s"
        return Failure(Reason.TIMEOUT.name, message)
    if running.late >= 0 or running.ended >= 0:
        return None  # it was ended because of one before it, which made it just in time
    assert not isinstance(crash.value, Result)
    return crash.value


def withdraw(running: RunningChunk) -> None:
    """Return what is to be ended and was not fed; forget what is over."""
    chunk, unwanted = running.chunk, running.unwanted
    if not unwanted:
        return
    base = chunk.pieces[0].base if chunk.pieces else 0
    for offset in list(unwanted):
        if not chunk.is_fed(offset):
            chunk.withdraw(offset)
            del unwanted[offset]
        elif offset < base or not chunk.pieces:
            del unwanted[offset]


def unwanted_now(lane: Lane, running: RunningChunk) -> int:
    """The offset that a lane's worker runs and that is to be ended; -1 for none. One that it has
    not reached waits for its turn: a tick later, as a rule."""
    if not running.unwanted or not running.sent or lane.retiring:
        return -1
    sent, piece = running.sent[0], running.chunk.pieces[0]
    mark = lane.marks.running(sent.key, sent.size)
    offset = piece.begin + mark
    runs = 0 <= mark < sent.size and offset >= piece.base
    return offset if runs and offset in running.unwanted else -1
