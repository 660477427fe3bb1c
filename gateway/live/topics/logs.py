"""Topic `logs`: what one attempt writes, one StreamTaskLogs for each subscription.

Nothing is dropped and nothing buffered: while the client does not keep up, the stream is not read,
and waits at the node. When the way to the node breaks, the stream is opened again and goes on where
it was. The client learns of it after half a second; a node that stays away for `PATIENCE` seconds
ends the subscription with the reason.

Each stream begins with how much there is (LogExtent), unless the log is a subtask's, or an earlier
version's.

The resume token is the bytes sent of each output: `<stdout>.<stderr>`.
"""

from __future__ import annotations

import asyncio
import codecs
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from gateway.http.jsonwrite import to_json
from gateway.live.cluster.calls import STREAM_LOGS, Cluster, passes
from gateway.live.cluster.tokens import bad_token
from gateway.live.messages import frames
from gateway.live.messages.filters import LogFilter
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2

PATIENCE: Final = 15.0
# Seconds of failing until a client learns of it: a new leader is there before.
SAID_AFTER: Final = 0.5
_AGAIN: Final = 0.25
_NAMES: Final = {
    scheduler_pb2.LOG_STREAM_STDOUT: "stdout",
    scheduler_pb2.LOG_STREAM_STDERR: "stderr",
}


class Reader(Protocol):
    """The subscription that the lines are for."""

    def send(self, rest: bytes) -> None:
        """Send a message, without its opening."""

    def fail(self, error: QuorateError) -> None:
        """Tell why it is over."""

    def finish(self, rest: bytes) -> None:
        """Tell the end."""

    async def drained(self) -> None:
        """Until its client keeps up."""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


@dataclass(slots=True)
class Output:
    """How far one output was sent. A character cut in two waits for its other half."""

    sent: int = 0
    decoder: codecs.IncrementalDecoder = field(default_factory=_decoder)

    def take(self, offset: int, data: bytes) -> tuple[int, str]:
        """The text of a chunk, and where it begins; what was sent already is skipped."""
        end = offset + len(data)
        if end <= self.sent:
            return self.sent, ""
        if offset < self.sent:
            data, offset = data[self.sent - offset :], self.sent
        if offset > self.sent:
            # The middle was rotated away, or only the tail was asked for.
            self.decoder.reset()
            self.sent = offset
        waiting = len(self.decoder.getstate()[0])
        self.sent = end
        return offset - waiting, self.decoder.decode(data)

    @property
    def resume(self) -> int:
        """Bytes as text."""
        return self.sent - len(self.decoder.getstate()[0])


class LogTail:
    """One subscription's log. Raises QuorateError for a bad resume token."""

    def __init__(self, wanted: LogFilter, resume: str) -> None:
        self._wanted = wanted
        self._outputs = {name: Output() for name in _NAMES.values()}
        self._resumed = bool(resume)
        # Once it is known, the latest attempt stays the one that is sent.
        self._attempt = wanted.attempt
        if resume:
            parts = resume.split(".")
            if len(parts) != 2 or not all(map(_is_number, parts)):
                raise bad_token()
            for output, part in zip(self._outputs.values(), parts, strict=True):
                output.sent = int(part)

    async def run(self, cluster: Cluster, reader: Reader) -> None:
        """Tell everything until the attempt's end."""
        loop = asyncio.get_running_loop()
        # Since when nothing came of trying.
        failing: float | None = None
        # Whether its client knows that.
        said = False
        while True:
            began = loop.time()
            try:
                answers = cluster.stream(STREAM_LOGS, self._request(), timeout=None)
                async with aclosing(cast("Any", answers)):
                    async for answer in answers:
                        failing, said = None, False
                        if answer.HasField("extent"):
                            reader.send(frames.extent(to_json(answer.extent)))
                            continue
                        self._publish(answer.chunk, reader)
                        await reader.drained()
                reader.finish(frames.end())
                return
            except QuorateError as error:
                now = loop.time()
                if failing is None or now - began > PATIENCE:
                    # A stream that held so long was a good one of a quiet log.
                    failing = now
                if not passes(error) or now > failing + PATIENCE:
                    reader.fail(error)
                    return
                if not said and now >= failing + SAID_AFTER:
                    said = True
                    reader.send(frames.away(error))
            await asyncio.sleep(_AGAIN)

    def _request(self) -> scheduler_pb2.StreamTaskLogsRequest:
        wanted = self._wanted
        sent = [output.resume for output in self._outputs.values()]
        again = self._resumed or any(sent)
        # One offset is for both outputs: the lesser, and what comes twice is skipped.
        return scheduler_pb2.StreamTaskLogsRequest(
            id=wanted.id,
            attempt=self._attempt,
            follow=True,
            offset=min(sent) if again else 0,
            tail_lines=0 if again else wanted.tail_lines,
            with_extent=True,
        )

    def _publish(self, chunk: scheduler_pb2.LogChunk, reader: Reader) -> None:
        self._attempt = self._attempt or chunk.attempt
        name = _NAMES.get(chunk.stream)
        if name is None:
            return
        offset, text = self._outputs[name].take(chunk.offset, chunk.data)
        if text:
            resume = ".".join(str(output.resume) for output in self._outputs.values())
            time = chunk.time.ToJsonString() if chunk.HasField("time") else ""
            reader.send(frames.lines(name, offset, text, resume, time))
