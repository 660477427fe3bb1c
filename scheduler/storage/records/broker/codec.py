"""Changes of a sub-log as writes of the journal, and records as what a sub-log folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.joined import Addition
from scheduler.core.broker.storage import records as r
from scheduler.core.broker.storage.format import BadChunk, summarize
from scheduler.core.broker.storage.sub_log import SubLog
from scheduler.storage import keys
from scheduler.storage.records.broker.acks import (
    acks_of,
    acks_value,
    chunk_done_of,
    chunk_done_value,
)
from scheduler.storage.records.broker.joins import Acknowledgement

# Behind the uid of a stream, where sub-logs have their names: `mq/<uid>/offsets/<name, hex>`.
OFFSETS: Final = b"offsets/"


def policy_key(key: tuple[str, bool, str]) -> bytes:
    """`message-policies/<virtual host>/<p or o>/<name>`; o: an operator policy."""
    host, operator, name = key
    kind = "o" if operator else "p"
    return keys.MESSAGE_POLICIES + f"{host.encode().hex()}/{kind}/{name.encode().hex()}".encode()


def split_policy_key(key: bytes) -> tuple[str, bool, str]:
    """Undoes `policy_key`."""
    _, host, kind, name = key.decode().split("/")
    return bytes.fromhex(host).decode(), kind == "o", bytes.fromhex(name).decode()


def offset_key(uid: str, name: str) -> bytes:
    """The key of a named offset, without the cluster's prefix."""
    return keys.message_queue_messages(uid) + OFFSETS + name.encode().hex().encode()


def split_offset_key(key: bytes) -> tuple[str, str]:
    """Undoes `offset_key`."""
    _, uid, _, name = key.decode().split("/")
    return uid, bytes.fromhex(name).decode()


class Encoded(NamedTuple):
    """One event's writes, for `Journal.append_joined`."""

    writes: list[Put | Delete]
    additions: list[Addition]


def encode(place: bytes, writes: Iterable[r.Write]) -> Encoded:
    """The writes of a change. `place`: of the sub-log, see `keys.message_sub_log`."""
    encoded = Encoded([], [])
    for write in writes:
        match write:
            case r.PutAcks(acks):
                encoded.additions.append(Acknowledgement(keys.message_acks_key(place), acks))
            case r.PutChunkDone(done):
                key = keys.message_done_key(place, done.first)
                encoded.writes.append(Put(key, chunk_done_value(done)))
            case r.DeleteChunkDone(first):
                encoded.writes.append(Delete(keys.message_done_key(place, first)))
            case r.PutChunk(first, value):
                encoded.writes.append(Put(keys.message_chunk_key(place, first), value))
            case r.DeleteChunks():
                encoded.writes.extend(deletions(place, write))
    return encoded


def encode_without_space(place: bytes, writes: Iterable[r.Write]) -> tuple[list[Delete], Encoded]:
    """The same while etcd has no space: what `append_purge` takes, and what then waits.

    The deletion of a chunk is its durable acknowledgement.
    """
    deletes: list[Delete] = []
    waiting: list[r.Write] = []
    for write in writes:
        if type(write) is r.DeleteChunks:
            deletes += deletions(place, write)
        else:
            waiting.append(write)
    return deletes, encode(place, waiting)


def deletions(place: bytes, write: r.DeleteChunks) -> Sequence[Delete]:
    """The chunks, and what they have below `a/`."""
    made = [_deletion(keys.message_chunk_key, place, write)]
    if write.own_records:
        made.append(_deletion(keys.message_done_key, place, write))
    return made


def fold(log: SubLog, place: bytes, key: bytes, value: bytes | None) -> bool:
    """Fold one key of a sub-log (None: it was deleted). False for a key of another kind.

    Raises:
        BadChunk: bytes that are no chunk, or of another key.
    """
    found = keys.split_message_key(place, key)
    if found is None:
        return False
    kind, first = found
    if kind == keys.ACKS:
        log.fold_acks(acks_of(value) if value is not None else r.Acks())
    elif kind == keys.CHUNK:
        if value is None:
            log.fold_deleted_chunk(first)
            return True
        summary = summarize(value)
        if summary.first != first:
            raise BadChunk(f"chunk {summary.first} is under the key of chunk {first}")
        log.fold_chunk(summary)
    elif value is None:
        log.fold_deleted_chunk_done(first)
    else:
        log.fold_chunk_done(chunk_done_of(value)._replace(first=first))
    return True


def _deletion(key: keys.MessageKey, place: bytes, write: r.DeleteChunks) -> Delete:
    if write.first == write.last:
        return Delete(key(place, write.first))
    # A key ends in its sequence: what follows the last one's directly.
    return Delete(key(place, write.first), key(place, write.last) + b"\0")


__all__ = ["Encoded", "acks_value", "deletions", "encode", "encode_without_space", "fold"]
