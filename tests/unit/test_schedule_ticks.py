"""At which instants schedules fire: the calendar, and both changes of the clock in five zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.jobs.schedules.expression import BadExpression, Expression, NeverFires
from scheduler.core.jobs.schedules.ticks import CronTicks, IntervalTicks, NoTicks, OneTick
from scheduler.core.model.schedules import Ticks

SECOND = 1_000_000
BERLIN, NEW_YORK, LONDON = "Europe/Berlin", "America/New_York", "Europe/London"
LORD_HOWE, SANTIAGO = "Australia/Lord_Howe", "America/Santiago"

# (cron, zone, local time from which, the next local times with their offsets, options)
CASES: dict[str, tuple] = {
    # -- clocks forward: fixed times that do not exist run once, right after the gap
    "gap Berlin": ("30 2 * * *", BERLIN, "2026-03-28T12:00", "29T03:00+2 30T02:30+2"),
    "gap New York": ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", "08T03:00-4 09T02:30-4"),
    "gap London": ("15 1 * * *", LONDON, "2026-03-28T12:00", "29T02:00+1 30T01:15+1"),
    "gap of half an hour": ("10 2 * * *", LORD_HOWE, "2026-10-03T12:00", "04T02:30+11 05T02:10+11"),
    "gap at midnight": ("0 0 * * *", SANTIAGO, "2026-09-05T12:00", "06T01:00-3 07T00:00-3"),
    "gap, two times in it": ("5,35 2 * * *", BERLIN, "2026-03-28T12:00", "29T03:00+2 30T02:05+2"),
    "gap, one in it and one at its end": (
        *("30 2,3 * * *", BERLIN, "2026-03-29T00:00"),
        "29T03:00+2 29T03:30+2",
    ),
    "gap skipped Berlin": (
        *("30 2 * * *", BERLIN, "2026-03-28T12:00", "30T02:30+2"),
        {"skip_gap": True},
    ),
    "gap skipped New York": (
        *("30 2 * * *", NEW_YORK, "2026-03-07T12:00", "09T02:30-4"),
        {"skip_gap": True},
    ),
    "gap, created right after it": ("30 2 * * *", BERLIN, "2026-03-29T03:10", "30T02:30+2"),
    "gap, every hour": ("30 * * * *", BERLIN, "2026-03-29T01:00", "29T01:30+1 29T03:30+2"),
    "gap, every 20 minutes": (
        *("*/20 * * * *", NEW_YORK, "2026-03-08T01:30"),
        "08T01:40-5 08T03:00-4 08T03:20-4",
    ),
    "gap, every minute of two": ("* 2 * * *", BERLIN, "2026-03-28T12:00", "30T02:00+2"),
    "gap, with seconds": ("30 30 2 * * *", BERLIN, "2026-03-28T12:00", "29T03:00+2 30T02:30:30+2"),
    # -- clocks back: fixed times that exist twice run once, the first time
    "fold Berlin": ("30 2 * * *", BERLIN, "2026-10-24T12:00", "25T02:30+2 26T02:30+1"),
    "fold New York": ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", "01T01:30-4 02T01:30-5"),
    "fold London": ("15 1 * * *", LONDON, "2026-10-24T12:00", "25T01:15+1 26T01:15+0"),
    "fold of half an hour": (
        *("45 1 * * *", LORD_HOWE, "2026-04-04T12:00"),
        "05T01:45+11 06T01:45+10.5",
    ),
    "fold at midnight": ("30 23 * * *", SANTIAGO, "2026-04-03T23:45", "04T23:30-3 05T23:30-4"),
    "fold both Berlin": (
        *("30 2 * * *", BERLIN, "2026-10-24T12:00", "25T02:30+2 25T02:30+1 26T02:30+1"),
        {"both": True},
    ),
    "fold both New York": (
        *("0,30 1 * * *", NEW_YORK, "2026-10-31T12:00"),
        "01T01:00-4 01T01:30-4 01T01:00-5 01T01:30-5 02T01:00-5",
        {"both": True},
    ),
    "fold both London": (
        *("15 1 * * *", LONDON, "2026-10-24T12:00", "25T01:15+1 25T01:15+0"),
        {"both": True},
    ),
    "fold both of half an hour": (
        *("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", "05T01:45+11 05T01:45+10.5"),
        {"both": True},
    ),
    "fold both at midnight": (
        *("30 23 * * *", SANTIAGO, "2026-04-03T23:45", "04T23:30-3 04T23:30-4"),
        {"both": True},
    ),
    "fold, every hour": (
        *("30 * * * *", BERLIN, "2026-10-25T01:00"),
        "25T01:30+2 25T02:30+2 25T02:30+1 25T03:30+1",
    ),
    "fold, every 20 minutes": (
        *("*/20 * * * *", NEW_YORK, "2026-11-01T01:30"),
        "01T01:40-4 01T01:00-5 01T01:20-5 01T01:40-5 01T02:00-5",
    ),
    "fold, every minute of an hour once a year": (
        *("*/30 1 1 11 *", NEW_YORK, "2026-10-31T12:00"),
        "01T01:00-4 01T01:30-4 01T01:00-5 01T01:30-5",
    ),
    "fold, every quarter, half an hour back": (
        *("*/15 * * * *", LORD_HOWE, "2026-04-05T01:20"),
        "05T01:30+11 05T01:45+11 05T01:30+10.5 05T01:45+10.5 05T02:00+10.5",
    ),
    "fold, from within the first pass": ("50 2 * * *", BERLIN, "2026-10-25T02:40", "25T02:50+2"),
    "fold, from within the second pass": (
        *("50 2 * * *", BERLIN, "2026-10-25T02:40+1"),
        "26T02:50+1",
    ),
    # -- the calendar
    "leap day": ("0 0 29 2 *", "UTC", "2026-01-01T00:00", "2028-02-29 2032-02-29"),
    "the leap day that is none": ("0 0 29 2 *", "UTC", "2096-03-01T00:00", "2104-02-29"),
    "day 31": ("0 0 31 * *", "UTC", "2026-01-01T00:00", "01-31 03-31 05-31 07-31 08-31"),
    "day 30": ("0 0 30 * *", "UTC", "2026-01-31T00:00", "03-30 04-30"),
    "end of the year": ("59 23 31 12 *", "UTC", "2026-12-31T23:00", "31T23:59+0 31T23:59+0"),
    "last day": ("0 0 L * *", "UTC", "2026-01-15T00:00", "01-31 02-28 03-31 04-30"),
    "last day of a leap year": ("0 0 L 2 *", "UTC", "2028-01-01T00:00", "2028-02-29 2029-02-28"),
    "last weekday": ("0 0 LW * *", "UTC", "2026-01-15T00:00", "01-30 02-27 03-31"),
    "last Friday": ("0 0 * * 5L", "UTC", "2026-01-15T00:00", "01-30 02-27 03-27"),
    "second Friday": ("0 0 * * 5#2", "UTC", "2026-01-15T00:00", "02-13 03-13 04-10"),
    "fifth Monday": ("0 0 * * MON#5", "UTC", "2026-01-15T00:00", "03-30 06-29 08-31"),
    "day or weekday": ("0 0 13 * 5", "UTC", "2026-01-15T00:00", "01-16 01-23 01-30 02-06 02-13"),
    "day and weekday": ("0 0 */2 * 1", "UTC", "2026-01-01T00:00", "01-05 01-19 02-09"),
    "working days": ("0 9 * * 1-5", BERLIN, "2026-01-02T10:00", "05T09:00+1 06T09:00+1"),
    "names": ("0 0 1 JAN,JUL *", "UTC", "2026-01-15T00:00", "07-01 01-01"),
    "Sunday is 0 and 7": ("0 0 * * 7", "UTC", "2026-01-01T00:00", "01-04 01-11"),
    "@daily": ("@daily", "Asia/Kolkata", "2026-01-01T12:00", "02T00:00+5.5 03T00:00+5.5"),
    "@weekly": ("@WEEKLY", "UTC", "2026-01-01T00:00", "01-04 01-11"),
    "@yearly": ("@yearly", "UTC", "2026-02-01T00:00", "2027-01-01 2028-01-01"),
    "every ten seconds": (
        *("*/10 * * * * *", "UTC", "2026-01-01T00:00:45"),
        "01T00:00:50+0 01T00:01+0 01T00:01:10+0",
    ),
}


def _shown(instant: int, zone: ZoneInfo, like: str) -> str:
    """An instant in the form of an expectation."""
    local = datetime.fromtimestamp(instant // SECOND, zone)
    if "T" not in like:
        assert (local.hour, local.minute) == (0, 0)
        return local.strftime("%Y-%m-%d" if len(like) == 10 else "%m-%d")
    offset = local.utcoffset()
    assert offset is not None
    seconds = f":{local.second:02}" if local.second else ""
    return f"{local:%dT%H:%M}{seconds}{offset.total_seconds() / 3600:+g}"


def _instant(text: str, zone: ZoneInfo) -> int:
    """A local time; "+1" behind it: of the second pass."""
    local = datetime.fromisoformat(text.removesuffix("+1")).replace(
        tzinfo=zone, fold=int(text.endswith("+1"))
    )
    return int(local.timestamp()) * SECOND


@pytest.mark.parametrize("case", CASES)
def test_the_next_ticks_of_a_cron_expression(case: str) -> None:
    text, zone_name, begin, expected, *options = CASES[case]
    zone = ZoneInfo(zone_name)
    ticks = CronTicks(Expression(text, "x"), zone, **(options[0] if options else {}))
    instant = _instant(begin, zone)
    shown = []
    for like in expected.split():
        found = ticks.after(instant)
        assert found is not None
        assert found > instant
        instant = found
        shown.append(_shown(found, zone, like))
    assert shown == expected.split()


@pytest.mark.parametrize("zone_name", [BERLIN, NEW_YORK, LONDON, LORD_HOWE, SANTIAGO])
@pytest.mark.parametrize("text", ["30 * * * *", "*/15 * * * *", "30 1,2 * * *", "0 0 * * *"])
def test_ticks_grow_and_do_not_depend_on_where_one_begins(zone_name: str, text: str) -> None:
    """For a year: from any instant between two ticks the later one is next."""
    ticks = CronTicks(Expression(text, "x"), ZoneInfo(zone_name))
    instant = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * SECOND
    end = int(datetime(2026, 4, 10, tzinfo=UTC).timestamp()) * SECOND
    while instant < end:
        found = ticks.after(instant)
        assert found is not None
        assert found > instant
        for between in (instant + 1, (instant + found) // 2, found - 1):
            assert ticks.after(between) == found
        instant = found


def test_the_answer_that_is_kept_is_that_of_a_new_expression() -> None:
    """In any order of questions."""
    kept = Expression("*/7 3-5 * * *", "x")
    for minute in (0, 5, 100, 99, 300, 200, 1_000, 5, 290, 301, 300):
        local = datetime(2026, 1, 1) + timedelta(minutes=minute, seconds=minute % 60)  # noqa: DTZ001
        assert kept.after(local) == Expression("*/7 3-5 * * *", "x").after(local), minute
    never = Expression("0 0 */31 * 1#5", "x")
    assert never.after(datetime(2026, 1, 1)) is None  # noqa: DTZ001
    assert never.after(datetime(2027, 1, 1)) is None  # noqa: DTZ001


def test_an_interval_is_counted_from_its_anchor_either_way() -> None:
    ticks = IntervalTicks(90 * SECOND, 1_000 * SECOND)
    assert ticks.after(1_000 * SECOND) == 1_090 * SECOND
    assert ticks.after(1_089 * SECOND) == 1_090 * SECOND
    assert ticks.after(999 * SECOND) == 1_000 * SECOND
    assert ticks.after(0) == 10 * SECOND


def test_one_instant_is_a_tick_once() -> None:
    ticks = OneTick(5)
    assert ticks.after(4) == 5
    assert ticks.after(5) is None
    assert NoTicks().after(0) is None


def test_h_is_drawn_from_the_name_and_stays() -> None:
    def minutes(name: str, text: str) -> list[int]:
        ticks: Ticks = CronTicks(Expression(text, name), ZoneInfo("UTC"))
        found, instant = [], 0
        for _ in range(4):
            tick = ticks.after(instant)
            assert tick is not None
            found.append(tick // (60 * SECOND) % 60)
            instant = tick
        return found

    names = [f"schedule-{number}" for number in range(200)]
    drawn = {minutes(name, "H * * * *")[0] for name in names}
    assert len(drawn) > 40
    assert minutes("report", "H * * * *") == minutes("report", "H * * * *")
    assert all(minutes(name, "H(10-19) * * * *")[0] in range(10, 20) for name in names)
    quarters = minutes("report", "H/15 * * * *")
    assert sorted(quarters)[0] < 15
    assert all((b - a) % 60 == 15 for a, b in pairwise(quarters))
    # A day of the month that every month has, and times that are not the same for all fields.
    text = Expression("H H H * *", "report")
    first = text.after(datetime(2026, 1, 1))  # noqa: DTZ001
    later = text.after(datetime(2026, 2, 1))  # noqa: DTZ001
    assert first is not None
    assert later is not None
    assert first.day == later.day <= 28


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("61 * * * *", "minute '61'; values are 0-59"),
        ("* 24 * * *", "hour '24'; values are 0-23"),
        ("* * 0 * *", "day of month '0'; values are 1-31"),
        ("* * * 13 *", "month '13'"),
        ("* * * * 8", "day of week '8'"),
        ("* * * *", "4 fields"),
        ("", "0 fields"),
        ("*/0 * * * *", "minute '*/0'"),
        ("5-1 * * * *", "minute '5-1'"),
        ("1, * * * *", "minute '1,'"),
        ("a * * * *", "minute 'a'"),
        ("H(50-70) * * * *", "the range must lie within 0-59"),
        ("H/0 * * * *", "the step must be 1 or more"),
        ("@reboot", "'@reboot' is not one of @hourly"),
        ("@every 5m", "set `interval`"),
        ("\u0661 * * * *", "only ASCII"),
        ("* " * 200, "at most 256"),
        (",".join(["1"] * 70) + " * * * *", "at most 64 terms"),
    ],
)
def test_a_bad_expression_says_what_is_wrong_with_which_field(text: str, words: str) -> None:
    with pytest.raises(BadExpression) as caught:
        Expression(text, "x")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"])
def test_an_expression_without_any_day_never_fires(text: str) -> None:
    with pytest.raises(NeverFires, match="never fires"):
        Expression(text, "x")
