"""Chunks as they come from a leader: templates, ranges, items."""

from __future__ import annotations

from typing import Any

import pytest

from node_agent.core.attempts import Attempt
from node_agent.core.chunks.chunk import Chunk
from node_agent.executors.chunks.programs import argument_of
from node_agent.session import chunk_messages
from node_agent.session.chunk_messages import Templates
from node_agent.task.work import ArrayCall, ArrayCommand, Unreadable
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import command, python
from tests.support.chunks import chunk

SPEC = python("module:function", timeout=2.5)


def attempt_of(assignment: pb.Assignment, templates: Templates | None = None) -> Attempt:
    attempt = (templates or Templates()).attempt_of(assignment)
    assert attempt is not None
    return attempt


def chunk_of(attempt: Attempt) -> Chunk:
    assert attempt.chunk is not None
    return attempt.chunk


def test_a_chunk_of_calls() -> None:
    attempt = attempt_of(
        chunk("j", [(0, 4), (9, 9)], SPEC, first_index=3, index_step=2, expected_seconds=0.5)
    )
    assert type(attempt.work) is ArrayCall
    assert attempt.warm
    # Each subtask has the timeout, not the attempt.
    assert attempt.timeout == 0.0
    found = chunk_of(attempt)
    assert (found.job_id, found.size, found.timeout, found.average) == ("j", 6, 2.5, 0.5)
    assert [found.index(offset) for offset in range(6)] == [3, 5, 7, 9, 11, 21]


def test_a_chunk_of_commands() -> None:
    attempt = attempt_of(chunk("j", [(0, 4)], command("true"), items=[b"x"] * 5))
    assert type(attempt.work) is ArrayCommand
    assert not attempt.warm
    assert chunk_of(attempt).items == (b"x",) * 5


def test_a_template_is_kept_until_it_is_forgotten() -> None:
    templates = Templates()
    attempt_of(chunk("j", [(0, 4)], SPEC), templates)
    assert type(attempt_of(chunk("j", [(5, 9)], None), templates).work) is ArrayCall
    templates.forget(["j", "unknown"])
    assert templates.attempt_of(chunk("j", [(5, 9)], None)) is None


def test_the_template_that_was_used_least_lately_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunk_messages, "MAX_BYTES", 3 * 1024)
    templates = Templates()
    for job in ("a", "b", "c"):
        attempt_of(chunk(job, [(0, 0)], SPEC), templates)
    attempt_of(chunk("a", [(1, 1)], None), templates)
    attempt_of(chunk("d", [(0, 0)], SPEC), templates)
    assert templates.attempt_of(chunk("b", [(1, 1)], None)) is None
    for job in ("a", "c", "d"):
        attempt_of(chunk(job, [(2, 2)], None), templates)


def _broken(**fields: Any) -> pb.Assignment:
    assignment = chunk("j", [(0, 4)], SPEC)
    for name, value in fields.items():
        setattr(assignment, name, value)
    return assignment


@pytest.mark.parametrize(
    "assignment",
    [
        _broken(spec=b"\xff\xff"),
        chunk("j", [(5, 4)], SPEC),
        chunk("j", [(0, 4), (4, 5)], SPEC),
        chunk("j", [(-3, 4)], SPEC),
        chunk("j", [(0, 4)], SPEC, items=[b"1"]),
        chunk("j", [(0, 4)], task_pb2.TaskSpec(name="nothing to do")),
    ],
)
def test_what_cannot_be_read_is_work_that_fails(assignment: pb.Assignment) -> None:
    attempt = attempt_of(assignment)
    assert isinstance(attempt.work, Unreadable)
    assert attempt.chunk is not None


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("plain", "plain"),
        ("{}", "item"),
        ("a{}b{index}c{}", "aitemb7citem"),
        ("{{}}", "{}"),
        ("{{index}}", "{index}"),
        ("{{{}}}", "{item}"),
        ("{other} { } }", "{other} { } }"),
        ("", ""),
    ],
)
def test_places_in_arguments(text: str, made: str) -> None:
    assert argument_of(text)("item", "7") == made
