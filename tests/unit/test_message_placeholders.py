"""Placeholders in message templates: which are allowed, and what a message puts in their place."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import message_pb2, task_pb2
from scheduler.api import validate
from scheduler.api.specs import check as spec_check
from scheduler.core.jobs import placeholders
from tests.support.broker import publication
from tests.support.broker_term import Follower, leading
from tests.support.message_tasks import bound, publish, spec_of, tasks

Header = message_pb2.HeaderValue
C = grpc.StatusCode


def command(*argv: str, **fields: Any) -> task_pb2.TaskSpec:
    return task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["run", *argv]), **fields)


def python(arguments: Any, **fields: Any) -> task_pb2.TaskSpec:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", json=text), **fields)


def resolved(template: task_pb2.TaskSpec, key: str = "a.b", **properties: Any) -> task_pb2.TaskSpec:
    """The template with the values of one message."""
    payload = publication(b"body", key, "x", **properties).payload
    data = placeholders.resolved(template.SerializeToString(deterministic=True), payload)
    return task_pb2.TaskSpec.FromString(data)


def word(text: str, **message: Any) -> str:
    """What an argument of a program becomes."""
    return resolved(command(text), **message).command.argv[1]


def test_properties_and_headers_take_the_place_of_placeholders():
    template = command(
        "--key={message.routing_key}",
        "{message.id}/{message.header.a.b}",
        name="{message.type}",
        labels={"album": "{message.header.album|none}"},
        ordering_key="{message.exchange}",
        unique={"key": "{message.id}"},
    )
    template.command.env["KEY"] = "{message.routing_key}"
    made = resolved(template, message_id="m-1", type="photo", headers={"a.b": Header(integer=7)})
    assert list(made.command.argv) == ["run", "--key=a.b", "m-1/7"]
    assert dict(made.command.env) == {"KEY": "a.b"}
    assert (made.name, dict(made.labels)) == ("photo", {"album": "none"})
    assert (made.ordering_key, made.unique.key) == ("x", "m-1")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (Header(text="ä b"), "ä b"),
        (Header(text=""), ""),
        (Header(boolean=False), "false"),
        (Header(integer=-3), "-3"),
        (Header(number=2.5), "2.5"),
        (Header(decimal={"scale": 2, "value": -5}), "-0.05"),
        (Header(decimal={"scale": 0, "value": 5}), "5"),
        (Header(timestamp={"seconds": 0}), "1970-01-01T00:00:00Z"),
        (Header(binary=b"x"), "none"),
        (Header(void=True), "none"),
        (Header(list={}), "none"),
        (Header(decimal={"scale": 1 << 31, "value": 1}), "none"),
    ],
)
def test_headers_of_each_type(header: Header, text: str):
    assert word("{message.header.h|none}", headers={"h": header}) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{message.id}}", "{message.id}"),
        ("{{message.id}", "{m"),
        ("{message.id}}", "m}"),
        ("{}{message.id|}{index}", "{}m{index}"),
        ("{message.header.none|}", ""),
        ("{message.header.none|$(id) `id`}", "$(id) `id`"),
    ],
)
def test_braces(template: str, text: str):
    assert word(template, message_id="m") == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_a_value_stays_one_text_whatever_it_holds(value: str):
    headers = {"h": Header(text=value)}
    assert word("{message.header.h}", headers=headers) == value
    template = python(["{message.header.h}", {"k": "-{message.header.h}-"}, 1e3])
    made = resolved(template, headers=headers)
    assert json.loads(made.python.json) == [value, {"k": f"-{value}-"}, 1e3]
    placeholders.check(template)


def test_a_value_that_looks_like_a_placeholder_stays():
    headers = {"a": Header(text="{message.header.b}"), "b": Header(text="secret")}
    assert word("{message.header.a}", headers=headers) == "{message.header.b}"


@pytest.mark.parametrize(
    ("template", "properties", "field", "reason"),
    [
        (command("{message.id}"), {}, "message.id", "PLACEHOLDER_WITHOUT_VALUE"),
        (command("{message.header.h}"), {}, "message.header.h", "PLACEHOLDER_WITHOUT_VALUE"),
        (
            command("{message.header.h}"),
            {"headers": {"h": Header(text="x" * 4097)}},
            "message.header.h",
            "PLACEHOLDER_VALUE_TOO_LONG",
        ),
        (
            command("{message.header.h}"),
            {"headers": {"h": Header(text="a\0b")}},
            "message.header.h",
            "PLACEHOLDER_VALUE_INVALID",
        ),
        (
            command(labels={"l": "{message.id}"}),
            {"message_id": "m" * 129},
            "message",
            "PLACEHOLDER_VALUE_TOO_LONG",
        ),
        (
            command(unique={"key": "{message.id|}"}),
            {},
            "message",
            "PLACEHOLDER_WITHOUT_VALUE",
        ),
    ],
)
def test_a_value_that_is_missing_or_too_long_is_refused(
    template: task_pb2.TaskSpec, properties: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(QuorateError) as refused:
        resolved(template, **properties)
    error = refused.value
    assert (error.code, error.field, error.reason) == (C.INVALID_ARGUMENT, field, reason)


def test_a_value_and_a_label_at_their_limits():
    assert word("{message.header.h}", headers={"h": Header(text="x" * 4096)}) == "x" * 4096
    made = resolved(command(labels={"l": "{message.id}"}), message_id="m" * 128)
    assert made.labels["l"] == "m" * 128


def test_limits_of_fields_are_those_of_other_tasks():
    most = placeholders.MOST_CHARACTERS
    assert (most["name"], most["labels"]) == (spec_check.MAX_NAME, validate.MAX_LABEL)
    assert {most[key] for key in most if key.endswith("key")} == {spec_check.MAX_AFFINITY}


SHELL = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["sh", "-c", "echo {message.id}"]))
PROGRAM = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["/bin/{message.id}"]))
NESTED = ["env", "/bin/bash", "-ec", "{message.id}"]
DIRECTORY = task_pb2.CommandWork(argv=["run"], cwd="/srv/{message.id}")


@pytest.mark.parametrize(
    ("template", "field", "reason"),
    [
        (command("{message.identity}"), "template.command.argv[1]", "UNKNOWN_PLACEHOLDER"),
        (command("x", "{message.header.}"), "template.command.argv[2]", "UNKNOWN_PLACEHOLDER"),
        (command("{message.header.a b}"), "template.command.argv[1]", "UNKNOWN_PLACEHOLDER"),
        (command("{message.id"), "template.command.argv[1]", "UNKNOWN_PLACEHOLDER"),
        (command("{message.{x}}"), "template.command.argv[1]", "UNKNOWN_PLACEHOLDER"),
        (command(labels={"l": "{message.x}"}), "template.labels[l]", "UNKNOWN_PLACEHOLDER"),
        (command(labels={"{message.id}": "l"}), "template", "PLACEHOLDER_NOT_ALLOWED"),
        (PROGRAM, "template", "PLACEHOLDER_NOT_ALLOWED"),
        (task_pb2.TaskSpec(command=DIRECTORY), "template", "PLACEHOLDER_NOT_ALLOWED"),
        (SHELL, "template.command.argv[2]", "PLACEHOLDER_NOT_ALLOWED"),
        (
            task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=NESTED)),
            "template.command.argv[3]",
            "PLACEHOLDER_NOT_ALLOWED",
        ),
        (
            python({"kwargs": {"{message.id}": 1}}),
            "template.python.json",
            "PLACEHOLDER_NOT_ALLOWED",
        ),
        (command(*["{message.id}"] * 65), "template", "TOO_MANY_PLACEHOLDERS"),
    ],
)
def test_a_template_with_bad_placeholders_is_refused(
    template: task_pb2.TaskSpec, field: str, reason: str
) -> None:
    with pytest.raises(QuorateError) as refused:
        placeholders.check(template)
    error = refused.value
    assert (error.code, error.field, error.reason) == (C.INVALID_ARGUMENT, field, reason)


def test_templates_that_are_allowed():
    for template in (
        command(*["{message.id}"] * 64),
        command("{}", "{index}", "awk {print}", "{messages}"),
        task_pb2.TaskSpec(
            command=task_pb2.CommandWork(argv=["sh", "-c", 'echo "$1"', "sh", "{message.id}"])
        ),
    ):
        before = template.SerializeToString(deterministic=True)
        placeholders.check(template)
        assert template.SerializeToString(deterministic=True) == before


async def test_each_task_has_the_values_of_its_message():
    store = MemoryEtcd()
    template = command("{message.routing_key}", unique={"key": "{message.id}"})
    async with leading(store) as term:
        await bound(term, template=template)
        sent = [publication(b"", f"k{n}", "x", message_id=f"m{n % 2}") for n in range(3)]
        await publish(term, sent)
        rows = tasks(term)
        assert [spec_of(row).command.argv[1] for row in rows] == ["k0", "k1"]
        standby = Follower(store).follow().state
        assert {row.id: row.spec for row in standby.tasks.values()} == {
            row.id: row.spec for row in rows
        }


async def test_a_message_without_a_value_is_rejected_and_its_neighbour_is_not():
    async with leading(MemoryEtcd()) as term:
        await bound(term, template=command("{message.id}"))
        sent = [
            publication(b"", "", "x", message_id="m", number=1),
            publication(b"", "", "x", number=2),
        ]
        answer = await publish(term, sent, "p")
        (result,) = answer.results
        assert result.position == 1
        assert result.error.reason == "PLACEHOLDER_WITHOUT_VALUE"
        assert len(tasks(term)) == 1
