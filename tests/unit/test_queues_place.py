"""The place of a task in its lane: exact whatever left from the middle or came back."""

from __future__ import annotations

import random

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.queues import lanes
from scheduler.core.values import NO_NEEDS, TaskState


class Row:
    """A task that waits."""

    priority, kind, limits, tenant = 0, NO_NEEDS, None, ""

    def __init__(self, number: int) -> None:
        self.id = TaskId(f"{number:032x}")
        self.state = TaskState.PENDING


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_counting_would_give(seed: int) -> None:
    rng, lane = random.Random(seed), lanes.Lane[Row]()
    there: dict[int, Row] = {}
    count = 0
    for _ in range(2_000):
        what = rng.random()
        if what < 0.5 or not there:
            row = there[count] = Row(count)
            lane.push(row)
            count += 1
        elif what < 0.8:
            # From the middle, or (as a rule) the head.
            number = rng.choice(list(there)) if rng.random() < 0.5 else min(there)
            row = there.pop(number)
            row.state = TaskState.RUNNING
            lane.discard(row)
        elif what < 0.95:
            # One that left is back, as a row of its own or the same.
            number = rng.randrange(count)
            if number not in there:
                row = there[number] = Row(number)
                lane.push(row)
        else:
            one = rng.choice(list(there))
            expected = sum(number < one for number in there)
            assert lane.ahead(there[one], 10_000) == (expected, True)
    assert lane.size == len(there)


def test_the_very_row_that_came_back_counts_once() -> None:
    lane = lanes.Lane[Row]()
    rows = [Row(number) for number in range(5)]
    for row in rows:
        lane.push(row)
    rows[2].state = TaskState.RUNNING
    lane.discard(rows[2])
    assert lane.ahead(rows[4], 100) == (3, True)
    rows[2].state = TaskState.PENDING
    lane.push(rows[2])
    assert lane.ahead(rows[4], 100) == (4, True)


def test_where_too_many_left_it_is_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_SORTED_AT_ONCE", 10)
    lane = lanes.Lane[Row]()
    rows = [Row(number) for number in range(200)]
    for row in rows:
        lane.push(row)
    for row in rows[50:90]:
        row.state = TaskState.CANCELLED
        lane.discard(row)
    ahead, exact = lane.ahead(rows[100], 1_000)
    assert (exact, 50 <= ahead <= 100) == (False, True)
