"""The end of a task that its owner does not want any more."""

from __future__ import annotations

import asyncio
from typing import Any


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it is done.

    Its error is taken, so that asyncio does not warn of it: whoever ends a task does not want its
    outcome. If the caller is cancelled meanwhile, the task ends all the same.
    """
    task.cancel()
    task.add_done_callback(_take)
    await asyncio.wait((task,))


def _take(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
