"""A task that is ended: waited for, and its error taken."""

from __future__ import annotations

import asyncio
import gc

import pytest

from quorate.runtime.ending import end_task


async def last(began: asyncio.Event, going: asyncio.Event) -> None:
    began.set()
    try:
        await asyncio.Event().wait()
    finally:
        await going.wait()
        raise ValueError("at its end")


async def test_its_last_steps_are_waited_for_and_its_error_is_taken():
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
    began, going = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(last(began, going))
    await began.wait()
    ending = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    assert not ending.done()
    going.set()
    await ending
    assert task.done()
    del task
    gc.collect()
    assert not said


async def test_it_ends_though_its_owner_is_cancelled():
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
    began, going = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(last(began, going))
    await began.wait()
    ending = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    going.set()
    await asyncio.wait((task,))
    del task, ending
    gc.collect()
    assert not said


async def test_one_that_is_done_already():
    async def fails() -> None:
        raise ValueError

    for work in (fails(), asyncio.sleep(0)):
        task = asyncio.create_task(work)
        await asyncio.wait((task,))
        await end_task(task)
