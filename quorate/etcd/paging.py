"""Reading a whole prefix in pages that fit an answer, whatever its records' sizes.

Followers load their snapshot with it, backups and restores read with it. It owns nothing.

A page costs etcd more than what is on it: 3.4 walks its index from the page's first key to the end
of the prefix, for the count (10 ms for 100,000 keys, whatever the limit; later versions stop at the
limit). So pages are as large as an answer may be, and a page that failed for want of time is asked
for again as it was: a busy etcd does not get faster by being asked for more, smaller pages. Only
an answer that was too large makes the next page smaller.

A page that fails is asked for again, with pauses. The pages before it stay good: all are read at
one revision, and only a compaction takes that away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from quorate.etcd.api import (
    Compacted,
    Etcd,
    EtcdAnswerTooLarge,
    EtcdUnavailable,
    Range,
    RangeResult,
    prefix_end,
)
from quorate.runtime.timing.backoff import Backoff

# etcd takes requests of 1.5 MiB at most, so that many records always fit a 64 MiB answer.
SAFE_PAGE: Final = 32
MAX_PAGE: Final = 5_000
# Bytes; a page is parsed in one go, so this also bounds how long the loop is held.
PAGE_BYTES: Final = 4 * 1024 * 1024
_PAGE_TIMEOUT: Final = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


async def pages(
    etcd: Etcd, prefix: bytes, revision: int = 0, *, keys_only: bool = False, tries: int = 2
) -> AsyncIterator[RangeResult]:
    """Everything below a prefix at one revision, in pages of about 4 MiB, in the order of keys.

    There is one page at least. `revision` 0: the newest, which the first page names.

    Args:
        tries: how often one page is asked for while etcd does not answer; once only for the page
            that settles the revision.

    Raises:
        Compacted: the revision is gone. EtcdError: as the last try of a page failed.
    """
    start, end, limit, ceiling = prefix, prefix_end(prefix), SAFE_PAGE, MAX_PAGE
    while True:
        page, limit, ceiling = await _page(
            etcd, Range(start, end, limit, revision, keys_only=keys_only), ceiling, tries
        )
        revision = revision or page.revision
        yield page
        if not page.more:
            return
        start = page.kvs[-1].key + b"\0"
        size = sum(len(kv.key) + len(kv.value) for kv in page.kvs)
        fitting = len(page.kvs) * PAGE_BYTES // size
        # Records can grow from one page to the next: it takes several steps to the largest.
        limit = max(SAFE_PAGE, min(ceiling, limit * 16, fitting))


async def _page(etcd: Etcd, read: Range, ceiling: int, tries: int) -> tuple[RangeResult, int, int]:
    """One page, the limit it was read with, and the most that any later one may have."""
    backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while True:
        try:
            return await etcd.range(read, timeout=_PAGE_TIMEOUT), read.limit, ceiling
        except Compacted:
            raise
        except EtcdAnswerTooLarge:
            if read.limit == SAFE_PAGE:
                raise
            ceiling = max(SAFE_PAGE, read.limit // 4)
            read = read._replace(limit=SAFE_PAGE)
        except EtcdUnavailable:
            # Nothing is lost yet where no revision was settled on.
            pause = backoff.next()
            if backoff.failures >= tries or not read.revision:
                raise
            await asyncio.sleep(pause)
