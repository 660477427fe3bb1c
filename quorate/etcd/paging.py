"""Reading a whole prefix in pages that fit an answer, whatever its records' sizes.

Followers load their snapshot with it, backups and restores read with it. It owns nothing; a page
that fails is asked for again in the smallest size, and only that one's failure is the caller's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from quorate.etcd.api import Compacted, Etcd, EtcdError, Range, RangeResult, prefix_end

# etcd takes requests of 1.5 MiB at most, so that many records always fit a 64 MiB answer.
SAFE_PAGE: Final = 32
MAX_PAGE: Final = 2_000
# Bytes; a page is parsed in one go, so this also bounds how long the loop is held.
PAGE_BYTES: Final = 4 * 1024 * 1024
_PAGE_TIMEOUT: Final = 10.0
# A page that is too large for an answer fails, and is not worth repeating at that size.
_LARGE_PAGE_TIMEOUT: Final = 2.0


async def pages(
    etcd: Etcd, prefix: bytes, revision: int = 0, *, keys_only: bool = False
) -> AsyncIterator[RangeResult]:
    """Everything below a prefix at one revision, in pages of about 4 MiB, in the order of keys.

    There is one page at least. `revision` 0: the newest, which the first page names.
    Raises Compacted, EtcdError.
    """
    start, end, limit, ceiling = prefix, prefix_end(prefix), SAFE_PAGE, MAX_PAGE
    while True:
        read = Range(start, end, limit=limit, revision=revision, keys_only=keys_only)
        patience = _PAGE_TIMEOUT if limit == SAFE_PAGE else _LARGE_PAGE_TIMEOUT
        try:
            page = await etcd.range(read, timeout=patience)
        except Compacted:
            raise
        except EtcdError:
            # Records can grow from one page to the next, past what an answer may hold.
            if limit == SAFE_PAGE:
                raise
            limit, ceiling = SAFE_PAGE, max(SAFE_PAGE, limit // 4)
            continue
        revision = revision or page.revision
        yield page
        if not page.more:
            return
        start = page.kvs[-1].key + b"\0"
        size = sum(len(kv.key) + len(kv.value) for kv in page.kvs)
        fitting = len(page.kvs) * PAGE_BYTES // size
        limit = max(SAFE_PAGE, min(ceiling, limit * 4, fitting))
