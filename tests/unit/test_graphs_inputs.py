"""Results of other tasks as inputs: what an agent is sent, and what a worker makes of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from node_agent.worker.calls import Problem, read_arguments
from quorate.client.work.inputs import Slot, result_of
from quorate.v1 import task_pb2
from scheduler.agents.inputs import MOST_BYTES, MOST_VARIABLE, InputError
from scheduler.agents.inputs import with_inputs as in_steps


def counted(data: bytes, results: Sequence[tuple[str, str, Any]]) -> tuple[bytes, int]:
    """The spec with its inputs, and in how many steps."""
    working, steps = in_steps(data, results), 0
    while True:
        try:
            next(working)
        except StopIteration as done:
            return done.value, steps
        steps += 1


def with_inputs(data: bytes, results: Sequence[tuple[str, str, Any]]) -> bytes:
    return counted(data, results)[0]


def test_a_large_json_input_is_checked_in_steps():
    values = [{"k": number} for number in range(100_000)]
    result = task_pb2.TaskResult(json=json.dumps(values))
    spec, steps = counted(call(json="[]"), [("x", "a", result)])
    assert loaded(spec) == ([], {"x": values})
    assert steps > 100


def call(**fields: Any) -> bytes:
    python = task_pb2.PythonWork(entrypoint="m:f", **fields)
    return task_pb2.TaskSpec(python=python).SerializeToString()


def loaded(spec: bytes) -> tuple[object, object]:
    """The arguments as the worker of a node reads them."""
    python = task_pb2.TaskSpec.FromString(spec).python
    kind = python.WhichOneof("arguments")
    assert kind is not None
    _, args, kwargs = read_arguments(print, kind, getattr(python, kind))
    return args, kwargs


def test_results_take_the_places_of_slots_at_any_depth():
    arguments = pickle.dumps(((1, [Slot("a"), {"k": Slot("b")}]), {"same": Slot("a")}))
    spec = with_inputs(
        call(pickle=arguments),
        [
            ("a", "load", task_pb2.TaskResult(pickle=pickle.dumps({"rows": 3}))),
            ("b", "count", task_pb2.TaskResult(json="[1, null]")),
            ("c", "run", task_pb2.TaskResult(exit_code=0)),
        ],
    )
    args, kwargs = loaded(spec)
    assert args == (1, [{"rows": 3}, {"k": [1, None]}])
    # What has no slot is a keyword argument.
    assert kwargs == {"same": {"rows": 3}, "c": 0}


def test_a_slot_that_nobody_fills_stays_one():
    assert isinstance(result_of("a"), Slot)
    assert pickle.loads(pickle.dumps(Slot("a"))).parameter == "a"


def test_json_calls_get_keyword_arguments():
    result = task_pb2.TaskResult(json='"é"')
    for arguments, args, kwargs in (
        ("", [], {}),
        ("[1]", [1], {}),
        ('{"args":[1],"kwargs":{"y":2}}', [1], {"y": 2}),
    ):
        spec = with_inputs(call(json=arguments) if arguments else call(), [("x", "a", result)])
        text = task_pb2.TaskSpec.FromString(spec).python.json
        assert json.loads(text) == {"args": args, "kwargs": {**kwargs, "x": "é"}}


def test_a_command_gets_variables():
    spec = task_pb2.TaskSpec()
    spec.command.argv.append("sort")
    results = [
        ("A", "a", task_pb2.TaskResult(json='"text"')),
        ("B", "b", task_pb2.TaskResult(json='{"k":1}')),
        ("C", "c", task_pb2.TaskResult(exit_code=0)),
    ]
    found = task_pb2.TaskSpec.FromString(with_inputs(spec.SerializeToString(), results))
    assert dict(found.command.env) == {"A": "text", "B": '{"k":1}', "C": "0"}


def command() -> bytes:
    return task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"])).SerializeToString()


LARGE = task_pb2.TaskResult(json=json.dumps("x" * (MOST_BYTES // 2)))
BLOB = task_pb2.TaskResult(json="", blob=task_pb2.BlobRef(sha256="0" * 64, upload="1", size=5))


@pytest.mark.parametrize(
    ("spec", "results", "kind"),
    [
        (call(json="[]"), [("x", "a", LARGE), ("y", "b", LARGE)], "INPUTS_TOO_LARGE"),
        (call(json="[]"), [("x", "a", None)], "INPUT_NOT_FOUND"),
        (call(json="[]"), [("x", "a", BLOB)], "INPUTS_TOO_LARGE"),
        (call(json="[]"), [("x", "a", task_pb2.TaskResult(pickle=b"x"))], "INPUT_NOT_FOUND"),
        (
            call(json='{"kwargs":{"x":1}}'),
            [("x", "a", task_pb2.TaskResult(json="1"))],
            "INPUT_NOT_FOUND",
        ),
        (
            command(),
            [("X", "a", task_pb2.TaskResult(json=json.dumps("x" * (MOST_VARIABLE + 1))))],
            "INPUTS_TOO_LARGE",
        ),
        (command(), [("X", "a", task_pb2.TaskResult(json='"\\u0000"'))], "INPUT_NOT_FOUND"),
    ],
)
def test_what_cannot_be_passed_is_named(spec, results, kind):
    with pytest.raises(InputError) as error:
        with_inputs(spec, results)
    assert error.value.kind == kind
    assert error.value.message


def test_an_input_beside_an_argument_of_its_name_is_a_problem_of_the_call():
    arguments = pickle.dumps(((), {"x": 1}))
    spec = with_inputs(call(pickle=arguments), [("x", "a", task_pb2.TaskResult(json="2"))])
    with pytest.raises(Problem) as problem:
        loaded(spec)
    assert problem.value.kind == "ARGUMENTS_NOT_READABLE"


@pytest.mark.parametrize(
    "text", ['1,"y":2', '1},"args":[3],"kwargs":{"x":1', "1 2", "", "[" * 50_000]
)
def test_a_result_adds_no_arguments_to_a_call(text: str) -> None:
    result = task_pb2.TaskResult(json=text)
    if not text:
        spec = task_pb2.TaskSpec.FromString(with_inputs(call(json="[]"), [("x", "a", result)]))
        assert json.loads(spec.python.json) == {"args": [], "kwargs": {"x": None}}
        return
    with pytest.raises(InputError, match="cannot be passed"):
        with_inputs(call(json='{"kwargs":{"z":1}}'), [("x", "a", result)])


@pytest.mark.parametrize("text", [json.dumps("\ud800"), '"no end'])
def test_a_result_that_no_program_can_be_given_fails_the_task_alone(text: str) -> None:
    spec = task_pb2.TaskSpec()
    spec.command.argv.append("env")
    with pytest.raises(InputError, match="cannot be passed"):
        with_inputs(spec.SerializeToString(), [("A", "a", task_pb2.TaskResult(json=text))])
