"""Run coroutines side by side until the first of them ends.

Structured: when `first_of` returns or raises, none of them runs any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*racers: Coroutine[Any, Any, object]) -> int:
    """Which of `racers` ended first, by its place; the others are cancelled and awaited.

    When several end together the lowest place wins. What the winner raised is raised here; the
    losers have lost, so what they raise while they are being cancelled is dropped with them,
    unless the winner was itself cancelled.
    """
    tasks = [asyncio.create_task(racer) for racer in racers]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(place for place, task in enumerate(tasks) if task.done())
    finally:
        for task in tasks:
            task.cancel()
        # A second cancellation of this task must not leave one of them running.
        await asyncio.gather(*tasks, return_exceptions=True)
    tasks[winner].result()
    return winner
