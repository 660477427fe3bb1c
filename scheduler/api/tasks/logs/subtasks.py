"""StreamTaskLogs of a subtask: its part of the log that its chunk has on a node.

Offsets are those of the part: 0 is the first byte that the subtask wrote. The chunk's log is read
from its beginning, as only the frames in it say what belongs to whom."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Final

import grpc

from quorate.runtime.errors import QuorateError
from quorate.runtime.subtask_frames import SubtaskPart
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.sessions import Sessions
from scheduler.api.subtask_place import SubtaskPlace, Subtasks
from scheduler.api.tasks.logs.relay import no_attempt, read_from_node

# Seconds between two looks at a subtask that is followed.
_LOOK: Final = 0.1
_STREAMS: Final = (pb.LOG_STREAM_STDOUT, pb.LOG_STREAM_STDERR)


async def relay_subtask_logs(
    sessions: Sessions, subtasks: Subtasks, request: pb.StreamTaskLogsRequest
) -> AsyncIterator[pb.StreamTaskLogsResponse]:
    """Answer one call; with `follow`, wait for the first attempt if there is none yet.

    Raises:
        QuorateError: NOT_FOUND (subtask, attempt, or its output on the node), UNAVAILABLE when the
            node is away.
    """
    place = await _place(subtasks, request)
    if not place.node:
        # Finished, and nobody knows where.
        raise QuorateError(
            grpc.StatusCode.NOT_FOUND,
            "LOG_GONE",
            f"no record says where task {request.id!r} ran, so its output is not known",
            metadata={"task": request.id},
        )
    first: dict[int, int] = dict.fromkeys(_STREAMS, request.offset)
    if request.tail_lines and not request.offset:
        log = _Log(sessions, place, request.id)
        async with aclosing(log.read(follow=False)) as pieces:
            first = await _tails(pieces, request.tail_lines)
    log = _Log(sessions, place, request.id)
    async with aclosing(log.read(follow=False)) as pieces:
        async for piece in pieces:
            if answer := _from(piece, first[piece.stream], place.attempt):
                yield answer
    if request.follow and not place.finished:
        following = log.follow(lambda: subtasks.runs(request.id, place.chunk))
        async with aclosing(following) as pieces:
            async for piece in pieces:
                if answer := _from(piece, first[piece.stream], place.attempt):
                    yield answer
    for piece in log.rest():
        if answer := _from(piece, first[piece.stream], place.attempt):
            yield answer


async def _place(subtasks: Subtasks, request: pb.StreamTaskLogsRequest) -> SubtaskPlace:
    """Where the attempt is that is asked for."""
    while True:
        place = await subtasks.place(request.id)
        if request.attempt not in (0, place.attempt) and not (
            request.follow and request.attempt == place.attempt + 1 and not place.finished
        ):
            raise no_attempt(request.id, request.attempt, latest=True)
        if place.node or (place.finished and place.attempt):
            return place
        if place.finished or not request.follow:
            raise no_attempt(request.id, request.attempt)
        await asyncio.sleep(_LOOK)


def _from(piece: pb.LogChunk, first: int, attempt: int) -> pb.StreamTaskLogsResponse | None:
    """What of a piece lies behind `first`."""
    skip = first - piece.offset
    if skip >= len(piece.data):
        return None
    if skip > 0:
        piece.data, piece.offset = piece.data[skip:], first
    piece.attempt = attempt
    return pb.StreamTaskLogsResponse(chunk=piece)


async def _tails(pieces: AsyncIterator[pb.LogChunk], lines: int) -> dict[int, int]:
    """Where the last lines of each stream begin. Memory: a number a line, 100,000 at most."""
    begins: dict[int, deque[int]] = {stream: deque(maxlen=lines) for stream in _STREAMS}
    fresh = dict.fromkeys(_STREAMS, True)
    async for piece in pieces:
        at, found = 0, begins[piece.stream]
        while at < len(piece.data):
            if fresh[piece.stream]:
                found.append(piece.offset + at)
            end = piece.data.find(b"\n", at)
            fresh[piece.stream] = end >= 0
            at = end + 1 if end >= 0 else len(piece.data)
    return {stream: found[0] if found else 0 for stream, found in begins.items()}


class _Log:
    """A subtask's part of its chunk's log, as far as it was read."""

    def __init__(self, sessions: Sessions, place: SubtaskPlace, name: str) -> None:
        self._sessions = sessions
        self._place = place
        self._name = name
        self._parts = {stream: SubtaskPart(place.number) for stream in _STREAMS}

    async def read(self, *, follow: bool) -> AsyncGenerator[pb.LogChunk, None]:
        """The subtask's output in what there is, or comes, behind what was read before."""
        place = self._place
        # One offset is for both streams: what comes twice is left out.
        offset = min(part.read for part in self._parts.values())
        try:
            chunks = read_from_node(
                self._sessions, place.node, place.chunk, 1, follow=follow, offset=offset
            )
            async with aclosing(chunks) as pieces:
                async for piece in pieces:
                    part = self._parts.get(piece.stream)
                    if part is None:
                        continue
                    for at, data in part.feed(piece.offset, piece.data):
                        mine = pb.LogChunk(stream=piece.stream, offset=at, data=data)
                        if piece.HasField("time"):
                            mine.time.CopyFrom(piece.time)
                        yield mine
        except QuorateError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            raise QuorateError(
                grpc.StatusCode.NOT_FOUND,
                "LOG_GONE",
                f"node {place.node!r}, which ran task {self._name!r}, no longer has its output",
                metadata={"task": self._name, "node": place.node},
            ) from error

    async def follow(self, runs: Callable[[], bool]) -> AsyncGenerator[pb.LogChunk, None]:
        """What comes until the subtask has ended, and what it wrote last."""
        async with aclosing(self.read(follow=True)) as pieces:
            pending: asyncio.Future[pb.LogChunk] | None = None
            try:
                while runs():
                    if pending is None:
                        pending = asyncio.ensure_future(anext(pieces))
                    done, _ = await asyncio.wait((pending,), timeout=_LOOK)
                    if not done:
                        continue
                    ended, pending = pending, None
                    try:
                        yield ended.result()
                    except StopAsyncIteration:
                        break
            finally:
                if pending is not None:
                    pending.cancel()
                    await asyncio.gather(pending, return_exceptions=True)
        async with aclosing(self.read(follow=False)) as rest:
            async for piece in rest:
                yield piece

    def rest(self) -> Iterator[pb.LogChunk]:
        """What was held back, as it might have been the beginning of a frame."""
        for stream, part in self._parts.items():
            for at, data in part.end():
                yield pb.LogChunk(stream=stream, offset=at, data=data)
