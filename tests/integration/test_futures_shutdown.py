"""`quorate.Executor` ends as `ProcessPoolExecutor` does: CPython's shutdown cases and relatives."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.rpcs import CREATE_QUEUE, PAUSE_QUEUE
from quorate.v1 import queue_pb2, scheduler_pb2
from tests.support.futures import environment, executor_threads, run_script
from tests.support.served import Served, served_by
from tests.support.waiting import until

served = served_by(nodes=1, slots=4)


@pytest.fixture(autouse=True)
def cluster(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(served, monkeypatch)


@pytest.fixture
def client(cluster: None):
    with quorate.Client() as client:
        yield client


def live(client: quorate.Client, **chosen: str) -> int:
    """Tasks that are not finished."""
    waiting = client.tasks(states=["scheduled", "pending", "running"], page_size=1_000, **chosen)
    return sum(1 for _ in waiting)


def paused_queue(client: quorate.Client, name: str) -> str:
    queue = queue_pb2.Queue(name=name)
    client.calls.call(CREATE_QUEUE, scheduler_pb2.CreateQueueRequest(queue=queue))
    client.calls.call(PAUSE_QUEUE, scheduler_pb2.PauseQueueRequest(name=name))
    return name


def test_run_after_shutdown():
    pool = quorate.Executor()
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(pow, 2, 5)


def test_interpreter_shutdown(tmp_path: Path):
    """A script that ends without `with` has all its tasks done, and their callbacks run."""
    done = run_script(
        """
        import pathlib, sys
        import quorate
        pool = quorate.Executor()
        for number in range(500):
            future = pool.submit(pathlib.Path(sys.argv[1], str(number)).touch)
            future.add_done_callback(lambda future: sys.stdout.write("apple\\n"))
        """,
        str(tmp_path),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["apple"] * 500
    assert len(list(tmp_path.iterdir())) == 500


def test_submit_after_interpreter_shutdown():
    done = run_script(
        """
        import atexit
        import quorate
        pool = quorate.Executor()

        @atexit.register
        def run_last():
            for make in (lambda: pool.submit(id, None), quorate.Executor):
                try:
                    make()
                except RuntimeError as error:
                    print(error)

        pool.submit(id, None).result()
        """
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.split("\n")[:2]
        == ["cannot schedule new futures after interpreter shutdown"] * 2
    )


def test_hang_issue12364():
    pool = quorate.Executor()
    futures = [pool.submit(time.sleep, 0.05) for _ in range(50)]
    pool.shutdown()
    assert all(future.done() for future in futures)


def test_cancel_futures(client):
    """What runs goes on to its end; what waits is cancelled."""
    pool = quorate.Executor()
    futures = [pool.submit(time.sleep, 0.5) for _ in range(50)]
    until(lambda: any(task for task in client.tasks(states=["running"])))
    pool.shutdown(cancel_futures=True)
    cancelled = [future for future in futures if future.cancelled()]
    others = [future for future in futures if not future.cancelled()]
    assert len(cancelled) >= 35
    assert others
    assert all(future.done() and future.exception() is None for future in others)


def test_cancel_futures_wait_false():
    pool = quorate.Executor()
    futures = [pool.submit(time.sleep, 0.1) for _ in range(50)]
    pool.shutdown(wait=False, cancel_futures=True)
    until(lambda: all(future.done() for future in futures))
    assert any(future.cancelled() for future in futures)


def test_hang_gh83386():
    """`shutdown(wait=False)`, and the interpreter ends: what was submitted is done."""
    done = run_script(
        """
        import time
        import quorate
        pool = quorate.Executor()
        pool.submit(time.sleep, 0.2).add_done_callback(lambda future: print("done"))
        pool.shutdown(wait=False)
        """
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")


def test_hang_gh94440():
    """`shutdown` does not hang on a future that was cancelled right before."""
    pool = quorate.Executor()
    pool.submit(int).result()
    pool.submit(int).cancel()
    pool.shutdown()


def test_processes_terminate():
    """Here: the threads of an executor, and its connection, end with it."""
    before = executor_threads()
    pool = quorate.Executor()
    assert [pool.submit(abs, -n).result() for n in range(3)] == [0, 1, 2]
    assert len(executor_threads()) > len(before)
    pool.shutdown()
    until(lambda: executor_threads() == before)


def test_context_manager_shutdown():
    with quorate.Executor(max_workers=5) as pool:
        assert list(pool.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError):
        pool.submit(abs, 1)


def test_del_shutdown():
    """An executor that nobody refers to any longer finishes its calls and ends its threads."""
    before = executor_threads()
    pool = quorate.Executor(max_workers=5)
    results = pool.map(abs, range(-5, 5))
    del pool
    gc.collect()
    until(lambda: executor_threads() == before)
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def test_shutdown_no_wait():
    before = executor_threads()
    pool = quorate.Executor()
    results = pool.map(abs, range(-5, 5))
    pool.shutdown(wait=False)
    until(lambda: executor_threads() == before)
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def test_shutdown_in_a_done_callback_does_not_wait_for_its_own_thread():
    pool = quorate.Executor()
    took: list[float] = []

    def end(future: object) -> None:
        begin = time.monotonic()
        pool.shutdown()
        took.append(time.monotonic() - begin)

    pool.submit(int).add_done_callback(end)
    until(lambda: took)
    assert took[0] < 1.0
    pool.shutdown()


def test_a_done_callback_that_exits_leaves_the_others_their_outcomes():
    """Its thread tells the outcomes of every call of the client."""
    with quorate.Executor() as pool:
        first = pool.submit(pow, 2, 3)
        first.add_done_callback(lambda _: sys.exit(3))
        assert first.result(60) == 8
        assert pool.submit(pow, 2, 4).result(60) == 16


def test_thousands_that_wait_are_cancelled_by_a_few_calls(client):
    queue = paused_queue(client, "f2")
    pool = quorate.Executor(client=client, queue=queue)
    futures = [pool.submit(abs, -n) for n in range(5_000)]
    until(lambda: all(future.task_id for future in futures))
    begin = time.monotonic()
    pool.shutdown(cancel_futures=True)
    took = time.monotonic() - begin
    assert all(future.cancelled() for future in futures)
    assert live(client, queue=queue) == 0
    # Under 0.4 s alone on 2 cores; before, 30 a second.
    assert took < 5.0


def test_map_whose_first_item_fails_tells_at_once_and_leaves_nothing(client):
    def first_fails(number: int) -> None:
        1 // number
        time.sleep(20)

    queue = paused_queue(client, "f2-map")
    pool = quorate.Executor(client=client)
    many = quorate.Executor(client=client, queue=queue)
    results = pool.map(first_fails, range(100))
    left = many.map(abs, range(2_000), timeout=0.5)
    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        list(results)
    with pytest.raises(TimeoutError):
        list(left)
    assert time.monotonic() - begin < 5.0
    until(lambda: live(client) == 0)


def test_a_cancel_while_the_batch_is_being_sent_is_not_forgotten(client):
    pool = quorate.Executor(client=client)
    with pytest.raises(TimeoutError):
        list(pool.map(time.sleep, [20] * 300, timeout=0.005))
    pool.shutdown()
    assert live(client) == 0


async def test_cancel_does_not_hold_an_event_loop(client):
    """As `asyncio.wait_for` does it, while the task runs."""
    loop = asyncio.get_running_loop()
    pool = quorate.Executor(client=client)
    waiting = loop.run_in_executor(pool, time.sleep, 30)
    await asyncio.to_thread(until, lambda: live(client) == 1)
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.01)
    assert time.monotonic() - begin < 0.5
    await asyncio.to_thread(pool.shutdown)
    assert live(client) == 0


def test_a_cancelled_future_is_cancelled_for_whoever_waits(client):
    pool = quorate.Executor(client=client)
    future = pool.submit(time.sleep, 30)
    until(lambda: future.task_id)
    assert future.cancel()
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(0)
    pool.shutdown()
    assert client.get(future.task_id).status() == "CANCELLED"
