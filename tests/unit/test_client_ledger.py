"""Bookkeeping of outcomes: early events, bounds, and giving up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.client.tracking.ledger import Ledger
from quorate.v1 import scheduler_pb2, task_pb2


def finished(task_id, state=task_pb2.TASK_STATE_SUCCEEDED):
    return scheduler_pb2.TaskEvent(
        kind=scheduler_pb2.TaskEvent.KIND_UPDATED, task=task_pb2.Task(id=task_id, state=state)
    )


def ledger_of(*bound) -> Any:
    """A ledger that takes names for sinks: it only hands them back."""
    return Ledger(*bound)


def told(ready):
    return [(sink, outcome.id) for sink, outcome in ready]


def test_an_outcome_reaches_its_sink_once():
    ledger = ledger_of()
    ready, doubtful = ledger.claim(ledger.begin(), ["a"], ["sink"])
    assert (ready, doubtful) == ([], [])
    assert told(ledger.on_events([finished("a")])) == [("sink", "a")]
    assert ledger.on_events([finished("a")]) == []
    assert len(ledger) == 0


def test_an_outcome_that_comes_before_the_answer_is_kept():
    ledger = ledger_of()
    ticket = ledger.begin()
    assert ledger.on_events([finished("a"), finished("stranger")]) == []
    ready, doubtful = ledger.claim(ticket, ["a", "b"], ["one", "two"])
    assert told(ready) == [("one", "a")]
    assert doubtful == []
    assert ledger.waiting == ["b"]


def left(task_id):
    return scheduler_pb2.TaskEvent(
        kind=scheduler_pb2.TaskEvent.KIND_DELETED, task=task_pb2.Task(id=task_id)
    )


def test_a_task_that_leaves_the_queue_before_the_answer_has_to_be_asked_for():
    ledger = ledger_of()
    ticket = ledger.begin()
    assert ledger.on_events([left("a"), finished("b"), left("b"), left("c"), finished("c")]) == []
    assert ledger.take_moved() == []
    ready, doubtful = ledger.claim(ticket, ["a", "b", "c"], ["one", "two", "three"])
    assert told(ready) == [("two", "b"), ("three", "c")]
    assert doubtful == ["a"]
    assert ledger.waiting == ["a"]


def test_events_are_not_kept_when_no_submission_is_under_way():
    ledger = ledger_of()
    ledger.on_events([finished("a")])
    ready, doubtful = ledger.claim(ledger.begin(), ["a"], ["sink"])
    # Cannot happen: a task does not finish before its creation is asked for.
    assert (ready, doubtful) == ([], [])


def test_unfinished_versions_are_ignored():
    ledger = ledger_of()
    ledger.claim(ledger.begin(), ["a"], ["sink"])
    assert ledger.on_events([finished("a", task_pb2.TASK_STATE_RUNNING)]) == []


def test_what_was_dropped_for_lack_of_room_has_to_be_asked_for():
    ledger = ledger_of(1)
    ticket = ledger.begin()
    ledger.on_events([finished("a"), finished("b")])
    ready, doubtful = ledger.claim(ticket, ["a", "b"], ["one", "two"])
    assert told(ready) == [("two", "b")]
    assert doubtful == ["a"]


def test_a_drop_before_a_submission_began_does_not_make_it_doubtful():
    ledger = ledger_of(1)
    first = ledger.begin()
    ledger.on_events([finished("x"), finished("y")])
    second = ledger.begin()
    assert ledger.claim(second, ["c"], ["sink"]) == ([], [])
    ledger.end(first)


def test_giving_up_tells_everyone():
    ledger = ledger_of()
    ledger.claim(ledger.begin(), ["a", "b"], ["one", "two"])
    error = OSError("gone")
    assert ledger.give_up(error) == [("one", error), ("two", error)]
    assert len(ledger) == 0


@pytest.mark.parametrize("bound", [2, 1000])
@given(data=st.data())
def test_every_task_is_told_once_or_named_doubtful_in_any_order(bound, data):
    """Events and answers interleave at random; nothing is lost, nothing told twice."""
    batches = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    ledger, told_ids, doubtful_ids = ledger_of(bound), [], []
    todo = [[f"{batch}-{i}" for i in range(size)] for batch, size in enumerate(batches)]
    tickets = {}
    steps: list[list[tuple[str, Any]]] = []
    for batch, ids in enumerate(todo):
        early = data.draw(st.integers(0, len(ids)))
        steps.append([("begin", batch)])
        steps[-1] += [("event", task_id) for task_id in ids[:early]]
        steps[-1] += [("claim", batch)]
        steps[-1] += [("event", task_id) for task_id in ids[early:]]
    while any(steps):
        index = data.draw(st.sampled_from([i for i, rest in enumerate(steps) if rest]))
        kind, what = steps[index].pop(0)
        if kind == "begin":
            tickets[what] = ledger.begin()
        elif kind == "event":
            told_ids += [sink for sink, _ in ledger.on_events([finished(what)])]
        else:
            ready, doubtful = ledger.claim(tickets[what], todo[what], todo[what])
            told_ids += [sink for sink, _ in ready]
            doubtful_ids += doubtful
    for task_id in doubtful_ids:
        told_ids += [sink for sink, _ in ledger.settle(task_id, task_pb2.Task(id=task_id))]
    assert sorted(told_ids) == sorted(task_id for ids in todo for task_id in ids)
    assert len(ledger) == 0


def test_a_task_that_left_the_queue_is_followed_and_one_that_was_reported_is_not():
    ledger = ledger_of()
    ledger.claim(ledger.begin(), ["a", "b"], ["one", "two"])
    gone = [
        scheduler_pb2.TaskEvent(
            kind=scheduler_pb2.TaskEvent.KIND_DELETED, task=task_pb2.Task(id=name, queue="mail")
        )
        for name in ("a", "stranger")
    ]
    assert ledger.on_events(gone) == []
    assert ledger.take_moved() == [("a", "one")]
    assert ledger.take_moved() == []
    assert told(ledger.on_events([finished("b"), gone[0]])) == [("two", "b")]
