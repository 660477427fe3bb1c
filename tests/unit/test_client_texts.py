"""Text that is not Unicode is refused by the name of its field, before anything is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from quorate.client.client import Client
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import command_spec, entrypoint_of, json_spec, python_spec
from quorate.runtime.errors import QuorateError

OPTIONS = TaskOptions()
CLIENT = Client("127.0.0.1:1")
BAD = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("argv[1]", lambda: command_spec(["cat", BAD], OPTIONS, 0.0)),
        ("argv[1]", lambda: command_spec(["cat", b"caf\xe9"], OPTIONS, 0.0)),
        ("argv[0]", lambda: command_spec([BAD], OPTIONS, 0.0)),
        ("argv[1]", lambda: command_spec(cast(Any, ["cat", None]), OPTIONS, 0.0)),
        ("env['A']", lambda: command_spec(["env"], OPTIONS, 0.0, env={"A": BAD})),
        ("env", lambda: command_spec(["env"], OPTIONS, 0.0, env={BAD: "a"})),
        ("cwd", lambda: command_spec(["ls"], OPTIONS, 0.0, cwd=BAD)),
        ("stdin", lambda: command_spec(["cat"], OPTIONS, 0.0, stdin=BAD)),
        ("queue", lambda: TaskOptions(queue=BAD)),
        ("name", lambda: TaskOptions(name=BAD)),
        ("affinity_key", lambda: TaskOptions(affinity_key=BAD)),
        ("labels", lambda: TaskOptions(labels={BAD: "v"})),
        ("labels['k']", lambda: TaskOptions(labels={"k": BAD})),
        ("resources", lambda: TaskOptions(resources={BAD: 1})),
        ("fatal_errors", lambda: TaskOptions(fatal_errors=[BAD])),
        ("secrets", lambda: TaskOptions(secrets={"A": "file:" + BAD})),
        ("id", lambda: CLIENT.get(BAD)),
        ("id", lambda: CLIENT.get(cast(Any, 5))),
        ("queue", lambda: next(CLIENT.tasks(queue=BAD))),
        ("text", lambda: next(CLIENT.tasks(text=BAD))),
        ("id", lambda: CLIENT.cancel_tasks([BAD])),
        ("queue", lambda: CLIENT.cancel_tasks(queue=BAD)),
    ],
)
def test_text_that_is_not_utf8_names_its_field(field: str, make: Callable[[], Any]) -> None:
    with pytest.raises(QuorateError) as caught:
        make()
    assert caught.value.field == field
    str(caught.value).encode()


def test_arguments_that_are_not_utf8_reach_a_function() -> None:
    spec = python_spec("m:f", (BAD, b"caf\xe9"), {}, OPTIONS, 0.0)
    assert spec.python.pickle
    spec = json_spec("m:f", [BAD, "ü"], OPTIONS, 0.0)
    assert json.loads(spec.python.json) == [BAD, "ü"]
    assert json_spec("m:f", ["ü"], OPTIONS, 0.0).python.json == '["ü"]'


def test_paths_bytes_and_numbers_are_arguments_of_a_program() -> None:
    spec = command_spec(["cp", Path("a"), "ü".encode(), 5], OPTIONS, 0.0, cwd="/tmp")
    assert list(spec.command.argv) == ["cp", "a", "ü", "5"]


def test_modules_may_have_names_in_any_script() -> None:
    assert entrypoint_of("größe.maß:längste") == "größe.maß:längste"
    for bad in ("1a:b", "a:", "a.:b", "a b:c", "a:b:c"):
        with pytest.raises(QuorateError):
            entrypoint_of(bad)
