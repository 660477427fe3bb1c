"""The garbage collector's part in not holding the event loop.

A leader of a million tasks has millions of objects that live long; a full collection walks all of
them, a good part of a second, and Python starts one whenever they have grown by a quarter. So what
is live is moved out of the collector's sight as the state grows. Rows are freed by their reference
counts alone; what a freeze could keep is garbage in cycles that was still in use at that moment,
and it is bounded by collecting the young generations first.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_EVERY: Final = 0.5
# Rows made since the last freeze.
_GROWN: Final = 20_000
# Objects made and not freed between two young collections, of which every tenth takes ten times as
# long: 1 and 10 ms, measured; and how many of those come between two full ones.
_YOUNG: Final = 4_000
_TENTHS: Final = 50


async def keep_out_of_sight(rows: Callable[[], int]) -> None:
    """Freeze what is live whenever `rows()` has grown, until cancelled."""
    gc.set_threshold(_YOUNG, 10, _TENTHS)
    known = 0
    while True:
        now = rows()
        if now < known // 2:
            # Most of what was frozen is gone: a dropped state lies in cycles that only a
            # collection frees.
            gc.unfreeze()
            gc.collect()
            known = now
        elif now > known + _GROWN:
            gc.collect(1)
            gc.freeze()
            known = now
        await asyncio.sleep(_EVERY)
