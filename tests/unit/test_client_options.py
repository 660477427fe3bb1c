"""Task options: what they write into a spec, and what no server could make sense of."""

import datetime as dt
import math
from typing import Any, cast

import pytest

from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2


def spec_of(now=100.0, **options):
    spec = task_pb2.TaskSpec()
    TaskOptions(**options).apply(spec, now=now)
    return spec


def test_options_left_alone_leave_the_spec_alone():
    assert spec_of() == task_pb2.TaskSpec()


def test_retries_count_attempts_after_the_first():
    spec = spec_of(retries=3, backoff=0.5, fatal_errors=(ValueError, "EXIT_CODE", OSError))
    assert spec.retry.max_attempts == 4
    assert spec.retry.initial_backoff.ToMilliseconds() == 500
    assert list(spec.retry.fatal_errors) == ["ValueError", "EXIT_CODE", "OSError"]


def test_fatal_errors_of_other_modules_have_qualified_names():
    assert list(spec_of(fatal_errors=(QuorateError,)).retry.fatal_errors) == [
        "quorate.runtime.errors.QuorateError"
    ]


def test_fatal_errors_may_come_from_an_iterator_and_hold_for_each_task():
    options = TaskOptions(fatal_errors=cast(Any, (one for one in [ValueError])))
    for _ in range(2):
        spec = task_pb2.TaskSpec()
        options.apply(spec, now=0.0)
        assert list(spec.retry.fatal_errors) == ["ValueError"]


@pytest.mark.parametrize("wrong", ["ValueError", ValueError, 3, [3], [int], [ValueError()]])
def test_fatal_errors_that_are_no_list_of_exceptions_are_refused_by_name(wrong):
    with pytest.raises(QuorateError, match="fatal_errors"):
        TaskOptions(fatal_errors=wrong)


def test_limits_are_a_list_of_names_and_a_key():
    spec = spec_of(limit_key="customer-7", limits=iter(["licence", "api"]))
    assert (spec.limit_key, list(spec.limits)) == ("customer-7", ["licence", "api"])
    for wrong in ("licence", 3, [3], ["\ud800"]):
        with pytest.raises(QuorateError, match="limits"):
            TaskOptions(limits=cast(Any, wrong))


def test_delay_counts_from_now_and_not_before_wins():
    assert spec_of(delay=2.5).not_before.ToMilliseconds() == 102_500
    instant = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    assert spec_of(delay=2.5, not_before=instant).not_before.seconds == instant.timestamp()


def test_resources_timeout_labels_and_affinity():
    spec = spec_of(
        cpu=1.5,
        memory=1024,
        resources={"gpu": 2},
        timeout=0.25,
        labels={"a": "b"},
        affinity_key="k",
        priority=-5,
        name="n",
    )
    assert (spec.resources.cpu, spec.resources.memory) == (1.5, 1024)
    assert dict(spec.resources.counters) == {"gpu": 2}
    assert spec.timeout.nanos == 250_000_000
    assert (dict(spec.labels), spec.affinity_key) == ({"a": "b"}, "k")
    assert (spec.priority, spec.name) == (-5, "n")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", math.inf),
        ("timeout", math.nan),
        ("delay", -0.1),
        ("backoff", math.inf),
        ("retries", -1),
        ("not_before", dt.datetime(2030, 1, 1)),  # noqa: DTZ001 - the mistake under test
    ],
)
def test_senseless_values_are_refused_and_named(field, value):
    with pytest.raises(QuorateError) as caught:
        TaskOptions(**{field: value})
    assert caught.value.field == field


def test_a_huge_timeout_is_refused_rather_than_cut_off():
    with pytest.raises(QuorateError) as caught:
        spec_of(timeout=1e300)
    assert caught.value.field == "timeout"


def test_a_misspelt_option_is_a_type_error():
    with pytest.raises(TypeError, match="prioritty"):
        TaskOptions().but(cast(OptionArgs, {"prioritty": 3}))


def test_a_misspelt_option_is_answered_with_those_that_exist():
    misspelt: Any = {"retrys": 3}
    with pytest.raises(TypeError, match=r"no option is called 'retrys'; there are .*retries"):
        TaskOptions().but(misspelt)


def test_a_unique_key_says_how_it_is_unique():
    assert spec_of(unique_key="a").unique == task_pb2.UniqueKey(key="a")
    spec = spec_of(unique_key="a", unique_replaces=True, unique_for=1.5)
    assert spec.unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE
    assert spec.unique.window.ToMilliseconds() == 1_500
    rejects = spec_of(unique_key="a", unique_rejects=True).unique
    assert rejects.on_conflict == task_pb2.UNIQUE_CONFLICT_REJECT


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("unique_replaces", {"unique_key": "a", "unique_rejects": True, "unique_replaces": True}),
        ("unique_key", {"unique_replaces": True}),
        ("unique_key", {"unique_for": 5.0}),
        ("unique_for", {"unique_key": "a", "unique_for": 0.0}),
        ("unique_for", {"unique_key": "a", "unique_for": math.nan}),
        ("unique_for", {"unique_key": "a", "unique_for": 1e300}),
    ],
)
def test_a_unique_key_that_makes_no_sense_is_refused(field, options):
    with pytest.raises(QuorateError) as caught:
        spec_of(**options)
    assert caught.value.field == field
