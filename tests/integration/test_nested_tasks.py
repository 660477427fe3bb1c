"""Tasks that wait for tasks on the same slots: a waiting one gives its slot up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import quorate
from quorate.client.transport.rpcs import LIST_NODES
from quorate.errors import QuorateError, TaskCancelled, TaskFailed
from quorate.etcd.server.launcher import EtcdProcess
from quorate.v1 import scheduler_pb2
from tests.support.futures import environment
from tests.support.nested import parent_of_a_held_child
from tests.support.served import Served, serve, served_by
from tests.support.waiting import until

SLOTS = 3
# Seconds after which they have deadlocked.
PATIENCE = 60.0

served = served_by(nodes=1, slots=SLOTS, agent_flags=("--task-env", "*"))


@pytest.fixture
def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[quorate.Client]:
    environment(served, monkeypatch)
    with quorate.Client() as client:
        yield client
        until(lambda: _node(client).assigned == 0, 60)


def _node(client: quorate.Client) -> Any:
    return client.calls.call(LIST_NODES, scheduler_pb2.ListNodesRequest()).nodes[0]


# -- every way to wait. They are sent by value: no worker has this module.


def by_handle(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        return client.submit(pow, number, 2).result()


def by_wait_of_a_handle(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        handle = client.submit(pow, number, 2)
        handle.wait(50.0)
        return handle.result()


def by_as_completed(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        handles = client.submit_many(pow, [(number, 2), (number, 2)])
        return next(handle.result() for handle in quorate.as_completed(handles))


def by_map(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        return sum(client.map(abs, [number] * number, chunk=1))


def by_executor(address: str, number: int) -> Any:
    with quorate.Executor(address=address) as pool:
        return pool.submit(pow, number, 2).result()


def by_leaving_an_executor(address: str, number: int) -> int:
    with quorate.Executor(address=address) as pool:
        future = pool.submit(pow, number, 2)
    assert future.done()
    return future.result()


def by_executor_map(address: str, number: int) -> Any:
    with quorate.Executor(address=address) as pool:
        return sum(pool.map(abs, [number] * number))


def by_futures_wait(address: str, number: int) -> int:
    from concurrent import futures

    with quorate.Executor(address=address) as pool:
        mine = [pool.submit(pow, number, 2) for _ in range(2)]
        done, _ = futures.wait(mine)
        return next(iter(done)).result()


def by_futures_as_completed(address: str, number: int) -> int:
    from concurrent import futures

    with quorate.Executor(address=address) as pool:
        mine = [pool.submit(pow, number, 2) for _ in range(2)]
        return max(future.result() for future in futures.as_completed(mine))


def by_a_thread(address: str, number: int) -> Any:
    with quorate.Client(address) as client, ThreadPoolExecutor(2) as threads:
        handles = client.submit_many(pow, [(number, 2), (number, 2)])
        return max(threads.map(lambda handle: handle.result(), handles))


async def by_await(address: str, number: int) -> Any:
    import asyncio

    async with quorate.AsyncClient(address) as client:
        handles = [await client.submit(pow, number, 2) for _ in range(3)]
        return max(await asyncio.gather(*handles))


async def by_async_map(address: str, number: int) -> Any:
    async with quorate.AsyncClient(address) as client:
        return sum([value async for value in client.map(abs, [number] * number, chunk=1)])


WAYS = [value for name, value in list(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_twice_as_many_parents_as_slots_finish(
    client: quorate.Client, served: Served, way: Callable[[str, int], Any]
) -> None:
    numbers = range(2, 2 + 2 * SLOTS)
    parents = client.submit_many(way, [(served.address, number) for number in numbers])
    assert [parent.result(PATIENCE) for parent in parents] == [n * n for n in numbers]


# -- deeper, and what ends a wait


def tree(address: str, depth: int) -> Any:
    """The leaves below it; each inner task waits for two others."""
    if not depth:
        return 1
    with quorate.Client(address) as client:
        below = client.submit_many(tree, [(address, depth - 1)] * 2)
        return sum(handle.result() for handle in below)


def test_a_tree_of_tasks_that_wait_three_deep(client: quorate.Client, served: Served) -> None:
    roots = client.submit_many(tree, [(served.address, 3)] * 4)
    assert [root.result(PATIENCE) for root in roots] == [8] * 4


def _held(client: quorate.Client, address: str, folder: Path) -> tuple[Any, int, str]:
    """A parent that waits, its worker's pid, and its child, which runs until `go` is there."""
    parent = client.submit(parent_of_a_held_child, address, str(folder), 0)
    until(lambda: (folder / "0").exists(), PATIENCE)
    pid, child = (folder / "0").read_text().split()
    until(lambda: _node(client).stats.yielded == 1, PATIENCE)
    until(lambda: client.get(child).status() == "RUNNING", PATIENCE)
    return parent, int(pid), child


def test_a_waiting_parent_is_cancelled(
    client: quorate.Client, served: Served, tmp_path: Path
) -> None:
    parent, pid, child = _held(client, served.address, tmp_path)
    assert parent.cancel()
    with pytest.raises(TaskCancelled):
        parent.result(PATIENCE)
    until(lambda: not Path(f"/proc/{pid}").exists(), PATIENCE)
    until(lambda: _node(client).stats.yielded == 0, PATIENCE)
    # What it waited for goes on; the slots that are left still serve.
    assert client.submit(pow, 2, 3).result(PATIENCE) == 8
    assert client.get(child).status() == "RUNNING"
    (tmp_path / "go").touch()
    client.get(child).result(PATIENCE)


def test_the_worker_of_a_waiting_parent_is_killed(
    client: quorate.Client, served: Served, tmp_path: Path
) -> None:
    parent, pid, child = _held(client, served.address, tmp_path)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(TaskFailed, match="WORKER_CRASHED"):
        parent.result(PATIENCE)
    until(lambda: _node(client).stats.yielded == 0, PATIENCE)
    (tmp_path / "go").touch()
    client.get(child).result(PATIENCE)
    handles = client.submit_many(pow, [(n, 2) for n in range(3 * SLOTS)])
    assert [handle.result(PATIENCE) for handle in handles] == [n * n for n in range(3 * SLOTS)]


# -- the limit


def or_refused(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        child = client.submit(pow, number, 2)
        try:
            return child.result()
        except QuorateError as error:
            return error.code.name, error.reason, error.metadata["limit"]


def test_one_more_than_may_wait_is_refused_at_once(
    etcd_server: EtcdProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = ("--task-env", "*", "--max-yielded", "1")
    with serve(etcd_server.endpoint, nodes=1, slots=2, agent_flags=flags) as served:
        environment(served, monkeypatch)
        with quorate.Client() as client:
            # It waits for a child that has the first slot; the others have the second one.
            parent, _, child = _held(client, served.address, tmp_path)
            refused = client.submit(or_refused, served.address, 3).result(PATIENCE)
            assert refused == ("RESOURCE_EXHAUSTED", "TOO_MANY_WAITING_TASKS", "1")
            with pytest.raises(QuorateError, match="wait for other tasks already") as caught:
                client.submit(by_handle, served.address, 3).result(PATIENCE)
            assert caught.value.reason == "TOO_MANY_WAITING_TASKS"
            (tmp_path / "go").touch()
            parent.result(PATIENCE)
            client.get(child).result(PATIENCE)
            # Now one may wait again.
            assert client.submit(or_refused, served.address, 3).result(PATIENCE) == 9


def test_children_of_a_higher_priority_keep_few_waiting(
    etcd_server: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the error advises: far more parents than may wait, and none is refused."""
    flags = ("--task-env", "*", "--max-yielded", "12")
    with serve(etcd_server.endpoint, nodes=1, slots=2, agent_flags=flags) as served:
        environment(served, monkeypatch)
        with quorate.Client() as client:
            # The node has learned to take many short tasks ahead.
            assert sum(client.map(abs, range(2_000), chunk=1)) == sum(range(2_000))
            numbers = range(60)
            parents = client.submit_many(of_a_first_child, [(served.address, n) for n in numbers])
            assert [parent.result(PATIENCE) for parent in parents] == [n * n for n in numbers]


def of_a_first_child(address: str, number: int) -> Any:
    with quorate.Client(address) as client:
        return client.options(priority=1).submit(pow, number, 2).result()
