"""The synchronous client against a scheduler in this process: failover, retries, outcomes."""

import itertools
import operator
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from quorate.client.client import Client
from quorate.client.decorator import task
from quorate.client.errors import PayloadTooLarge, TaskCancelled, TaskFailed
from quorate.client.tracking import tracker
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def servers(cluster):
    return [FakeServer(cluster), FakeServer(cluster)]


@pytest.fixture
def client(servers):
    with Client(",".join(server.address for server in servers), retry_for=5) as client:
        yield client


def methods(cluster, name):
    return [address for method, address in cluster.calls if method == name]


def test_a_function_is_called_and_its_value_returned(client):
    handle = client.submit(divmod, 17, 5)
    assert handle.result(10) == (3, 2)
    assert handle.done()
    assert handle.status() == "SUCCEEDED"


def test_an_exception_is_the_original_one_with_the_remote_traceback(client):
    with pytest.raises(ZeroDivisionError) as caught:
        client.submit(operator.truediv, 1, 0).result(10)
    assert "Traceback on the node" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, TaskFailed)
    assert caught.value.__cause__.type == "ZeroDivisionError"


def test_a_command_that_fails_raises_its_exit_code(client):
    assert client.command(["true"]).result(10) == 0
    with pytest.raises(TaskFailed) as caught:
        client.command(["sh", "-c", "exit 3"]).result(10)
    assert (caught.value.type, caught.value.code) == ("EXIT_CODE", 3)


def test_logs_of_both_outputs(client):
    handle = client.command(["sh", "-c", "echo out; echo err >&2"])
    handle.wait(60)
    assert {chunk.stream: chunk.data for chunk in handle.logs()} == {1: b"out\n", 2: b"err\n"}


def test_logs_go_on_behind_what_was_read_when_the_stream_breaks(client, cluster):
    handle = client.command(["true"])
    handle.wait(60)
    for offset, data in ((0, b"abc"), (3, b"def")):
        cluster.logs[handle.id].append(_chunk(offset, data))
    read = []
    for chunk in handle.logs():
        read.append(chunk.data)
        if len(read) == 1:
            cluster.faults["LogChunk"] = [UNAVAILABLE]
    assert b"".join(read) == b"abcdef"


def _chunk(offset, data):
    from quorate.v1 import scheduler_pb2

    stdout = scheduler_pb2.LOG_STREAM_STDOUT
    return scheduler_pb2.LogChunk(stream=stdout, offset=offset, data=data)


def test_a_refused_call_is_repeated_with_the_same_request_id_on_another_scheduler(client, cluster):
    cluster.refuse("CreateTask", UNAVAILABLE, UNAVAILABLE, UNAVAILABLE)
    assert client.submit(abs, -3).result(10) == 3
    tried = methods(cluster, "CreateTask")
    assert len(tried) == 4
    assert tried[0] != tried[1]
    assert len(cluster.tasks) == 1


def test_an_answer_lost_in_a_deadline_creates_no_second_task(client, cluster):
    cluster.refuse("CreateTask", grpc.StatusCode.DEADLINE_EXCEEDED)
    client.submit(abs, -3).result(10)
    assert len(cluster.tasks) == 1


def test_a_definite_rejection_is_not_repeated(client, cluster):
    cluster.refuse("CreateTask", grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(QuorateError) as caught:
        client.submit(abs, -3)
    assert caught.value.reason == "ORDERED"
    assert len(methods(cluster, "CreateTask")) == 1


def test_a_killed_scheduler_is_a_pause_and_nothing_else(client, servers):
    assert client.submit(abs, -1).result(10) == 1
    servers[0].stop()
    assert client.submit(abs, -2).result(10) == 2


def test_a_wait_survives_the_scheduler_that_it_hangs_on(client, cluster, servers):
    cluster.hold.clear()
    handle = client.submit(abs, -2)
    results = []
    waiter = threading.Thread(target=lambda: results.append(handle.result(20)))
    waiter.start()
    wait_until(lambda: methods(cluster, "WaitTask"))
    hangs_on = methods(cluster, "WaitTask")[0]
    next(server for server in servers if server.address == hangs_on).stop()
    cluster.hold.set()
    waiter.join(20)
    assert results == [2]


def test_the_leader_is_asked_directly_once_it_is_known(client, cluster, servers):
    cluster.leader = 1
    for _ in range(4):
        client.submit(abs, -1).result(10)
    assert methods(cluster, "CreateTask")[-1] == servers[1].address


def test_patience_ends_with_a_sentence_that_names_the_addresses():
    with (
        Client("127.0.0.1:1", retry_for=0.2) as client,
        pytest.raises(QuorateError, match=r"127\.0\.0\.1:1") as caught,
    ):
        client.submit(abs, -1)
    assert caught.value.code is UNAVAILABLE


def test_what_is_unknown_is_not_found(client):
    with pytest.raises(QuorateError) as caught:
        client.get("nope").result(1)
    assert caught.value.reason == "TASK_NOT_FOUND"


def test_a_wait_that_is_too_long_times_out_and_the_task_goes_on(client, cluster):
    cluster.hold.clear()
    handle = client.submit(abs, -1)
    with pytest.raises(TimeoutError, match="PENDING"):
        handle.result(0.05)
    cluster.hold.set()
    assert handle.result(10) == 1


def test_cancel_tells_whether_it_came_in_time(client, cluster):
    cluster.hold.clear()
    handle = client.submit(abs, -1)
    assert handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(10)
    cluster.hold.set()
    done = client.submit(abs, -1)
    done.wait(60)
    assert not done.cancel()


def test_retry_runs_a_failed_task_again(client):
    handle = client.submit(operator.truediv, 1, 0)
    handle.wait(60)
    handle.retry()
    assert handle.wait(60).attempt == 2


def test_map_keeps_order_and_travels_in_chunks(client, cluster):
    assert list(client.map(operator.neg, range(5000))) == [-n for n in range(5000)]
    assert len(cluster.tasks) < 2500


def test_map_takes_an_endless_input(client):
    squares = client.map(lambda n: n * n, itertools.count(), chunk=10)
    assert list(itertools.islice(squares, 35)) == [n * n for n in range(35)]
    squares.close()


def test_map_raises_what_an_item_raised_and_cancels_the_rest(client, cluster):
    results = client.map(lambda n: 1 / n, [1, 0, 1], chunk=1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_a_map_early_cancels_what_has_not_run(client, cluster):
    cluster.hold.clear()
    results = client.map(abs, range(20), chunk=1, timeout=0.05)
    with pytest.raises(TimeoutError):
        next(results)
    states = {task.state for task in cluster.tasks.values()}
    assert states == {8}  # CANCELLED


def test_outcomes_that_arrive_before_the_answer_are_not_lost(client, cluster):
    cluster.answer_late = 0.2
    assert list(client.map(abs, [-1, -2, -3], chunk=1, timeout=10)) == [1, 2, 3]


def test_a_map_survives_broken_watches_and_lost_schedulers(client, cluster, servers):
    seen = []
    for value in client.map(abs, range(600), chunk=1, timeout=30):
        seen.append(value)
        if len(seen) in (50, 150):
            cluster.break_watches()
        if len(seen) == 300:
            servers[0].stop()
    assert seen == list(range(600))


def test_a_token_that_is_too_old_makes_the_tracker_list_again(client, cluster):
    cluster.hold.clear()
    results = client.map(abs, [-1, -2], chunk=1, timeout=20)
    got = []
    reader = threading.Thread(target=lambda: got.extend(results))
    reader.start()
    wait_until(lambda: len(cluster.tasks) == 2)
    cluster.refuse("WatchTasks", *[UNAVAILABLE] * 4)
    cluster.break_watches()
    cluster.hold.set()
    wait_until(lambda: all(task.state == 6 for task in cluster.tasks.values()))
    cluster.forget_tokens()
    reader.join(20)
    assert got == [1, 2]
    assert methods(cluster, "ListTasks")


def test_a_watch_that_says_how_far_it_is_is_not_renewed(client, cluster, monkeypatch):
    monkeypatch.setattr(tracker, "SILENCE", 0.5)
    cluster.progress = 0.05
    cluster.hold.clear()
    results = client.map(abs, [-1], chunk=1, timeout=20)
    reader = ThreadPoolExecutor(1)
    got = reader.submit(lambda: list(results))
    # For twice as long as silence may last.
    wait_until(lambda: cluster.progressed >= 20)
    cluster.hold.set()
    assert got.result(20) == [1]
    assert len(methods(cluster, "WatchTasks")) == 1
    reader.shutdown()


def test_a_watch_that_falls_silent_is_renewed_behind_its_token(client, cluster, monkeypatch):
    monkeypatch.setattr(tracker, "SILENCE", 0.2)
    cluster.progress = 0.05
    cluster.hold.clear()
    results = client.map(abs, [-1], chunk=1, timeout=20)
    reader = ThreadPoolExecutor(1)
    got = reader.submit(lambda: list(results))
    wait_until(lambda: cluster.progressed >= 1)
    cluster.frozen = True
    wait_until(lambda: len(methods(cluster, "WatchTasks")) >= 3)
    cluster.hold.set()
    wait_until(lambda: all(task.state == 6 for task in cluster.tasks.values()))
    cluster.frozen = False
    assert got.result(20) == [1]
    reader.shutdown()


def test_a_batch_waits_while_the_cluster_is_at_a_bound(client, cluster):
    cluster.refuse("BatchCreateTasks", grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert list(client.map(abs, [-1], timeout=10)) == [1]


def test_an_unknown_queue_is_refused(client):
    with pytest.raises(QuorateError) as caught:
        client.options(queue="nope").submit(abs, 1)
    assert caught.value.reason == "QUEUE_NOT_FOUND"
    with pytest.raises(QuorateError):
        list(client.options(queue="nope").map(abs, [1]))


def test_a_closed_client_says_so(servers):
    client = Client(servers[0].address)
    client.submit(abs, 1).result(10)
    client.close()
    with pytest.raises(QuorateError, match="closed"):
        client.submit(abs, 1)


def test_json_calls_pickle_nothing(client, cluster):
    assert client.submit_json("math:hypot", [3, 4]).result(10) == 5.0
    [only] = cluster.tasks.values()
    assert only.spec.python.WhichOneof("arguments") == "json"
    assert only.result.WhichOneof("value") == "json"


def test_tasks_pages_through_everything_newest_first(client):
    handles = client.submit_batch([_spec() for _ in range(7)])
    for handle in handles:
        handle.wait(60)
    ids = [task.id for task in client.tasks(page_size=3, states=["succeeded"])]
    assert ids == [handle.id for handle in reversed(handles)]


@pytest.mark.parametrize(
    ("size", "count"),
    # The second is above what gRPC lets through.
    [(240_000, 71), (240_000, 100)],
    ids=["above the limit of the cluster", "above that of gRPC"],
)
def test_a_batch_that_is_too_large_is_refused_before_it_is_sent(client, cluster, size, count):
    spec = _spec()
    spec.command.stdin = b"x" * size
    with pytest.raises(
        PayloadTooLarge, match=r"the batch is [\d,]+ bytes, .* in parts"
    ) as rejection:
        client.submit_batch([spec] * count)
    error = rejection.value
    assert error.metadata["field"] == "specs"
    assert error.metadata["limit"] == str(error.limit) == str(16 << 20)
    assert error.size > size * count
    assert methods(cluster, "BatchCreateTasks") == []


def test_a_batch_of_too_many_tasks_is_refused_before_it_is_sent(client, cluster):
    with pytest.raises(QuorateError, match="at most 10,000") as rejection:
        client.submit_batch([_spec()] * 10_001)
    assert rejection.value.metadata["field"] == "specs"
    assert rejection.value.metadata["limit"] == "10000"
    assert methods(cluster, "BatchCreateTasks") == []


def test_a_task_above_what_grpc_lets_through_is_refused_before_it_is_sent(client, cluster):
    spec = _spec()
    spec.command.stdin = b"x" * (40 << 20)
    with pytest.raises(PayloadTooLarge, match="the limit is 262,144") as rejection:
        client.submit_spec(spec)
    assert rejection.value.metadata["field"] == "spec"
    assert methods(cluster, "CreateTask") == []


def _spec():
    from quorate.v1 import task_pb2

    spec = task_pb2.TaskSpec()
    spec.command.argv.append("true")
    return spec


@task(retries=2, priority=7)
def triple(n):
    return 3 * n


def test_a_decorated_function_submits_with_its_options(client, cluster):
    assert triple.on(client).submit(4).result(10) == 12
    assert list(triple.on(client).map([1, 2])) == [3, 6]
    assert {t.spec.priority for t in cluster.tasks.values()} == {7}
    assert {t.spec.retry.max_attempts for t in cluster.tasks.values()} == {3}


def test_one_client_serves_many_threads(client):
    results = []

    def work(n):
        results.append(client.submit(operator.mul, n, 2).result(20))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2 * n for n in range(16)]
