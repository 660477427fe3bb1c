"""What checks of an outside instance say: results in, a verdict and the next check's time out."""

from __future__ import annotations

import pytest

from gateway.proxy.balancing.health_tracker import CheckTerms, HealthTracker, terms_of
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2


def test_a_registered_instance_passes_until_enough_checks_in_a_row_fail():
    record = HealthTracker(CheckTerms(unhealthy_after=3, healthy_after=2), 0.0, lambda: 0.5)
    for passed in (False, False, True, False, False):
        assert not record.on_checked(passed, 1.0, lambda: 0.5)
        assert record.passing
    assert record.on_checked(False, 1.0, lambda: 0.5)
    assert not record.passing
    for passed in (True, False, True):
        assert not record.on_checked(passed, 1.0, lambda: 0.5)
        assert not record.passing
    assert record.on_checked(True, 1.0, lambda: 0.5)
    assert record.passing


@pytest.mark.parametrize(("draw", "first", "next_"), [(0.0, 5.0, 6.8), (0.75, 6.5, 7.1)])
def test_checks_are_spread_over_the_interval_and_jittered(draw: float, first: float, next_: float):
    record = HealthTracker(CheckTerms(interval=2.0), 5.0, lambda: draw)
    assert record.due == pytest.approx(first)
    record.on_checked(True, 5.0, lambda: draw)
    assert record.due == pytest.approx(next_)


def test_another_check_starts_counting_anew_and_keeps_the_verdict():
    record = HealthTracker(CheckTerms(unhealthy_after=2), 0.0, lambda: 0.0)
    record.on_checked(False, 0.0, lambda: 0.5)
    record.retarget(CheckTerms(path="/ok", unhealthy_after=2), 7.0, lambda: 0.5)
    assert record.due == 7.5
    assert not record.on_checked(False, 8.0, lambda: 0.5)
    assert record.passing
    assert record.on_checked(False, 9.0, lambda: 0.5)


def test_the_same_check_again_changes_nothing():
    record = HealthTracker(CheckTerms(unhealthy_after=2), 0.0, lambda: 0.0)
    record.on_checked(False, 0.0, lambda: 0.5)
    due = record.due
    record.retarget(CheckTerms(unhealthy_after=2), 7.0, lambda: 0.5)
    assert record.due == due
    assert record.on_checked(False, 8.0, lambda: 0.5)


def test_terms_have_the_defaults_and_bounds_of_the_contract():
    assert terms_of(pb.ServiceSpec()) is None
    for name in ("x", ""):
        check = task_pb2.HealthCheck(grpc_service=name)
        assert terms_of(pb.ServiceSpec(health=check)) == CheckTerms(grpc=name)
    assert terms_of(pb.ServiceSpec(health=task_pb2.HealthCheck())) == CheckTerms()
    assert terms_of(pb.ServiceSpec(health=task_pb2.HealthCheck(tcp=True))) == CheckTerms()
    wild = task_pb2.HealthCheck(http_path="/ok", healthy_after=99, unhealthy_after=-1)
    wild.interval.FromMilliseconds(1)
    wild.timeout.FromSeconds(1_000)
    assert terms_of(pb.ServiceSpec(health=wild)) == CheckTerms(
        path="/ok", interval=0.1, timeout=60.0, healthy_after=10, unhealthy_after=3
    )


@pytest.mark.parametrize("path", ["ok", "/a b", "/a\r\nx: y", "/" + "a" * 1024, "/\N{BULLET}"])
def test_a_path_that_could_be_another_request_is_never_sent(path: str):
    assert terms_of(pb.ServiceSpec(health=task_pb2.HealthCheck(http_path=path))) is None
