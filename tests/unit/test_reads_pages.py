"""Pages of tasks, and their tokens."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import QueueName, TaskId, TaskIds
from scheduler.api import page_tokens
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskSpec, TaskState
from scheduler.engine.long_work import lane
from scheduler.engine.long_work.lane import Lane
from scheduler.storage import reads

QUEUES = [QueueName("a"), QueueName("b"), QueueName("c")]


def filled(places: list[int]) -> tuple[State, list[tuple[str, str]]]:
    """A state with a task in the queue of each place, and (queue, id) of all, newest first."""
    state, ids = State(), TaskIds()
    rows = [QueueRow(name, 0.0) for name in QUEUES]
    state.queues = {row.name: row for row in rows}
    made = []
    for place in places:
        row = state.new_row(ids.next(1.0), rows[place], TaskSpec(b""), 1.0)
        state.enter(row)
        made.append((row.queue.name, row.id))
    return state, list(reversed(made))


def walk(
    state: State, queues: list[QueueRow], states: frozenset[int], size: int
) -> list[list[tuple[str, str]]]:
    pages, before = [], None
    while True:
        page = reads.page(state, queues, states, before, size, ())
        pages.append(page.ids)
        before = page.before
        if before is None:
            return pages


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 12))
def test_pages_hold_every_task_once_newest_first(places: list[int], size: int) -> None:
    state, made = filled(places)
    pages = walk(state, list(state.queues.values()), frozenset(), size)
    assert [found for page in pages for found in page] == made
    assert all(len(page) == size for page in pages[:-1])
    only = [
        found
        for page in walk(state, [state.queues[QUEUES[1]]], frozenset(), size)
        for found in page
    ]
    assert only == [found for found in made if found[0] == "b"]


def test_a_filter_that_leaves_most_out_gives_short_pages_with_successors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads, "SCAN", 5)
    state, made = filled([0] * 23)
    state.tasks[TaskId(made[20][1])].state = TaskState.RUNNING
    pages = walk(state, list(state.queues.values()), frozenset((TaskState.RUNNING,)), 10)
    assert pages == [[], [], [], [], [made[20]]]


async def test_a_search_looks_further_with_turns_of_the_loop_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads, "SCAN", 5)
    monkeypatch.setattr(reads, "SCANS", 3)
    monkeypatch.setattr(lane, "SLICE", 0.0)
    state, made = filled([0] * 23)
    for place in (2, 12, 20):
        state.tasks[TaskId(made[place][1])].text = "page 7"
    queues, turns = list(state.queues.values()), 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    first = await reads.find(Lane(), "", state, queues, frozenset(), None, 10, ("page", "7"))
    counting.cancel()
    assert first == reads.Page([made[2], made[12]], made[14][1])
    assert turns >= 2
    second = await reads.find(
        Lane(), "", state, queues, frozenset(), first.before, 10, ("page", "7")
    )
    assert second == reads.Page([made[20]], None)
    full = await reads.find(Lane(), "", state, queues, frozenset(), None, 2, ("page",))
    assert full == reads.Page([made[2], made[12]], made[12][1])


FILTERS = st.tuples(st.text(max_size=5), st.lists(st.integers(1, 9), max_size=3))


@given(FILTERS, FILTERS, st.text())
def test_a_token_is_good_for_its_own_list_only(
    filters: tuple[str, list[int]], others: tuple[str, list[int]], position: str
) -> None:
    token = page_tokens.encode("tasks", filters, position)
    assert page_tokens.decode("tasks", filters, token) == position
    for kind, asked in (("queues", filters), ("tasks", others)):
        if (kind, asked) == ("tasks", filters):
            continue
        with pytest.raises(QuorateError) as rejection:
            page_tokens.decode(kind, asked, token)
        assert rejection.value.reason == "STALE_PAGE_TOKEN"


@given(st.text(min_size=1))
def test_a_token_that_is_not_ours_is_stale(token: str) -> None:
    with pytest.raises(QuorateError) as rejection:
        page_tokens.decode("tasks", (), token)
    assert (rejection.value.reason, rejection.value.field) == ("STALE_PAGE_TOKEN", "page_token")
