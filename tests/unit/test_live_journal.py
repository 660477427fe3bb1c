"""The journal of recent task versions, and resume tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.cluster.entries import Entry, Specs, remember, task_text
from gateway.live.cluster.journal import Journal
from gateway.live.cluster.tokens import Token, read_token
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from tests.support.live import created, deleted, task_id, updated


def entry(event, revision=0):
    event.revision = revision
    return Entry(event)


def since(journal, position):
    found = journal.since(position)
    assert found is not None
    return found


def test_since_tells_the_newest_version_of_each_task_once():
    journal = Journal()
    journal.begin(Token(0, "t0"))
    start = journal.head
    journal.append([entry(created(1), 5), entry(created(2), 6)], "t1")
    middle = journal.head
    journal.append([entry(updated(1, "RUNNING"), 7)], "t2")
    assert [(e.id, e.revision) for e in since(journal, start)] == [(task_id(2), 6), (task_id(1), 7)]
    assert [e.id for e in since(journal, middle)] == [task_id(1)]
    assert journal.since(journal.head) == []
    assert journal.token == Token(7, "t2")
    assert journal.position_of(Token(6, "t1")) == middle
    assert journal.position_of(Token(6, "other")) is None


def test_what_was_evicted_cannot_be_resumed_over():
    journal = Journal(most=2)
    journal.begin(Token(0, "t0"))
    for number in range(1, 5):
        journal.append([entry(created(number), number)], f"t{number}")
    assert len(journal) == 2
    assert journal.position_of(Token(1, "t1")) is None
    assert journal.since(journal.head - 3) is None
    assert [e.id for e in since(journal, journal.head - 2)] == [task_id(3), task_id(4)]
    assert journal.position_of(Token(3, "t3")) == journal.head - 1


def test_bytes_are_bounded_too():
    journal = Journal(most_bytes=1_000)
    journal.begin(Token(0, "t0"))
    for number in range(50):
        journal.append([entry(created(number), number)], f"t{number}")
    assert len(journal) <= 3


def test_beginning_anew_forgets_all_positions():
    journal = Journal()
    journal.begin(Token(0, "t0"))
    journal.append([entry(created(1), 5)], "t1")
    before = journal.head
    journal.begin(Token(0, "u0"))
    assert journal.since(before) is None
    assert journal.position_of(Token(5, "t1")) is None
    assert journal.since(journal.head) == []


@given(st.lists(st.lists(st.integers(0, 8), max_size=4), max_size=30), st.integers(1, 10))
def test_folding_what_since_tells_gives_the_state(batches, most):
    """From any position that is not too old, old state + since = new state."""
    journal = Journal(most=most)
    journal.begin(Token(0, "t0"))
    state: dict[str, int] = {}
    states: dict[int, dict[str, int]] = {journal.head: {}}
    revision = 0
    for place, batch in enumerate(batches):
        entries = []
        for number in batch:
            revision += 1
            state[task_id(number)] = revision
            entries.append(entry(updated(number, "RUNNING"), revision))
        journal.append(entries, f"t{place + 1}")
        states[journal.head] = dict(state)
    told = 0
    for position, before in states.items():
        found = journal.since(position)
        if found is None:
            continue
        told += 1
        assert {**before, **{e.id: e.revision for e in found}} == state
        assert len({e.id for e in found}) == len(found)
    assert told >= 1


def test_a_spec_is_kept_for_later_versions_and_dropped_with_the_task():
    specs = Specs()
    event = created(1, team="a")
    remember(event, specs)
    assert not event.task.HasField("spec")
    text = Entry(updated(1, "RUNNING")).text(specs)
    assert b'"spec":{"name":"task 1","labels":{"team":"a"}}' in text
    assert b'"state":"TASK_STATE_RUNNING"' in text
    remember(deleted(1), specs)
    assert specs.get(task_id(1)) is None


def test_specs_are_bounded():
    specs = Specs(most=3)
    for number in range(10):
        specs.put(created(number).task)
    assert len(specs) == 3
    assert specs.get(task_id(9)) is not None
    small = Specs(most_bytes=50)
    for number in range(10):
        small.put(created(number).task)
    assert len(small) == 2


def test_what_is_large_is_left_out_and_said_to_be():
    task = task_pb2.Task(id=task_id(1), state=task_pb2.TASK_STATE_SUCCEEDED)
    task.result.json = "9" * 100_000
    text = task_text(task, Specs())
    assert len(text) < 200
    assert b'"result":{}' in text
    assert b'"elided":true' in text
    small = task_pb2.Task(id=task_id(1))
    small.result.exit_code = 0
    assert b"elided" not in task_text(small, Specs())


def test_tokens_travel_as_text():
    assert read_token(str(Token(12, "abc=="))) == Token(12, "abc==")


@pytest.mark.parametrize(
    "text", ["", "x", "12", "~x", "-1~x", "1~", "1~\n", "٣~x", "9" * 30 + "~x"]
)
def test_a_token_of_nobody_is_refused(text):
    with pytest.raises(QuorateError) as caught:
        read_token(text)
    assert caught.value.field == "resume"
