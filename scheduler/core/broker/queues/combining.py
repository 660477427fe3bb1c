"""Writes of several changes to one sub-log in one step, as one: each key once.

A Txn takes a key once, and no put inside a range that it deletes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from scheduler.core.broker.effects import ChangeSubLog, Write
from scheduler.core.broker.storage.records import (
    DeleteChunkDone,
    DeleteChunks,
    PutAcks,
    PutChunk,
    PutChunkDone,
)
from scheduler.core.broker.storage.records import Write as SubLogWrite

# What is written: of a kind of record, and of which chunk.
_Key: TypeAlias = tuple[str, int]


def combined(writes: list[Write]) -> list[Write]:
    """The writes of a step, with one `ChangeSubLog` for each sub-log, in the place of its first."""
    changes = [write for write in writes if type(write) is ChangeSubLog]
    if len(changes) < 2:
        return writes
    grouped: dict[tuple[str, str], list[ChangeSubLog]] = {}
    for change in changes:
        grouped.setdefault((change.uid, change.sub_log), []).append(change)
    if len(grouped) == len(changes):
        return writes
    found: list[Write] = []
    for write in writes:
        if type(write) is not ChangeSubLog:
            found.append(write)
            continue
        group = grouped.pop((write.uid, write.sub_log), None)
        if group is not None:
            found.append(write._replace(writes=_one(change.writes for change in group)))
    return found


def _one(several: Iterable[Sequence[SubLogWrite]]) -> tuple[SubLogWrite, ...]:
    last: dict[_Key, SubLogWrite] = {}
    deletions: list[SubLogWrite] = []
    for writes in several:
        for write in writes:
            if isinstance(write, DeleteChunks):
                for key in [
                    key for key in last if key[0] != "acks" and write.first <= key[1] <= write.last
                ]:
                    del last[key]
                deletions.append(write)
                continue
            key = _key(write)
            # The latest one of a key counts, and stands where it was made.
            last.pop(key, None)
            last[key] = write
    return (*deletions, *last.values())


def _key(write: SubLogWrite) -> _Key:
    match write:
        case PutChunkDone():
            return "done", write.done.first
        case DeleteChunkDone():
            return "done", write.first
        case PutChunk():
            return "chunk", write.first
        case PutAcks():
            return "acks", 0
        case _:
            raise AssertionError(write)


def weight(writes: Iterable[Write]) -> int:
    """How many keys a step writes, about."""
    return sum([len(write.writes) if type(write) is ChangeSubLog else 1 for write in writes])
