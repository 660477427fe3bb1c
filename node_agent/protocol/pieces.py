"""Pieces of chunks, between the agent and a worker: requests, answers, and the marks.

A piece is some subtasks of one array. The worker runs one after the other and answers with what it
has: every few milliseconds, and at the end of the piece. Positions within a piece are *offsets*.

```
request = key, trace, last, template, runs of positions, items, terms
reply   = upto, done | offset, kind, length, data | ...       the rest of a reply of `replies`
marks   = key, mark, base, used, stop | records that no reply has yet
```

*Marks* are memory that the agent and one worker share. The worker writes there which offset it is
about to call, and what it has not answered yet, so that nothing is lost and nobody else is blamed
when it dies. The agent writes there which piece is to stop: the worker looks before each call.

User code runs in the worker. So what comes from there is numbers within bounds and that many
bytes, or `Malformed`. The memory is sealed: nobody can shrink it under the agent.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Any

from node_agent.protocol.answers import (
    MAX_BASE_NAMES,
    MAX_BASES,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_PICKLE,
    MAX_TRACEBACK,
)

# Bytes of one subtask's result: a report holds as much.
MAX_SUBTASK_RESULT = 256 * 1024
# A request for a piece is so long; one for a single call has one part more.
REQUEST_PARTS = 7
# Answers are at most this far apart while subtasks end (seconds).
ANSWER_SECONDS = 0.010

# Words of the marks, of 8 bytes each, and where the records begin.
KEY, MARK, BASE, USED, STOP = range(5)
MARKS_BYTES = 64 * 1024
# Behind them: the progress of a single call (`protocol.progress`).
PROGRESS_BYTES = 4 * 1024
RECORDS = 64
# Records that are answered at once when there are more bytes of them.
MAX_UNANSWERED = MARKS_BYTES - RECORDS

JSON, PICKLE, ERROR = 1, 2, 3
HEAD = struct.Struct("<I?")
RECORD = struct.Struct("<IBI")
LENGTHS = struct.Struct("<5I")
_ERROR_BOUNDS = (MAX_NAME, MAX_MESSAGE, MAX_TRACEBACK, MAX_PICKLE, MAX_BASES)
MAX_ERROR = LENGTHS.size + sum(_ERROR_BOUNDS)
# The longest payload of a reply: one record, if it is as long as can be, or MAX_UNANSWERED.
MAX_PAYLOAD = HEAD.size + RECORD.size + max(MAX_SUBTASK_RESULT, MAX_ERROR, MAX_UNANSWERED)

# Offset, kind, and the result, or the five parts of an error as `answers` has them.
Record = tuple[int, int, Any]


class Forged(ValueError):
    """A correct worker does not write this."""


def made_marks() -> int:
    """Memory for one worker's marks; its descriptor."""
    made = os.memfd_create("marks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(made, MARKS_BYTES + PROGRESS_BYTES)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


def mapped(descriptor: int) -> mmap.mmap:
    """The memory behind a descriptor."""
    return mmap.mmap(descriptor, MARKS_BYTES + PROGRESS_BYTES)


def words_of(memory: mmap.mmap) -> memoryview:
    """The words at its beginning."""
    return memoryview(memory)[:RECORDS].cast("q")


def record_of(offset: int, answer: tuple[Any, ...]) -> bytes:
    """One record, of an answer as `answers` has it."""
    kind = answer[0]
    if kind == "error":
        parts = [_bytes(text) for text in answer[1:]]
        data = LENGTHS.pack(*map(len, parts)) + b"".join(parts)
        return RECORD.pack(offset, ERROR, len(data)) + data
    data = _bytes(answer[1])
    return RECORD.pack(offset, JSON if kind == "json" else PICKLE, len(data)) + data


def payload_of(upto: int, records: Sequence[bytes | memoryview], *, done: bool) -> bytes:
    """A reply's payload: offsets before `upto` ended, and there comes no more when it is `done`."""
    return b"".join((HEAD.pack(upto, done), *records))


def read_payload(payload: bytes, base: int, size: int) -> tuple[int, bool, list[Record]]:
    """Upto, done and records of a reply. Raises Forged.

    Args:
        base: offsets before it were answered already.
        size: offsets of the piece.
    """
    if len(payload) < HEAD.size:
        raise Forged(f"{len(payload)} bytes are no answer")
    upto, done = HEAD.unpack_from(payload)
    if not base <= upto <= size:
        raise Forged(f"offset {upto} of {base} to {size}")
    return upto, done, read_records(payload, HEAD.size, base, upto)


def read_records(data: bytes, begin: int, base: int, upto: int) -> list[Record]:
    """The records from `begin` on, of offsets from `base` to `upto` - 1. Raises Forged."""
    records: list[Record] = []
    least, end = base, len(data)
    unpack, head = RECORD.unpack_from, RECORD.size
    while begin < end:
        if begin + head > end:
            raise Forged("a record is cut off")
        offset, kind, length = unpack(data, begin)
        begin += head
        if not least <= offset < upto:
            raise Forged(f"a record of offset {offset}")
        if begin + length > end:
            raise Forged("a record is cut off")
        value = data[begin : begin + length]
        if kind == ERROR:
            records.append((offset, ERROR, _error(value)))
        elif kind in (JSON, PICKLE) and length <= MAX_SUBTASK_RESULT:
            if kind == JSON and not value.isascii():
                _text(value)
            records.append((offset, kind, value))
        else:
            raise Forged(f"a record of kind {kind} and {length} bytes")
        begin += length
        least = offset + 1
    return records


def _error(data: bytes) -> tuple[str, str, str, bytes, str]:
    if len(data) < LENGTHS.size:
        raise Forged("an error without its lengths")
    parts, begin = [], LENGTHS.size
    for length, bound in zip(LENGTHS.unpack_from(data), _ERROR_BOUNDS, strict=True):
        if length > bound:
            raise Forged(f"an error with {length} bytes for {bound}")
        parts.append(data[begin : begin + length])
        begin += length
    if begin != len(data):
        raise Forged("lengths that do not add up")
    name, message, traceback, pickled, bases = parts
    if bases.count(b"\n") >= MAX_BASE_NAMES:
        raise Forged(f"more than {MAX_BASE_NAMES} base classes")
    return _text(name), _text(message), _text(traceback), pickled, _text(bases)


def _bytes(text: str | bytes) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else text


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Forged(str(error)) from None
