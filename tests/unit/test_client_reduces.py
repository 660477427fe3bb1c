"""Map-reduce through the SDK, against a scheduler in this process."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import pytest

from quorate.client.client import Client
from quorate.client.errors import TaskCancelled
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    with Client(FakeServer(cluster).address, retry_for=5) as client:
        yield client


def half(number: int, places: int = 1) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return round(number / 2, places)


def test_a_reduce_gives_the_result_of_the_job(client: Client) -> None:
    job = client.map_reduce(half, [2, 4, 6], operator.mul, reduce_args=[2], args=[2])
    assert job.result(10) == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    assert list(job.results()) == [1.0, 2.0, 3.0]
    by_name = client.map_reduce("builtins:abs", [-1, -5], "builtins:max", as_json=True)
    assert by_name.result(10) == 5
    assert client.map_reduce(["true"], None, len, count=3).job().spec.count == 3


def test_what_failed_of_a_map_reduce_is_raised(client: Client) -> None:
    with pytest.raises(ValueError, match="3 is odd"):
        client.map_reduce(half, [2, 3], sum).result(10)
    with pytest.raises(ValueError, match="empty"):
        client.map_reduce(half, [], max).result(10)


def test_a_cancelled_map_reduce_has_no_result(client: Client, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    job = client.map_reduce(half, [2], sum)
    with pytest.raises(TimeoutError):
        job.result(0.01)
    assert job.cancel()
    cluster.hold.set()
    with pytest.raises(TaskCancelled):
        job.result(10)


def test_a_job_without_a_reduce_has_results_alone(client: Client) -> None:
    with pytest.raises(QuorateError, match="has no reduce") as error:
        client.array(half, [2]).result(10)
    assert error.value.reason == "NO_REDUCE"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"fan_in": 3}, "fan_in: is of a reduce"),
        ({"reduce": sum, "fan_in": 1}, "fan_in: 1 must be 2 to 10,000,000"),
        ({"reduce": sum, "fan_in": -1}, "fan_in: -1 must be"),
        ({"reduce": ["sort"]}, "reduce: must be a function"),
    ],
)
def test_bad_reduces_are_refused_before_anything_is_sent(
    client: Client, cluster: FakeCluster, options: dict[str, object], why: str
) -> None:
    with pytest.raises(QuorateError, match=why):
        client.array(abs, [1], **options)  # type: ignore[arg-type]
    assert not cluster.jobs
