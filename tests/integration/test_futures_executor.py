"""`quorate.Executor` under CPython's cases of waiting, submitting, mapping and of futures."""

from __future__ import annotations

import gc
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future
from functools import partial
from typing import Any

import pytest

import quorate
from tests.support.futures import environment
from tests.support.served import Served, served_by
from tests.support.waiting import until

served = served_by(nodes=1, slots=4)


@pytest.fixture
def pool(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[quorate.Executor]:
    environment(served, monkeypatch)
    with quorate.Executor() as pool:
        yield pool


def cancelled() -> Future[None]:
    future: Future[None] = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def successful() -> Future[int]:
    future: Future[int] = Future()
    future.set_result(42)
    return future


def is_gone(ref: weakref.ref[object]) -> bool:
    gc.collect()
    return ref() is None


# -- wait


def test_20369(pool):
    """A future that is given twice is waited for once."""
    future = pool.submit(time.sleep, 0.1)
    done, not_done = futures.wait([future, future], return_when=ALL_COMPLETED)
    assert (done, not_done) == ({future}, set())


def test_first_completed(pool):
    one, two = pool.submit(pow, 2, 3), pool.submit(time.sleep, 1.5)
    other: Future[None] = Future()
    done, not_done = futures.wait([other, one, two], return_when=FIRST_COMPLETED)
    assert (done, not_done) == ({one}, {other, two})


def test_first_completed_some_already_completed(pool):
    one, before = pool.submit(time.sleep, 1.5), successful()
    done, pending = futures.wait([cancelled(), before, one], return_when=FIRST_COMPLETED)
    assert before in done
    assert pending == {one}


def test_first_exception(pool):
    one = pool.submit(pow, 2, 3)
    two = pool.submit(divmod, 1, 0)
    three = pool.submit(time.sleep, 3)
    one.result()
    done, pending = futures.wait([one, two, three], return_when=FIRST_EXCEPTION)
    assert (done, pending) == ({one, two}, {three})
    three.cancel()


def test_first_exception_some_already_complete(pool):
    one, two = pool.submit(divmod, 21, 0), pool.submit(time.sleep, 3)
    before, never = cancelled(), Future()  # type: ignore[var-annotated]
    done, pending = futures.wait([before, never, one, two], return_when=FIRST_EXCEPTION)
    assert (done, pending) == ({before, one}, {never, two})
    two.cancel()


def test_first_exception_one_already_failed(pool):
    failed: Future[None] = Future()
    failed.set_exception(OSError())
    one = pool.submit(time.sleep, 2)
    done, pending = futures.wait([failed, one], return_when=FIRST_EXCEPTION)
    assert (done, pending) == ({failed}, {one})
    one.cancel()


def test_all_completed(pool):
    one, two = pool.submit(divmod, 2, 0), pool.submit(pow, 2, 21)
    before: list[Future[Any]] = [cancelled(), successful()]
    done, pending = futures.wait([*before, one, two], return_when=ALL_COMPLETED)
    assert (done, pending) == ({*before, one, two}, set())


def test_timeout(pool):
    one, two = pool.submit(pow, 6, 7), pool.submit(time.sleep, 20)
    one.result()
    done, pending = futures.wait([one, two], timeout=0.2, return_when=ALL_COMPLETED)
    assert (done, pending) == ({one}, {two})
    two.cancel()


# -- as_completed


def test_no_timeout(pool):
    one, two = pool.submit(pow, 2, 21), pool.submit(pow, 7, 6)
    before: list[Future[Any]] = [cancelled(), successful()]
    assert set(futures.as_completed([*before, one, two])) == {*before, one, two}


def test_zero_timeout(pool):
    one, before, found = pool.submit(time.sleep, 20), successful(), set()
    completed = futures.as_completed([before, one], timeout=0)
    found.add(next(completed))
    with pytest.raises(futures.TimeoutError):
        next(completed)
    assert found == {before}
    one.cancel()


def test_duplicate_futures(pool):
    one = pool.submit(time.sleep, 0.1)
    assert list(futures.as_completed([one, one])) == [one]


def test_free_reference_yielded_future(pool):
    """`as_completed` and the executor forget a future that was handed out."""
    made = [pool.submit(pow, 2, n) for n in range(8)]
    known = [weakref.ref(future) for future in made]
    for future in futures.as_completed(made):
        made.remove(future)
        index = next(n for n, ref in enumerate(known) if ref() is future)
        del future
        until(partial(is_gone, known[index]))


def test_correct_timeout_exception_msg(pool):
    made = [Future() for _ in range(4)]  # type: ignore[var-annotated]
    with pytest.raises(futures.TimeoutError, match=r"4 \(of 4\) futures unfinished"):
        list(futures.as_completed(made, timeout=0))


# -- the executor itself


def test_submit(pool):
    assert pool.submit(pow, 2, 8).result() == 256


def test_submit_keyword(pool):
    assert pool.submit(int, "ff", base=16).result() == 255
    for name in ("fn", "self"):
        assert pool.submit(dict, **{name: 7}).result() == {name: 7}
    with pytest.raises(TypeError):
        pool.submit()
    with pytest.raises(TypeError):
        pool.submit(fn=abs, arg=1)


def test_map(pool):
    assert list(pool.map(pow, range(10), range(10))) == [n**n for n in range(10)]


def test_map_exception(pool):
    results = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert [next(results), next(results)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_timeout(pool):
    results = pool.map(time.sleep, [0, 0, 20], timeout=2)
    assert [next(results), next(results)] == [None, None]
    with pytest.raises(futures.TimeoutError):
        next(results)


def test_map_chunksize(pool):
    with pytest.raises(ValueError, match="chunksize"):
        list(pool.map(pow, range(40), range(40), chunksize=-1))
    for size in (6, 40, 50):
        assert list(pool.map(pow, range(40), range(40), chunksize=size)) == [
            n**n for n in range(40)
        ]


def test_map_submits_without_iteration(pool, tmp_path):
    files = [tmp_path / str(number) for number in range(7)]
    pool.map(type(tmp_path).touch, files)
    until(lambda: all(file.exists() for file in files))


def test_map_of_an_async_function(pool):
    async def doubled(number: int) -> int:
        return 2 * number

    assert list(pool.map(doubled, range(10), chunksize=3)) == [2 * n for n in range(10)]


def test_shutdown_race_issue12456(pool):
    """More items than workers, at once: nothing hangs."""
    assert list(pool.map(str, [2] * 50)) == ["2"] * 50


def test_no_stale_references(pool):
    """The executor keeps no arguments of calls that were sent."""

    class Thing:
        def __reduce__(self):
            return (object, ())

    thing = Thing()
    gone = threading.Event()
    ref = weakref.ref(thing, lambda _: gone.set())
    pool.submit(id, thing).result()
    del thing
    gc.collect()
    assert gone.wait(60), ref


def test_max_workers_negative():
    for number in (0, -1):
        with pytest.raises(ValueError, match="max_workers must be greater than 0"):
            quorate.Executor(max_workers=number)


def test_free_reference(pool):
    """Results of `map` are forgotten as they are handed out."""

    class Value:
        pass

    for value in pool.map(lambda _: Value(), range(8)):
        ref = weakref.ref(value)
        del value
        until(partial(is_gone, ref))


def test_saturation(pool):
    """More calls than slots are on the cluster; `max_workers` bounds them."""
    with quorate.Executor(max_workers=3) as few:
        made = [few.submit(time.sleep, 0.01) for _ in range(30)]
        assert all(future.result() is None for future in made)


def test_traceback(pool):
    """The traceback on the node is told, and the cause is named."""
    error = pool.submit(divmod, 1, 0).exception()
    assert type(error) is ZeroDivisionError
    assert error.__cause__ is not None
    text = "".join(traceback.format_exception(error))
    assert "Traceback on the node" in text


def test_executor_map_current_future_cancel(pool):
    """The item that is being waited for is cancelled too."""
    results = pool.map(time.sleep, [30, 30], timeout=0.2)
    with pytest.raises(futures.TimeoutError):
        next(results)
    pool.shutdown()


# -- futures


def test_done_callback_with_result(pool):
    called: list[object] = []
    future = pool.submit(pow, 5, 2)
    future.add_done_callback(lambda future: called.append(future.result()))
    until(lambda: called == [25])


def test_done_callback_with_exception(pool):
    called: list[object] = []
    future = pool.submit(divmod, 1, 0)
    future.add_done_callback(lambda future: called.append(type(future.exception())))
    until(lambda: called == [ZeroDivisionError])


def test_done_callback_with_cancel(pool):
    called: list[object] = []
    future = pool.submit(time.sleep, 30)
    future.add_done_callback(lambda future: called.append(future.cancelled()))
    assert future.cancel()
    assert called == [True]


def test_done_callback_raises(pool, caplog):
    called: list[object] = []

    def raises(future: Future[int]) -> None:
        raise ValueError("doh!")

    future = pool.submit(time.sleep, 0.2)
    future.add_done_callback(raises)
    future.add_done_callback(lambda _: called.append(True))
    until(lambda: called)
    assert "doh!" in caplog.text
    assert pool.submit(abs, -1).result() == 1


def test_done_callback_already_cancelled(pool):
    called: list[object] = []
    future = pool.submit(time.sleep, 30)
    future.cancel()
    future.add_done_callback(lambda future: called.append(future.cancelled()))
    assert called == [True]


def test_cancel(pool):
    finished, waiting = pool.submit(abs, -1), pool.submit(time.sleep, 30)
    finished.result()
    assert not finished.cancel()
    assert not finished.cancelled()
    assert waiting.cancel()
    assert waiting.done()
    assert not waiting.running()


def test_running(pool):
    future = pool.submit(time.sleep, 30)
    until(future.running)
    assert not future.done()
    future.cancel()


def test_result_with_timeout(pool):
    future = pool.submit(time.sleep, 30)
    with pytest.raises(futures.TimeoutError):
        future.result(0.05)
    with pytest.raises(futures.TimeoutError):
        future.exception(0.05)
    future.cancel()


def test_result_with_cancel(pool):
    future = pool.submit(time.sleep, 30)
    threading.Timer(0.1, future.cancel).start()
    with pytest.raises(futures.CancelledError):
        future.result(5)


def test_a_callback_may_submit_and_is_not_held_up(pool):
    """Also one that would have to wait for room that its own thread makes."""
    last: list[Future[int]] = []
    with quorate.Executor(max_workers=1) as one:
        first = one.submit(abs, -1)
        first.add_done_callback(lambda _: last.append(one.submit(abs, -2)))
        until(lambda: last)
        assert last[0].result(10) == 2
