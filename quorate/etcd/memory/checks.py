"""What etcd refuses before it executes a Txn, for the in-memory twin.

From etcd's `api/v3rpc/key.go`: empty keys, more operations than allowed in any part, the same key
put twice in a branch, a put inside a range that the same branch deletes. Both branches are checked,
whichever is taken. Sizes are estimated from keys and values; etcd counts the encoded request.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.etcd.api import Compare, Delete, EtcdRefused, Op, Put

# Field tags, lengths and the envelope of one operation.
_OVERHEAD = 16


def check_txn(
    compares: Sequence[Compare],
    success: Sequence[Op],
    failure: Sequence[Op],
    max_ops: int,
    max_bytes: int,
) -> None:
    """Raise EtcdRefused as etcd would."""
    if max(len(compares), len(success), len(failure)) > max_ops:
        raise EtcdRefused("too many operations in txn request")
    if not all(part.key for part in (*compares, *success, *failure)):
        raise EtcdRefused("key is not provided")
    _check_overlaps(success)
    _check_overlaps(failure)
    if sum(_size(part) for part in (*compares, *success, *failure)) > max_bytes:
        raise EtcdRefused("request is too large")


def _check_overlaps(ops: Sequence[Op]) -> None:
    # etcd overlooks deletions without end (`range_end` zero) in this check, hence so does the twin.
    deletions = [op for op in ops if isinstance(op, Delete) and op.range_end != b"\0"]
    put: set[bytes] = set()
    for op in ops:
        if not isinstance(op, Put):
            continue
        if op.key in put or any(within(op.key, d.key, d.range_end) for d in deletions):
            raise EtcdRefused("duplicate key given in txn request")
        put.add(op.key)


def within(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether `key` is in `[start, range_end)`, with etcd's meanings of an empty and a zero end."""
    if not range_end:
        return key == start
    return start <= key and (range_end == b"\0" or key < range_end)


def _size(part: Compare | Op) -> int:
    return len(part.key) + (len(part.value) if isinstance(part, Put) else 0) + _OVERHEAD
