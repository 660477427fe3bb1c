"""Arguments of a call are read as `json` reads them, its result is written as `json` does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node_agent.protocol import answers
from node_agent.worker.calls import Problem, load


def same(*args: Any) -> Any:
    return args


@pytest.mark.parametrize("text", ["[]", "[1]", ' [1, "ü"]\n', "\t[[]] ", '{"args": [{"a": 1.5}]} '])
def test_arguments_may_have_space_around_them(text: str) -> None:
    values = json.loads(text)
    _, args, _ = load(f"{__name__}:same", "json", text)
    assert args == (values["args"] if isinstance(values, dict) else values)


@pytest.mark.parametrize("text", ["", " ", "[] x", "[1", "]", "[1,]", "[1] [2]", "\ufeff[]", "nul"])
def test_what_is_no_json_is_refused_with_the_reason_that_json_gives(text: str) -> None:
    with pytest.raises(ValueError) as expected:
        json.JSONDecoder().decode(text)
    with pytest.raises(Problem) as raised:
        load(f"{__name__}:same", "json", text)
    assert raised.value.kind == "ARGUMENTS_NOT_READABLE"
    assert raised.value.message == f"the arguments are not JSON: {expected.value}"


@pytest.mark.parametrize("value", [None, True, 0, "", [None], {"a": None}])
def test_a_result_is_the_json_of_its_value(value: object) -> None:
    kind, text = answers.of_result("json", value, most=100)
    assert (kind, json.loads(text)) == ("json", value)


def test_the_limit_of_a_result_holds_for_one_that_is_nothing() -> None:
    assert answers.of_result("json", None, most=3)[:2] == ("error", "RESULT_TOO_LARGE")
