"""Runs chunks of Python calls: feeds pieces to a lane's warm worker and reads what it answers.

A lane that runs a chunk runs nothing else. Its worker has one piece in hand and one ahead, so that
it never waits for the agent, and little has to be taken back. The agent can stop the piece in hand;
what the worker may have begun by then goes on.

When a worker dies, its marks say which subtask ran: that one failed, whatever ended before it is
believed from the marks, and the rest goes on in the next worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from node_agent.core.attempts import Attempt, Failure, Outcome, Result
from node_agent.core.chunks.chunk import Piece
from node_agent.core.chunks.inputs import ResultsPage, Wanted
from node_agent.core.held.chunks import failure_of_kill
from node_agent.executors.chunk_events import ChunkEvents
from node_agent.executors.chunks import call_outcomes as calls
from node_agent.executors.link import Exit
from node_agent.executors.outcomes import outcome_of_crash
from node_agent.executors.workers.lanes import Lane
from node_agent.executors.workers.running_chunk import RunningChunk, Sent
from node_agent.protocol.packets import Spill, page_packet, spilled
from node_agent.protocol.pieces import Forged, Record, read_payload
from node_agent.protocol.replies import USED, Malformed
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import ArrayCall

# Pieces that a worker has, the one in hand included. One that runs reduces has nothing ahead of the
# results that it waits for.
PIECES = 2
_SUCCESS = Result("exit_code", 0)


class Owner(Protocol):
    """The executor of the lanes."""

    def next_key(self) -> int: ...

    def send(self, lane: Lane, packet: bytes) -> None: ...

    def take_back(self, lane: Lane) -> list[int]: ...

    def end_worker(self, lane: Lane, now: float) -> None: ...

    def keep_outputs(self, lane: Lane, attempt: Attempt) -> None: ...


class CallChunks:
    """The chunks in all lanes of a node. Used by the Python executor.

    Args:
        spill: where requests go that are too big for a packet.
        on_unwritten: notified when such a file cannot be written.
    """

    def __init__(
        self,
        owner: Owner,
        events: ChunkEvents,
        spill: Spill,
        secrets: Secrets,
        on_unwritten: Callable[[OSError], object],
    ) -> None:
        self._owner = owner
        self._events = events
        self._spill = spill
        self._secrets = secrets
        self._on_unwritten = on_unwritten

    # -- orders --------------------------------------------------------------------------------

    def start(self, lane: Lane, attempt: Attempt) -> None:
        """Begin a chunk in an empty lane whose worker is ready."""
        work, chunk = attempt.work, attempt.chunk
        assert isinstance(work, ArrayCall)
        assert chunk is not None
        assert lane.chunk is None, "a lane runs one chunk"
        now = time.time()
        secrets = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                chunk.fail_rest(Failure(failure.type, str(failure)), now)
                self._events.on_exited(attempt, Outcome(_SUCCESS, now))
                return
        if work.env:
            secrets = {**(secrets or {}), **work.env}
        lane.chunk = RunningChunk(attempt, work, chunk, secrets, now)
        self._events.on_began(attempt, time.monotonic())
        self.feed(lane)

    def feed(self, lane: Lane) -> None:
        """Send the worker what it has room for, or have it put things back at the end."""
        running = lane.chunk
        if running is None or running.ending or not lane.ready or lane.retiring or running.stopped:
            return
        chunk, attempt = running.chunk, running.attempt
        calls.withdraw(running)
        most = PIECES if chunk.reduce is None else 1
        while len(chunk.pieces) < most and chunk.unfed and self._events.may_feed(attempt):
            piece = chunk.feed()
            assert piece is not None
            if not self._send_piece(lane, running, piece):
                break
        if chunk.over:
            if running.dirty:
                running.ending = self._owner.next_key()
                self._send(lane, running, running.ending, (), (), last=True)
            else:
                self._finish(lane)

    def recall(self, lane: Lane) -> None:
        """Return what has not begun."""
        running = lane.chunk
        if running is None:
            return
        self.take_back(lane)
        started = None
        if running.sent:
            sent = running.sent[-1]
            lane.marks.stop(sent.key)
            # It may have looked just before, and be about to mark the next one.
            started = lane.marks.running(sent.key, sent.size) + 2
        running.chunk.give_up(started)
        self._events.on_chunk_progress(running.attempt, 0, 0)
        self.feed(lane)

    def end_subtasks(self, lane: Lane, offsets: Sequence[int], now: float) -> None:
        """End subtasks: what has not begun is returned, the one that runs is ended; all others go
        on."""
        running = lane.chunk
        if running is None:
            return
        self.take_back(lane)
        running.unwanted.update(dict.fromkeys(offsets))
        calls.withdraw(running)
        chunk = running.chunk
        if running.sent and not chunk.given_up:
            sent, piece = running.sent[-1], chunk.pieces[-1]
            # It may have looked just before, and be about to mark the next one.
            started = piece.begin + lane.marks.running(sent.key, sent.size) + 2
            if any(started <= offset < piece.end for offset in running.unwanted):
                lane.marks.stop(sent.key)
                running.stopped = sent.key
                chunk.shorten(lane.marks.running(sent.key, sent.size) + 2)
                calls.withdraw(running)
        self._end_unwanted(lane, now)
        self._events.on_chunk_progress(running.attempt, 0, 0)
        self.feed(lane)

    def _end_unwanted(self, lane: Lane, now: float) -> None:
        """End the worker where it runs a subtask that is to be ended."""
        running = lane.chunk
        if running is not None and (offset := calls.unwanted_now(lane, running)) >= 0:
            running.ended = offset
            self.take_back(lane)
            self._owner.end_worker(lane, now)

    def kill(self, lane: Lane, now: float) -> None:
        """End a chunk; its end follows."""
        running = lane.chunk
        if running is None:
            return
        self.take_back(lane)
        if running.sent:
            self._owner.end_worker(lane, now)
            return
        # The worker puts things back; what is left is not its business.
        if failure_of_kill(running.attempt) is None:
            running.chunk.give_up()
        else:
            running.chunk.drop_rest()
        self.feed(lane)
        if not lane.ready and lane.chunk is running:
            self._finish(lane)

    def take_back(self, lane: Lane) -> None:
        """Take back what the worker has not received."""
        running = lane.chunk
        taken = self._owner.take_back(lane)
        if running is None:
            return
        while running.sent and running.sent[-1].key in taken:
            running.sent.pop()
            running.chunk.take_back()
        if running.ending in taken:
            running.ending = 0

    def on_tick(self, lane: Lane, now: float) -> None:
        """Look for a subtask whose time is over, and go on where the leader kept us waiting."""
        running = lane.chunk
        if running is None:
            return
        if not running.sent:
            self.feed(lane)
            return
        self._end_unwanted(lane, now)
        sent, piece = running.sent[0], running.chunk.pieces[0]
        offset = max(lane.marks.running(sent.key, sent.size), piece.base - piece.begin)
        timeout = running.chunk.timeout
        if (sent.key, offset) != running.at:
            running.at, running.at_since = (sent.key, offset), now
            return
        # A long one runs. Those before it do not wait for the worker to answer.
        ran, records = lane.marks.ended(sent.key, sent.answered, sent.size)
        if piece.begin + ran > piece.base:
            seconds = (piece.begin + ran - piece.base) * running.chunk.average
            sent.seconds += seconds
            self._advance(running, piece, ran, seconds, records)
        if timeout and now - running.at_since > timeout and not lane.retiring:
            running.late = piece.begin + offset
            self.take_back(lane)
            self._owner.end_worker(lane, now)

    # -- answers -------------------------------------------------------------------------------

    def on_reply(self, lane: Lane, key: int, payload: bytes, seconds: float, flags: int) -> None:
        """Subtasks ended. Raises Malformed."""
        running = lane.chunk
        if running is None:
            raise Malformed("an answer of a chunk that does not run")
        if flags & USED:
            self._owner.keep_outputs(lane, running.attempt)
        if running.ending and key == running.ending:
            lane.take(key)
            running.dirty = False
            self._finish(lane)
            return
        if not running.sent or key != running.sent[0].key:
            raise Malformed("an answer of a piece that does not run")
        chunk, sent = running.chunk, running.sent[0]
        piece = chunk.pieces[0]
        try:
            upto, done, records = read_payload(payload, sent.answered, sent.size)
        except Forged as error:
            raise Malformed(str(error)) from error
        may_leave = chunk.given_up or running.stopped == key
        if done and piece.begin + upto < piece.end and not may_leave:
            raise Malformed("it left a piece, and nobody told it to")
        sent.answered = upto
        self._advance(running, piece, upto, max(0.0, seconds - sent.seconds), records)
        sent.seconds = 0.0
        if done:
            running.sent.popleft()
            lane.take(key)
            running.dirty = not sent.last
            if running.stopped == key:
                running.stopped = 0
            chunk.end_piece()
        self.feed(lane)

    def on_wait(self, lane: Lane) -> None:
        """The subtask that runs waits for another task: what comes behind it runs elsewhere.

        Else it might wait for one that waits for it to end. The worker begins no other either.
        """
        running = lane.chunk
        if running is None or not running.sent:
            return
        sent = running.sent[-1]
        lane.marks.stop(sent.key)
        running.chunk.give_up(lane.marks.running(sent.key, sent.size) + 1)
        self._events.on_chunk_progress(running.attempt, 0, 0)

    def on_wanted(self, lane: Lane, wanted: Wanted) -> None:
        """A reduce waits for results. Raises Malformed."""
        running = lane.chunk
        if running is None or running.chunk.reduce is None or not running.sent:
            raise Malformed("it asks for results, and runs no reduce")
        if not 0 <= wanted.position < running.chunk.reduce.results:
            raise Malformed(f"it asks for the result at position {wanted.position}")
        running.asked = wanted.number
        # Unlike the worker's, this number is never used again.
        ours = wanted._replace(number=self._owner.next_key())
        self._events.on_results_wanted(running.attempt, ours)

    def give_results(self, lane: Lane, attempt: Attempt, page: ResultsPage) -> None:
        """Pass on results that a reduce waits for."""
        running = lane.chunk
        if running is None or running.attempt is not attempt or not running.sent:
            return
        running.drop_page()
        try:
            packet = page_packet(self._spill.pack((running.asked, *page)))
        except OSError as error:
            self._on_unwritten(error)
            failed = ResultsPage(page.first, page.first, (), str(error))
            packet = page_packet(self._spill.pack((running.asked, *failed)))
        running.page = spilled(packet[1:])
        self._owner.send(lane, packet)

    def on_worker_lost(
        self, lane: Lane, exit_: Exit, since: float, memory: int, *, was_ready: bool
    ) -> None:
        """The worker is gone; its answers were read, and what it had not received taken back."""
        running = lane.chunk
        if running is None:
            return
        attempt, chunk = running.attempt, running.chunk
        if running.sent:
            sent, piece = running.sent[0], chunk.pieces[0]
            ran, records = lane.marks.unanswered(sent.key, sent.answered, sent.size)
            ran = max(ran, piece.base - piece.begin)
            seconds = (piece.begin + ran - piece.base) * chunk.average
            self._advance(running, piece, ran, seconds, records)
            crash = outcome_of_crash(exit_, since, memory)
            failure = calls.failure_of_loss(running, piece.begin + ran, crash)
            if failure is not None and piece.base == piece.begin + ran < piece.end:
                chunk.advance(1, crash.seconds, (), [(piece.base, failure, time.time())])
                self._events.on_chunk_progress(attempt, 1, 1)
        running.sent.clear()
        running.drop_page()
        chunk.wanted = None
        running.dirty, running.ending, running.late, running.at = False, 0, -1, (0, -1)
        running.ended, running.stopped = -1, 0
        chunk.put_back()
        calls.withdraw(running)
        if attempt.killed is not None or chunk.over:
            self._finish(lane)
        elif not was_ready:
            chunk.return_all()
            self._finish(lane)

    # -- inside --------------------------------------------------------------------------------

    def _advance(
        self, running: RunningChunk, piece: Piece, upto: int, seconds: float, records: list[Record]
    ) -> None:
        values, failed = calls.outcomes_of(records, piece)
        count = max(0, piece.begin + upto - piece.base)
        running.chunk.advance(count, seconds, values, failed)
        self._events.on_chunk_progress(running.attempt, count, len(failed))

    def _send_piece(self, lane: Lane, running: RunningChunk, piece: Piece) -> bool:
        """Send a piece; False when it takes a file, and there can be none."""
        chunk = running.chunk
        sent = Sent(self._owner.next_key(), piece.end - piece.begin, not chunk.unfed)
        pairs = chunk.part(piece.begin, piece.end).pairs
        items = tuple(chunk.items[piece.begin : piece.end])
        if not self._send(lane, running, sent.key, pairs, items, last=sent.last):
            chunk.take_back()
            chunk.give_up()
            return False
        running.sent.append(sent)
        running.dirty = True
        return True

    def _send(
        self,
        lane: Lane,
        running: RunningChunk,
        key: int,
        pairs: tuple[tuple[int, int], ...],
        items: tuple[bytes, ...],
        *,
        last: bool,
    ) -> bool:
        attempt, work, chunk = running.attempt, running.work, running.chunk
        template = None if running.dirty else (work.entrypoint, work.kind, work.arguments)
        reduce = tuple(chunk.reduce) if chunk.reduce is not None else None
        terms = (
            *(chunk.job_id, chunk.first_index, chunk.index_step, chunk.count),
            *(reduce, attempt.task_id),
        )
        request = (
            key,
            attempt.trace,
            last,
            template,
            pairs,
            items,
            terms,
        )
        try:
            packet = self._spill.pack(request, running.secrets if pairs else None)
        except OSError as error:
            self._on_unwritten(error)
            return False
        if path := spilled(packet):
            lane.spilled[key] = path
        lane.pending[key] = attempt
        self._owner.send(lane, packet)
        return True

    def _finish(self, lane: Lane) -> None:
        running, lane.chunk = lane.chunk, None
        assert running is not None
        running.drop_page()
        seconds = max(0.0, time.time() - running.since)
        # Returned as a whole where something is left.
        value = _SUCCESS if running.chunk.over else None
        self._events.on_exited(running.attempt, Outcome(value, running.since, seconds))
