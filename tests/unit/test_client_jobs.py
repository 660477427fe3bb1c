"""Arrays through the SDK, against a scheduler in this process."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Iterator

import grpc
import pytest

import quorate
from quorate.client.client import Client
from quorate.client.errors import ArgumentNotSerialisable, PayloadTooLarge, TaskCancelled
from quorate.client.jobs import parts
from quorate.client.jobs.requests import InOrder
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    servers = [FakeServer(cluster), FakeServer(cluster)]
    with Client(",".join(server.address for server in servers), retry_for=5) as client:
        yield client


def half(number: int, places: int = 1) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return round(number / 2, places)


def nothing(item: object) -> None:
    assert item is not None


def test_results_come_in_the_order_of_the_items(client: Client) -> None:
    job = client.array(len, ["a", "", "ccc", "bb"], name="lengths", queue="default")
    assert list(job.results()) == [1, 0, 3, 2]
    done = job.wait(60)
    assert (job.status(), done.count, done.counts.succeeded) == ("SUCCEEDED", 4, 4)
    assert job.done()


def test_without_items_a_function_gets_the_index(client: Client) -> None:
    job = client.array(operator.mul, count=5, args=[10], first_index=1, index_step=2)
    assert list(job.results()) == [10, 30, 50, 70, 90]
    assert [one.index for one in job.outcomes()] == [1, 3, 5, 7, 9]
    assert list(client.array(abs, []).results()) == []


def test_json_goes_and_comes_as_json(client: Client, cluster: FakeCluster) -> None:
    job = client.array("builtins:sorted", [[2, 1], "ba"], as_json=True, kwargs={"reverse": True})
    assert list(job.results()) == [[2, 1], ["b", "a"]]
    assert b"pickle" not in cluster.jobs[job.id].job.spec.template.SerializeToString()
    with pytest.raises(QuorateError, match="as_json: needs a function by its name"):
        client.array(len, ["a"], as_json=True)
    with pytest.raises(ArgumentNotSerialisable, match=r"item at position 1 \(object\)"):
        client.array("builtins:len", ["a", object()], as_json=True)


def test_a_program_gets_the_item_and_the_index(client: Client) -> None:
    job = client.array(["test", "{}", "=", "a{index}"], ["a0", "a1", "b"])
    outcomes = list(job.outcomes())
    assert [(one.state, one.value) for one in outcomes[:2]] == [("SUCCEEDED", 0)] * 2
    assert outcomes[2].state == "FAILED"
    with pytest.raises(QuorateError, match="args: a program has no further arguments"):
        client.array(["true"], ["a"], args=[1])


def test_none_is_a_result(client: Client) -> None:
    assert list(client.array(nothing, [1, 2, 3, 4]).results()) == [None] * 4


def test_a_failed_subtask_raises_its_own_exception_in_its_place(client: Client) -> None:
    job = client.array(half, range(4), kwargs={"places": 2})
    results = job.results()
    assert next(results) == 0.0
    with pytest.raises(ValueError, match="1 is odd"):
        next(results)
    returned = list(job.results(failures="return"))
    assert [type(one) for one in returned] == [float, ValueError, float, ValueError]
    assert list(job.results(failures="skip")) == [0.0, 1.0]
    with pytest.raises(QuorateError, match="failures: 'ignore' must be one of raise, return, skip"):
        next(job.results(failures="ignore"))  # type: ignore[arg-type]
    assert job.status() == "FAILED"


def test_errors_are_grouped_and_failed_subtasks_listed(client: Client) -> None:
    job = client.array(half, range(10), first_index=100)
    job.wait(60)
    (group,) = job.errors()
    assert (group.type, group.count) == ("ValueError", 5)
    assert (group.first_index, group.last_index) == (101, 109)
    failed = list(job.subtasks(["failed"]))
    assert [one.id for one in failed] == [f"{job.id}.{index}" for index in range(101, 110, 2)]
    assert len(list(job.ranges())) == 10
    assert [one.count for one in job.ranges(["failed"])] == [5]
    assert job.outcome(102).value == 1.0
    bad = job.outcome(101)
    assert (bad.index, bad.state, repr(bad.error)) == (101, "FAILED", "ValueError('1 is odd')")
    for index in (99, 110):
        with pytest.raises(QuorateError, match=f"index: {index} is none"):
            job.outcome(index)
    with pytest.raises(QuorateError, match="they begin at 1 in steps of 2"):
        client.array(abs, count=2, first_index=1, index_step=2).outcome(2)


def test_a_broken_stream_of_results_goes_on_where_it_was(
    client: Client, cluster: FakeCluster
) -> None:
    cluster.stop_after = 2
    cluster.refuse("ReadJobResults", UNAVAILABLE)
    assert list(client.array(abs, range(20)).results()) == list(range(20))


def test_without_waiting_the_values_end_at_what_is_not_finished(
    client: Client, cluster: FakeCluster
) -> None:
    cluster.hold.clear()
    job = client.array(abs, range(5))
    assert list(job.results(wait=False)) == []
    assert {one.state for one in job.outcomes(wait=False)} == {"PENDING"}
    assert not job.done()
    with pytest.raises(TimeoutError, match=r"is still ACTIVE after 0.01 s \(0 of 5\)"):
        job.wait(0.01)
    cluster.hold.set()
    assert list(job.results()) == list(range(5))


def test_items_beyond_one_request_are_appended_in_parts(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 10)
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(35):
            taken += 1
            # One part is sent before the one behind the next is read.
            assert taken <= sum(cluster.appended) + 22
            yield number

    cluster.refuse("AppendJobItems", UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    job = client.array(abs, items())
    assert cluster.appended == [10, 10, 5]
    assert list(job.results()) == list(range(35))
    assert job.status() == "SUCCEEDED"


def test_items_that_cannot_be_read_cancel_the_job(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 2)
    cluster.hold.clear()

    def items() -> Iterator[int]:
        yield from range(7)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        client.array(abs, items())
    (job,) = client.jobs()
    assert job.cancel_requested
    assert client.job(job.id).status() == "CANCELLED"


def test_an_open_array_takes_items_until_it_is_closed(client: Client) -> None:
    job = client.array(abs, open=True, close_after_idle=60)
    assert job.append([-1, -2]) == 2
    assert job.append(iter([-3])) == 3
    results = job.results()
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    progress = job.progress
    assert (progress.finished, progress.total, progress.seconds_left) == (3, 3, None)
    job.close()
    assert list(results) == []
    assert job.wait(60).counts.succeeded == 3
    with pytest.raises(QuorateError, match="is finished"):
        job.append([4])


def test_two_programs_append_the_same_items_at_once(client: Client, cluster: FakeCluster) -> None:
    job = client.array(abs, open=True)

    def items() -> Iterator[int]:
        # Read behind the look at how many there are.
        assert client.job(job.id).append([-1, -2]) == 2
        yield from (-1, -2, -3)

    assert job.append(items()) == 5
    assert [pickle.loads(one) for one in cluster.jobs[job.id].items] == [-1, -2, -1, -2, -3]


def test_a_repeated_creation_may_send_its_items_in_other_bytes(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 2)
    cluster.hold.clear()
    job = client.array(abs, range(3), open=True, request_id="again")
    cluster.jobs[job.id].items[2] = pickle.dumps(2.0)
    assert client.array(abs, range(5), open=True, request_id="again").id == job.id
    assert [pickle.loads(one) for one in cluster.jobs[job.id].items] == [0, 1, 2.0, 3, 4]
    cluster.hold.set()


def test_it_is_paused_resumed_cancelled_retried_and_deleted(
    client: Client, cluster: FakeCluster
) -> None:
    cluster.hold.clear()
    job = client.array(abs, range(6))
    job.pause()
    assert job.status() == "PAUSED"
    job.resume()
    assert job.status() == "ACTIVE"
    with pytest.raises(QuorateError, match="is not finished"):
        job.delete()
    assert job.cancel()
    assert job.wait(60).counts.cancelled == 6
    with pytest.raises(TaskCancelled):
        next(job.results())
    cluster.hold.set()
    job.retry()
    assert list(job.results()) == list(range(6))
    assert job.job().round == 1
    assert not job.cancel()
    with pytest.raises(QuorateError, match="nothing of job"):
        job.retry()
    job.delete()
    with pytest.raises(QuorateError, match="does not exist"):
        job.job()


def test_jobs_are_found_by_queue_state_and_text(client: Client) -> None:
    first, second = (client.array(abs, [1], name=name) for name in ("red", "blue"))
    first.wait(60)
    second.wait(60)
    assert [one.id for one in client.jobs(page_size=1)] == [second.id, first.id]
    assert [one.id for one in client.jobs(states=["succeeded"], text="red")] == [first.id]
    assert list(client.jobs(queue="other")) == []
    with pytest.raises(QuorateError, match="'done' must be one of active, paused, succeeded"):
        next(client.jobs(states=["done"]))


def test_a_request_id_makes_one_job_of_two_calls(client: Client) -> None:
    jobs = {client.array(abs, [1], request_id="once") for _ in range(2)}
    assert len(jobs) == 1


def test_a_repeat_of_many_parts_is_the_same_job(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 3)
    first = client.array(abs, range(8), request_id="once")
    assert client.array(abs, range(8), request_id="once") == first
    # A third call finds it open, and another one closes it meanwhile.
    cluster.jobs[first.id].job.open = True

    def items() -> Iterator[int]:
        yield from range(7)
        first.close()
        yield 7

    assert client.array(abs, items(), request_id="once") == first
    assert list(first.results()) == list(range(8))
    assert first.status() == "SUCCEEDED"


def test_a_job_that_ends_early_takes_no_more_items(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 2)
    cluster.hold.clear()

    def items() -> Iterator[int]:
        yield from range(5)
        (job,) = client.jobs()
        client.job(job.id).cancel()
        yield from range(100_000)

    job = client.array(abs, items())
    assert job.status() == "CANCELLED"
    assert job.job().count < 10


def test_details_are_found_of_subtasks_that_fail_out_of_order() -> None:
    failed: list[int] = [3, 9]

    def page(request: scheduler_pb2.ListSubtasksRequest) -> scheduler_pb2.ListSubtasksResponse:
        begin = int(request.page_token or 0)
        found = [index for index in sorted(failed) if index >= begin]
        answer = scheduler_pb2.ListSubtasksResponse()
        for index in found[:2]:
            answer.subtasks.add(index=index)
        if len(found) > 2:
            answer.next_page_token = str(found[1] + 1)
        return answer

    finder = InOrder()

    def find(index: int) -> bool:
        while (request := finder.wanted("j", index)) is not None:
            finder.take(page(request))
        return finder.found(index) is not None

    assert find(3)
    # It failed after 9 was seen; then one behind all, and one that nobody knows of.
    failed.append(6)
    assert find(6)
    assert find(9)
    failed += [20, 21, 22, 23, 24]
    assert [find(index) for index in (20, 21, 22, 24)] == [True] * 4
    assert not find(30)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((abs,), {}, "items: give items, a count, or open=True"),
        ((abs, "text"), {}, "items: must be an iterable of items"),
        ((abs, [1]), {"count": 1}, "count: is the number of items"),
        ((abs,), {"count": 1, "open": True}, "count: an open array"),
        ((abs,), {"count": 10_000_001}, "count: 10,000,001 must be 0 to 10,000,000"),
        ((abs,), {"count": 1, "max_parallel": -1}, "max_parallel: -1 must be 0 or more"),
        ((abs,), {"count": 1, "max_failures": -1}, "max_failures: -1 must be 0 or more"),
        ((["true"], [b"\xff"]), {}, r"items\[0\]: .* cannot be written as UTF-8"),
        (([], [1]), {}, "argv: must name a program"),
        (("len", [1]), {}, "entrypoint: 'len' is not of the form module:function"),
    ],
)
def test_a_mistake_is_named_before_anything_is_sent(
    client: Client, cluster: FakeCluster, arguments, options, message: str
) -> None:
    with pytest.raises(QuorateError, match=message):
        client.array(*arguments, **options)
    assert cluster.calls == []


def test_an_item_that_cannot_be_sent_is_named(client: Client, cluster: FakeCluster) -> None:
    with pytest.raises(PayloadTooLarge, match=r"the item at position 1 is 300,\d+ bytes"):
        client.array(len, ["a", "b" * 300_000])
    with pytest.raises(ArgumentNotSerialisable, match=r"item at position 0 \(generator\)"):
        client.array(len, [(one for one in "a")])
    with pytest.raises(TypeError, match="no option is called 'retires'"):
        client.array(len, ["a"], retires=3)  # type: ignore[call-arg]
    assert cluster.calls == []


def test_a_template_may_be_given_as_it_is(client: Client) -> None:
    spec = client.get(client.submit(abs, 1).id).task(full=True).spec
    spec.python.pickle = pickle.dumps(((), {}))
    assert list(client.array_spec(spec, [pickle.dumps]).results(failures="return")) != []
    assert list(client.array_spec(spec, count=2).results()) == [0, 1]


def test_a_handle_travels_by_its_id(client: Client) -> None:
    job = client.array(abs, [1])
    again = pickle.loads(pickle.dumps(job))
    assert again == job == client.job(job.id)
    assert {again, job} == {job}
    assert repr(job) == f"JobHandle({job.id!r})"


def test_notify_gets_the_job_until_it_is_finished(client: Client, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    job = client.array(abs, range(3))
    seen: list[int] = []

    def notify(found) -> None:
        seen.append(found.counts.succeeded)
        cluster.hold.set()

    job.wait(10, notify=notify)
    assert (seen[0], seen[-1]) == (0, 3)


def test_a_decorated_function_has_arrays_too(client: Client) -> None:
    task = quorate.task(name="absolute")(abs).on(client)
    assert list(task.array([-1, -2], max_parallel=1).results()) == [1, 2]
    wait_until(lambda: next(client.jobs()).spec.template.name == "absolute")
