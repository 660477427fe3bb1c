"""All schedulers take time zones from the package tzdata, whatever their machines have: otherwise
they could disagree about when a schedule is due."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from quorate.runtime.process.startup import CannotStart
from scheduler.app import serve
from scheduler.config import SchedulerSettings

JANUARY = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - only the offset of a zone is looked up


def offset() -> dt.timedelta | None:
    return zoneinfo.ZoneInfo.no_cache("Europe/Berlin").utcoffset(JANUARY)


@pytest.fixture
def other_zones(tmp_path: Path) -> Iterator[Path]:
    """Zones of a machine, by which it is as late in Berlin as in Tokyo."""
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath((str(tmp_path),))
    yield tmp_path
    zoneinfo.reset_tzpath(before)


async def test_a_scheduler_has_the_time_zones_of_tzdata(other_zones: Path) -> None:
    assert offset() == dt.timedelta(hours=9)
    settings = SchedulerSettings(
        _cli_parse_args=[],  # type: ignore[call-arg]
        etcd_ca_file=str(other_zones / "missing"),
    )
    # It begins, and ends at once.
    with pytest.raises(CannotStart, match="missing"):
        await serve(settings)
    assert offset() == dt.timedelta(hours=1)
