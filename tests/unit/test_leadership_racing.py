"""Racing coroutines: one ends, none is left running."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.leadership.racing import first_of


class Racer:
    """Runs until told to stop."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def at_once() -> None:
    pass


async def fails() -> None:
    raise ValueError("lost its way")


async def test_the_first_to_end_wins_and_the_others_are_cancelled() -> None:
    racer = Racer()
    assert await first_of(racer.run(), at_once()) == 1
    assert racer.cancelled


async def test_of_two_that_end_together_the_lower_place_wins() -> None:
    assert await first_of(at_once(), at_once()) == 0


async def test_what_the_winner_raises_is_raised() -> None:
    racer = Racer()
    with pytest.raises(ValueError, match="lost its way"):
        await first_of(fails(), racer.run())
    assert racer.cancelled


async def test_cancelling_the_race_cancels_all_of_it() -> None:
    racers = [Racer(), Racer()]
    race = asyncio.create_task(first_of(*(racer.run() for racer in racers)))
    for racer in racers:
        await racer.started.wait()
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    assert all(racer.cancelled for racer in racers)
