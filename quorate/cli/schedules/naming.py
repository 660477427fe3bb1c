"""The scheduler's errors about a schedule, with the options of the command line that are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from quorate.runtime.errors import QuorateError

_OPTIONS: Final = {
    "schedule.spec.cron": "--cron",
    "schedule.spec.time_zone": "--zone",
    "schedule.spec.interval": "--every",
    "schedule.spec.interval.every": "--every",
    "schedule.spec.at": "--at",
    "schedule.spec.jitter": "--jitter",
    "schedule.spec.start_time": "--start",
    "schedule.spec.end_time": "--end",
    "schedule.spec.max_runs": "--max-runs",
    "schedule.spec.catch_up_window": "--catch-up-window",
    "schedule.spec.catch_up_count": "--catch-up-count",
}
_BLACKOUT: Final = re.compile(r"schedule\.spec\.blackouts(\[|\.|$)")


@contextmanager
def named_options() -> Iterator[None]:
    """Errors about fields that options set begin with the option: `--cron: ...`."""
    try:
        yield
    except QuorateError as error:
        option = "--blackout" if _BLACKOUT.match(error.field) else _OPTIONS.get(error.field)
        start = f"{error.field}: "
        if option is None or not error.message.startswith(start):
            raise
        raise QuorateError(
            error.code,
            error.reason,
            f"{option}: {error.message.removeprefix(start)}",
            field=error.field,
            metadata=error.metadata,
        ) from None
