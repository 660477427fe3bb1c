"""The rules of map: order, bounds, chunk sizes and splitting."""

import itertools
import pickle

import pytest

from quorate.client.errors import PayloadTooLarge, TaskFailed
from quorate.client.mapping.plan import MOST_IN_FLIGHT, WORK_PER_CHUNK, MapPlan
from quorate.client.work.options import TaskOptions
from quorate.v1 import task_pb2


def plan_of(items, **options):
    options = {"limit": 10_000, "chunk": None, **options}
    return MapPlan.of(len, items, TaskOptions(), **options)


def answer(chunk, seconds=0.0, **task):
    """A finished task for a chunk, its items doubled."""
    values = [item * 2 for item in chunk.items]
    found = task_pb2.Task(
        state=task_pb2.TASK_STATE_SUCCEEDED,
        result=task_pb2.TaskResult(pickle=pickle.dumps(values)),
        **task,
    )
    attempt = found.attempts.add(number=1)
    attempt.start_time.FromNanoseconds(10**18)
    attempt.finish_time.FromNanoseconds(10**18 + int(seconds * 1e9))
    return found


def next_size(plan):
    """Items of the chunk that is submitted next."""
    return len(plan.batch()[0][0].items)


def too_large():
    error = task_pb2.TaskError(type="RESULT_TOO_LARGE")
    return task_pb2.Task(state=task_pb2.TASK_STATE_FAILED, error=error)


def test_values_come_in_order_whatever_the_order_of_outcomes():
    plan = plan_of(range(10), chunk=3)
    batch = [chunk for chunk, _ in plan.batch()]
    assert [list(chunk.items) for chunk in batch] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    seen = []
    for chunk in reversed(batch):
        plan.on_outcome(chunk, answer(chunk))
        seen += plan.values()
    assert seen == [item * 2 for item in range(10)]
    assert plan.batch() == []
    assert not plan.is_under_way()


def test_unordered_values_come_as_they_are_ready():
    plan = plan_of(range(4), chunk=2, ordered=False)
    first, second = (chunk for chunk, _ in plan.batch())
    plan.on_outcome(second, answer(second))
    assert list(plan.values()) == [4, 6]
    plan.on_outcome(first, answer(first))
    assert list(plan.values()) == [0, 2]
    plan.batch()
    assert not plan.is_under_way()


def test_an_endless_iterator_is_taken_from_within_bounds():
    taken = itertools.count()
    plan = plan_of(taken, chunk=1)
    chunks = []
    while batch := plan.batch():
        chunks += [chunk for chunk, _ in batch]
    first_window = len(chunks)
    assert first_window < 100
    for _ in range(200):
        for chunk in chunks:
            plan.on_outcome(chunk, answer(chunk))
        list(plan.values())
        chunks = []
        while batch := plan.batch():
            chunks += [chunk for chunk, _ in batch]
            assert len(chunks) <= MOST_IN_FLIGHT
        if len(chunks) == MOST_IN_FLIGHT:
            break
    assert len(chunks) == MOST_IN_FLIGHT


def test_results_nobody_took_hold_back_submission():
    plan = plan_of(itertools.count(), chunk=1)
    chunks = [chunk for chunk, _ in plan.batch()]
    for chunk in chunks[1:]:
        plan.on_outcome(chunk, answer(chunk))
    # The first is outstanding, so nothing could be handed out.
    assert list(plan.values()) == []
    for _ in range(100):
        chunks += [chunk for chunk, _ in plan.batch()]
    assert len(chunks) <= MOST_IN_FLIGHT


def test_chunks_grow_while_items_are_quick_and_shrink_when_they_are_slow():
    plan = plan_of(itertools.count())
    for _ in range(12):
        for chunk, _ in plan.batch():
            plan.on_outcome(chunk, answer(chunk, seconds=1e-4 * len(chunk.items)))
        list(plan.values())
    assert next_size(plan) == pytest.approx(WORK_PER_CHUNK / 1e-4, rel=0.05)
    slow = plan_of(itertools.count())
    for chunk, _ in slow.batch():
        slow.on_outcome(chunk, answer(chunk, seconds=1.0))
    list(slow.values())
    assert next_size(slow) == 1


def test_a_short_list_is_spread_over_many_chunks():
    plan = plan_of(range(640))
    sizes = []
    while batch := plan.batch():
        for chunk, _ in batch:
            sizes.append(len(chunk.items))
            plan.on_outcome(chunk, answer(chunk, seconds=1e-6))
        list(plan.values())
    assert sum(sizes) == 640
    assert max(sizes) == 10


def test_a_chunk_too_large_to_send_is_halved_and_order_is_kept():
    items = [bytes([n]) * 300 for n in range(8)]
    plan = plan_of(items, chunk=8, limit=1000)
    batch = plan.batch()
    assert len(batch) > 1
    assert all(spec.ByteSize() <= 1000 for _, spec in batch)
    for chunk, _ in reversed(batch):
        plan.on_outcome(chunk, answer(chunk))
    assert list(plan.values()) == [item * 2 for item in items]


def test_one_item_too_large_to_send_is_an_error():
    with pytest.raises(PayloadTooLarge):
        plan_of([b"x" * 2000], limit=1000).batch()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_chunk_whose_results_are_too_large_is_run_again_in_halves(ordered):
    plan = plan_of(range(4), chunk=4, ordered=ordered)
    [(whole, _)] = plan.batch()
    plan.on_outcome(whole, too_large())
    assert plan.is_under_way()
    halves = [chunk for chunk, _ in plan.batch()]
    assert [list(chunk.items) for chunk in halves] == [[0, 1], [2, 3]]
    for chunk in halves:
        plan.on_outcome(chunk, answer(chunk))
    assert list(plan.values()) == [0, 2, 4, 6]
    plan.batch()
    assert not plan.is_under_way()


def test_one_result_too_large_is_that_tasks_failure():
    plan = plan_of([1], chunk=4)
    [(chunk, _)] = plan.batch()
    plan.on_outcome(chunk, too_large())
    with pytest.raises(TaskFailed, match="RESULT_TOO_LARGE"):
        list(plan.values())


def test_open_tasks_are_those_without_an_outcome_newest_first():
    plan = plan_of(range(3), chunk=1)
    chunks = [chunk for chunk, _ in plan.batch()]
    for index, chunk in enumerate(chunks):
        chunk.task_id = f"t{index}"
    plan.on_outcome(chunks[1], answer(chunks[1]))
    assert plan.open_tasks() == ["t2", "t0"]


def test_an_empty_input_is_over_at_once():
    plan = plan_of([])
    assert plan.batch() == []
    assert not plan.is_under_way()


def test_a_chunk_below_one_is_refused():
    with pytest.raises(ValueError, match="chunk must be 1 or more"):
        plan_of([], chunk=0)
