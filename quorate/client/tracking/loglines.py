"""How far a reader of a task's logs got, so that a broken stream goes on behind it."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb

# A node that cannot be reached is waited for so long.
AWAY_SECONDS = 3.0


class LogPosition:
    """What was asked for and what was already passed on. Owned by one reader."""

    def __init__(
        self, task_id: str, *, follow: bool, attempt: int, tail: int, head: int = 0
    ) -> None:
        self._asked = pb.StreamTaskLogsRequest(
            id=task_id, attempt=attempt, follow=follow, tail_lines=tail, head_lines=head
        )
        # Bytes passed on of each output of `_attempt`.
        self._read: dict[int, int] = {}
        self._attempt = attempt
        # Since when the node is away, as far as it was heard.
        self._away_since: float | None = None

    def request(self) -> pb.StreamTaskLogsRequest:
        """The request that goes on from here."""
        request = pb.StreamTaskLogsRequest()
        request.CopyFrom(self._asked)
        # Of the first lines the same are asked for again, and skipped here.
        if self._read and not request.head_lines:
            request.tail_lines = 0
            # One offset for both outputs: from the lesser, the rest is skipped here. The latest
            # attempt may be another one by now, and is read from its beginning.
            both = self._asked.attempt and len(self._read) > 1
            request.offset = min(self._read.values()) if both else 0
        return request

    def unread(self, chunk: pb.LogChunk) -> pb.LogChunk | None:
        """The part of a chunk that was not passed on before."""
        self._away_since = None
        if chunk.attempt and chunk.attempt != self._attempt:
            # Its node was lost: what follows is another attempt's, and all of it is new.
            self._attempt = chunk.attempt
            self._read.clear()
        known = self._read.get(chunk.stream, 0)
        skip = max(0, known - chunk.offset)
        if skip >= len(chunk.data):
            return None
        self._read[chunk.stream] = chunk.offset + len(chunk.data)
        if skip == 0:
            return chunk
        return pb.LogChunk(
            stream=chunk.stream,
            offset=known,
            data=chunk.data[skip:],
            attempt=chunk.attempt,
            time=chunk.time if chunk.HasField("time") else None,
        )

    def gives_up(self, error: QuorateError, now: float, last: float) -> bool:
        """Whether trying again ends with an error: at `last`, or sooner where the node is away.

        Not at once: a new leader has no session with its nodes at first. Who follows a log waits
        for the node until `last`.
        """
        if error.reason != "NODE_UNAVAILABLE" or self._asked.follow:
            self._away_since = None
            return now >= last
        if self._away_since is None:
            self._away_since = now
        return now >= min(last, self._away_since + AWAY_SECONDS)

    def may_begin(self, verdict: Exception) -> bool:
        """Whether the refusal may only mean that no attempt began yet, and is worth a wait."""
        return (
            self._asked.follow
            and isinstance(verdict, QuorateError)
            and verdict.code is grpc.StatusCode.FAILED_PRECONDITION
        )


class LogSearch:
    """Where a search goes on: call by call until all was looked at. Owned by one reader."""

    def __init__(self, task_id: str, text: str, attempt: int) -> None:
        self._next = pb.SearchTaskLogsRequest(id=task_id, text=text, attempt=attempt)
        self.complete = False

    def request(self) -> pb.SearchTaskLogsRequest:
        """The next call's."""
        return self._next

    def take(self, answer: pb.SearchTaskLogsResponse) -> Sequence[pb.LogMatch]:
        """What it found; go on behind it."""
        request = self._next
        request.stdout_from, request.stderr_from = answer.stdout_next, answer.stderr_next
        request.attempt = answer.attempt
        self.complete = answer.complete
        return answer.matches
