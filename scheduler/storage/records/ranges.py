"""Ranges of keys."""

from __future__ import annotations

from quorate.etcd.api import prefix_end


def prefix_range(prefix: bytes, part: bytes) -> tuple[bytes, bytes]:
    """`(key, range_end)` of everything below `part`."""
    return prefix + part, prefix_end(prefix + part)
