"""What tasks wrote, copied to our own outputs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.cli.output.render import hint
from quorate.client.handle import TaskHandle
from quorate.runtime.sizes import size_text
from quorate.v1 import scheduler_pb2

_STDERR = scheduler_pb2.LOG_STREAM_STDERR


def write_logs(handle: TaskHandle[Any], *, follow: bool, attempt: int = 0, tail: int = 0) -> bool:
    """Copy a task's output to ours; False when there was none."""
    return write_chunks(handle.logs(follow, attempt=attempt, tail=tail))


def write_chunks(chunks: Iterable[scheduler_pb2.LogChunk], *, timestamps: bool = False) -> bool:
    """Copy output to ours, and say where some is gone; False when there was none."""
    ends: dict[int, int] = {}
    fresh: dict[int, bool] = {}
    for chunk in chunks:
        is_error = chunk.stream == _STDERR
        target = sys.stderr.buffer if is_error else sys.stdout.buffer
        # Nothing is said of what is before the first piece: the last lines were asked for.
        gone = chunk.offset - ends.get(chunk.stream, chunk.offset)
        if gone > 0:
            sys.stdout.buffer.flush()
            what = "stderr" if is_error else "stdout"
            hint(f"{size_text(gone)} of {what} are gone here, dropped by the node's --log-cap.")
        ends[chunk.stream] = chunk.offset + len(chunk.data)
        if timestamps:
            _write_lines(target, chunk, fresh)
        else:
            target.write(chunk.data)
        target.flush()
    return bool(ends)


def _write_lines(target: BinaryIO, chunk: scheduler_pb2.LogChunk, fresh: dict[int, bool]) -> None:
    """With the time before each line; `fresh`: whether a stream is at the beginning of one."""
    time = f"{clock(chunk.time)} ".encode()
    for line in chunk.data.splitlines(keepends=True):
        if fresh.get(chunk.stream, True):
            target.write(time)
        target.write(line)
        fresh[chunk.stream] = line.endswith(b"\n")


def clock(time: Timestamp) -> str:
    """Local time to the millisecond; dashes where it is not known."""
    if not time.seconds:
        return "-" * 23
    local = time.ToDatetime().replace(tzinfo=dt.UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"
