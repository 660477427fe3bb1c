"""What a term does by itself while it leads, beside the timers of the driver."""

from __future__ import annotations

import asyncio

from scheduler.core.handlers import attempts
from scheduler.core.model import events as e
from scheduler.engine.driver import Driver

# Seconds between two looks for attempts whose start is to be on record.
STARTS_EVERY = 0.25


async def note_starts(driver: Driver) -> None:
    """Put on record which attempts have begun and live, as the journal has room."""
    while True:
        await asyncio.sleep(STARTS_EVERY)
        if driver.state.chunks:
            # Chunks that turn out to be long are recalled although nothing happens.
            driver.handle(())
        while attempts.starts_due(driver.state, driver.clock.now()):
            await driver.journal.wait_room()
            driver.handle((e.StartsDue(),))
            await asyncio.sleep(0)


def close_idle_jobs(driver: Driver) -> None:
    """Close one open job to which nothing was appended for too long, if there is any."""
    if not driver.journal.room or driver.journal.no_space:
        return
    if any(job.open or job.loading for job in driver.state.jobs.values()):
        driver.handle((e.IdleJobsDue(),))
