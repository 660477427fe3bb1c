"""Times of schedules on the command line: in which zone they are read, shown and named."""

from __future__ import annotations

import datetime as dt
import io
import time
from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from quorate.cli.schedules.naming import named_options
from quorate.cli.schedules.show import next_table
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import schedule_pb2 as pb
from tests.support.command_line import Quorate, fake_cluster, fake_quorate
from tests.support.fake_scheduler import FakeCluster

cluster, quorate = fake_cluster, fake_quorate
AT = ("schedule", "create", "s", "--at")
WORK = ("--", "true")


@pytest.fixture(autouse=True)
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is five hours behind UTC, whatever it is."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("words", "hour"),
    [
        (("2030-12-01T12:00", "--zone", "Europe/Berlin"), 11),
        (("2030-12-01T12:00+09:00", "--zone", "Europe/Berlin"), 3),
        (("2030-12-01T12:00",), 17),
    ],
    ids=["zone", "offset", "machine"],
)
def test_a_time_without_an_offset_is_in_the_zone_that_is_given(
    quorate: Quorate, cluster: FakeCluster, words: tuple[str, ...], hour: int
) -> None:
    code, _, err = quorate(*AT, *words, *WORK)
    assert code == 0, err
    found = cluster.schedules["s"].spec.at.ToDatetime(dt.UTC)
    assert found == dt.datetime(2030, 12, 1, hour, tzinfo=dt.UTC)


def test_a_zone_that_does_not_exist_is_named(quorate: Quorate, cluster: FakeCluster) -> None:
    code, _, err = quorate(*AT, "2030-12-01", "--zone", "Mars/Olympus", *WORK)
    assert (code, "--zone: 'Mars/Olympus' is not a known time zone" in err) == (2, True)
    assert cluster.schedules == {}


@pytest.mark.parametrize("policy", ["queue-one", "cancel-running"])
def test_a_backfill_offers_only_policies_that_are_accepted(quorate: Quorate, policy: str) -> None:
    code, _, err = quorate("schedule", "run", "s", "--from", "2030-01-01", "--overlap", policy)
    assert (code, "--overlap" in err, policy in err) == (2, True, True)
    assert "Value error" not in err
    said = " ".join(err.split()).partition("not one of")[2]
    assert [word in said for word in ("skip", "queue-all", "allow")] == [True] * 3
    assert [word in said for word in ("queue-one", "cancel-running")] == [False] * 2


@pytest.mark.parametrize(
    ("zone", "shown"), [("Europe/Berlin", "2030-12-01 12:00:00 CET"), ("America/New_York", "")]
)
def test_next_ticks_are_also_in_the_zone_of_the_schedule(zone: str, shown: str) -> None:
    tick = Timestamp()
    tick.FromDatetime(dt.datetime(2030, 12, 1, 11, tzinfo=dt.UTC))
    table = next_table(pb.Schedule(spec=pb.ScheduleSpec(time_zone=zone), next_ticks=[tick]))
    text = io.StringIO()
    Console(file=text, width=80).print(table)
    assert "2030-12-01 06:00:00.000 EST" in text.getvalue()
    assert ("THE SCHEDULE'S ZONE" in text.getvalue()) == bool(shown)
    assert shown in text.getvalue()


@pytest.mark.parametrize(
    ("field", "start"),
    [
        ("schedule.spec.cron", "--cron: "),
        ("schedule.spec.blackouts[0].cron", "--blackout: "),
        ("schedule.spec.task.timeout", "schedule.spec.task.timeout: "),
    ],
)
def test_an_error_about_a_time_names_the_option(field: str, start: str) -> None:
    with pytest.raises(QuorateError) as caught, named_options():
        raise invalid(field, "is wrong")
    assert (caught.value.message, caught.value.field) == (f"{start}is wrong", field)


def test_help_has_no_type_of_a_flag_and_no_braces(quorate: Quorate) -> None:
    for words in (("schedule", "run"), ("submit",), ("schedule",), ("job",), ()):
        code, out, _ = quorate(*words, "--help")
        assert code == 0
        assert "<bool>" not in out
        assert "{" not in out.partition("Usage:")[2].partition("\n\n")[0].partition("\n")[0]
