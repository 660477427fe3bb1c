"""The order of PENDING tasks and the index of ids: exact, and bounded in memory."""

from __future__ import annotations

import random

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.queues.index import TaskIndex
from scheduler.core.queues.lanes import Lane
from scheduler.core.queues.pending import PendingOrder
from scheduler.core.values import DEFAULT_RETRY, NO_NEEDS, TaskState

QUEUE = QueueRow(QueueName("q"), 0.0)


def row(number: int, priority: int = 0) -> TaskRow:
    return TaskRow(
        TaskId(f"{number:032x}"),
        QUEUE,
        0.0,
        priority,
        DEFAULT_RETRY,
        NO_NEEDS,
        "",
        None,
        TaskState.PENDING,
    )


def entries(lane: Lane[TaskRow]) -> int:
    """What a lane keeps, dead entries included."""
    return len(lane._line) + len(lane._back)


def drain(lane: Lane[TaskRow]) -> list[TaskId]:
    """Take every task as placement does."""
    taken = []
    while (head := lane.head()) is not None:
        taken.append(head.id)
        head.state = TaskState.RUNNING
        lane.discard(head)
    return taken


def test_lane_gives_ids_in_order_however_they_come():
    rng = random.Random(7)
    numbers = list(range(1, 500))
    rng.shuffle(numbers)
    lane = Lane[TaskRow]()
    for number in numbers:
        lane.push(row(number))
    assert drain(lane) == [row(number).id for number in range(1, 500)]
    assert (lane.size, entries(lane)) == (0, 0)


def test_lane_stays_exact_when_tasks_leave_from_the_middle_and_come_back():
    rng = random.Random(11)
    lane = Lane[TaskRow]()
    rows = [row(number) for number in range(300)]
    waiting: dict[TaskId, TaskRow] = {}
    for step in range(20_000):
        task = rng.choice(rows)
        if task.id in waiting:
            if step % 3:
                # Any of them, not only the head: as a standby sees it, or a cancel.
                task.state = TaskState.RUNNING
                del waiting[task.id]
                lane.discard(task)
        else:
            task.state = TaskState.PENDING
            waiting[task.id] = task
            lane.push(task)
        assert lane.size == len(waiting)
        head = lane.head()
        assert (head.id if head else None) == min(waiting, default=None)
        assert entries(lane) <= 2 * len(waiting) + 70
    assert drain(lane) == sorted(waiting)


def test_mass_cancel_frees_the_lane():
    lane = Lane[TaskRow]()
    rows = [row(number) for number in range(10_000)]
    for task in rows:
        lane.push(task)
    # All but the oldest, which keeps the head from being pruned.
    for task in reversed(rows[1:]):
        task.state = TaskState.CANCELLED
        lane.discard(task)
        assert entries(lane) <= 2 * lane.size + 70
    assert drain(lane) == [rows[0].id]


def test_task_is_given_once_though_it_left_from_the_middle_and_came_back():
    lane = Lane[TaskRow]()
    rows = [row(number) for number in range(5)]
    for task in rows:
        lane.push(task)
    rows[2].state = TaskState.RUNNING
    lane.discard(rows[2])
    rows[2].state = TaskState.PENDING
    lane.push(rows[2])
    assert drain(lane) == [task.id for task in rows]


def test_two_rows_of_one_task_in_the_heap_are_not_compared():
    lane = Lane[TaskRow]()
    lane.push(row(9))
    olds = [row(number) for number in range(1, 6)]
    for task in olds:
        lane.push(task)
    for task in olds[1:]:
        task.state = TaskState.CANCELLED
        lane.discard(task)
        # Retried by hand: another row of the same id.
        lane.push(row(int(task.id, 16)))
    assert drain(lane) == [row(number).id for number in (1, 2, 3, 4, 5, 9)]


def test_levels_and_lanes_without_tasks_are_dropped():
    order = PendingOrder[TaskRow]()
    rows = [row(number, priority=number % 7) for number in range(70)]
    for task in rows:
        order.push(task)
    assert [len(level) for level in order.lanes(9)] == [1] * 7
    assert order.oldest() is rows[0]
    for task in rows:
        task.state = TaskState.CANCELLED
        order.discard(task)
    assert order.size == 0
    assert list(order.lanes(9)) == []
    assert order.oldest() is None


def test_priorities_are_served_from_the_highest():
    order = PendingOrder[TaskRow]()
    for priority in (0, 5, -3, 2):
        order.push(row(priority + 10, priority))
    heads = [lane.head() for level in order.lanes(9) for lane in level]
    assert [head.priority for head in heads if head] == [5, 2, 0, -3]


def test_index_keeps_order_and_bounds_its_holes():
    rng = random.Random(3)
    index = TaskIndex()
    kept: dict[TaskId, None] = {}
    number = 0
    for _ in range(20_000):
        if kept and rng.random() < 0.5:
            gone = rng.choice(list(kept)[:50])
            del kept[gone]
            index.removed(1, kept.__contains__)
        else:
            # Now and then an older one: a batch that is gone on with.
            number += 10
            task = TaskId(f"{number - (35 if rng.random() < 0.1 else 0):032x}")
            if task in kept:
                continue
            index.add(task)
            kept[task] = None
        assert index.size == len(kept)
    found = [task for task in index.oldest_first(TaskId("")) if task in kept]
    assert found == sorted(kept)
    assert [task for task in index.newest_first(None) if task in kept] == sorted(kept)[::-1]
    assert sum(1 for _ in index.oldest_first(TaskId(""))) <= 1.5 * len(kept) + 300


def test_index_pages_from_any_id():
    index = TaskIndex()
    made = [TaskId(f"{number:032x}") for number in range(10)]
    for task in made:
        index.add(task)
    assert list(index.newest_first(made[5])) == made[:5][::-1]
    assert list(index.oldest_first(made[5])) == made[5:]
