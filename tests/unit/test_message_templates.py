"""SetMessageTemplate and GetMessageTemplate; what a task that was made of a message gets of it."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import grpc
import pytest

from node_agent.session import from_message
from node_agent.session.messages import attempt_of
from node_agent.task.work import Call, Command, Unreadable
from quorate.client.messages import templates
from quorate.client.work.options import TaskOptions
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role, set_caller
from quorate.v1 import message_pb2, node_agent_pb2, queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.one_leader import Leader, leading

C = grpc.StatusCode
COMMAND = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["cat"]))


async def queue(leader: Leader, name: str = "q", **fields: Any) -> None:
    made = queue_pb2.Queue(name=name, **fields)
    await leader.call("CreateQueue", pb.CreateQueueRequest(queue=made))


async def put(leader: Leader, template: task_pb2.TaskSpec | None, name: str = "q") -> Any:
    request = pb.SetMessageTemplateRequest(queue=name, template=template)
    return await leader.call("SetMessageTemplate", request)


async def get(leader: Leader, name: str = "q") -> Any:
    return await leader.call("GetMessageTemplate", pb.GetMessageTemplateRequest(queue=name))


async def test_a_template_is_set_shown_and_removed():
    async with leading(MemoryEtcd()) as leader:
        await queue(leader)
        assert not (await get(leader)).HasField("template")
        assert (await put(leader, COMMAND)).template == COMMAND
        assert (await get(leader)).template == COMMAND
        seen = await leader.call("GetQueue", pb.GetQueueRequest(name="q"))
        assert seen.queue.takes_messages
        await put(leader, None)
        assert not (await get(leader)).HasField("template")


async def test_settings_of_a_queue_leave_its_template_alone():
    async with leading(MemoryEtcd()) as leader:
        await queue(leader, events=queue_pb2.TaskEvents(exchange="ends"))
        await put(leader, COMMAND)
        changed = queue_pb2.Queue(name="q", max_running=4)
        answer = await leader.call("UpdateQueue", pb.UpdateQueueRequest(queue=changed))
        assert answer.queue.events == queue_pb2.TaskEvents(exchange="ends", virtual_host="/")
        assert answer.queue.takes_messages
        assert (await get(leader)).template == COMMAND
        request = pb.UpdateQueueRequest(queue=queue_pb2.Queue(name="q"))
        request.update_mask.paths.append("events")
        answer = await leader.call("UpdateQueue", request)
        assert not answer.queue.HasField("events")


def spec(**fields: Any) -> task_pb2.TaskSpec:
    made = task_pb2.TaskSpec()
    made.CopyFrom(COMMAND)
    made.MergeFrom(task_pb2.TaskSpec(**fields))
    return made


@pytest.mark.parametrize(
    ("template", "field"),
    [
        (task_pb2.TaskSpec(), "template.work"),
        (spec(command=task_pb2.CommandWork(stdin=b"x")), "template.command.stdin"),
        (spec(not_before={"seconds": 1}), "template.not_before"),
        (spec(message=message_pb2.Message(body=b"x")), "template.message"),
        (spec(trace_context="00-" + "1" * 32 + "-" + "1" * 16 + "-01"), "template.trace_context"),
        (spec(unique={"key": "k", "window": {"seconds": 9}}), "template.unique.window"),
        (
            task_pb2.TaskSpec(python=task_pb2.PythonWork(pickle=b"x")),
            "template.python.entrypoint",
        ),
        (
            task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", pickle=b"x")),
            "template.python.pickle",
        ),
        (spec(name="n" * 200), "template.name"),
        (spec(command=task_pb2.CommandWork(argv=["x" * (64 << 10)])), "template"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_template_is_refused_with_its_field(
    template: task_pb2.TaskSpec, field: str
) -> None:
    async with leading(MemoryEtcd()) as leader:
        await queue(leader)
        with pytest.raises(QuorateError) as refused:
            await put(leader, template)
        assert (refused.value.code, refused.value.field) == (C.INVALID_ARGUMENT, field)


async def test_a_template_needs_its_queue():
    async with leading(MemoryEtcd()) as leader:
        for call in (put(leader, COMMAND, "none"), get(leader, "none")):
            with pytest.raises(QuorateError) as refused:
                await call
            assert (refused.value.code, refused.value.reason) == (C.NOT_FOUND, "QUEUE_NOT_FOUND")


async def test_who_may_not_submit_sets_no_template():
    async with leading(MemoryEtcd()) as leader:
        await queue(leader)

        async def as_operator() -> None:
            # A context of its own.
            set_caller(Caller("olga", Role.OPERATOR, How.TOKEN))
            await put(leader, COMMAND)

        with pytest.raises(QuorateError) as refused:
            await asyncio.create_task(as_operator())
        assert refused.value.code is C.PERMISSION_DENIED
        assert refused.value.metadata["permission"] == "tasks.submit"
        assert not (await get(leader)).HasField("template")


@pytest.mark.parametrize("field", ["exchange", "virtual_host"])
async def test_an_exchange_for_events_has_a_sane_name(field: str):
    async with leading(MemoryEtcd()) as leader:
        to = queue_pb2.TaskEvents(exchange="e")
        setattr(to, field, "x" * 256)
        with pytest.raises(QuorateError) as refused:
            await queue(leader, events=to)
        assert refused.value.field == f"queue.events.{field}"
        with pytest.raises(QuorateError) as refused:
            await queue(leader, events=queue_pb2.TaskEvents())
        assert refused.value.field == "queue.events.exchange"


# -- at the node


def work(template: task_pb2.TaskSpec, body: bytes, **properties: Any) -> Any:
    """What an attempt of a task that was made of a message runs."""
    made = task_pb2.TaskSpec()
    made.CopyFrom(template)
    made.message.CopyFrom(
        message_pb2.Message(
            exchange="x",
            routing_key="photos.cats",
            body=body,
            properties=message_pb2.MessageProperties(**properties),
        )
    )
    assignment = node_agent_pb2.Assignment(task_id="t", attempt=1, spec=made.SerializeToString())
    return attempt_of(assignment).work


def test_a_program_gets_the_body_and_the_rest_in_its_environment():
    header = message_pb2.HeaderValue
    found = work(
        COMMAND,
        b"\xff body",
        message_id="m\0-1",
        content_type="image/png",
        headers={
            "a": header(text="ä"),
            "b": header(list={"values": [header(integer=3), header(void=True)]}),
            "c": header(decimal={"scale": 2, "value": 314}),
        },
    )
    assert isinstance(found, Command)
    assert found.stdin == b"\xff body"
    assert found.env == {
        "QUORATE_MESSAGE_EXCHANGE": "x",
        "QUORATE_MESSAGE_ROUTING_KEY": "photos.cats",
        "QUORATE_MESSAGE_ID": "m-1",
        "QUORATE_MESSAGE_CONTENT_TYPE": "image/png",
        "QUORATE_MESSAGE_HEADERS": '{"a": "ä", "b": [3, null], "c": 3.14}',
    }


def test_headers_that_no_variable_can_hold_are_left_out():
    many = {"h": message_pb2.HeaderValue(text="\1" * (20 << 10))}
    found = work(COMMAND, b"", headers=many)
    assert from_message.HEADERS not in found.env


PYTHON = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="jobs:resize"))


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b"[1]", "application/cloudevents+json; charset=utf-8", [1]),
        (b'{"a": 1}', "", '{"a": 1}'),
        ("ä".encode(), "text/plain", "ä"),
    ],
)
def test_a_function_gets_the_body_as_its_first_argument(body: bytes, kind: str, value: Any):
    found = work(PYTHON, body, content_type=kind)
    assert isinstance(found, Call)
    assert (found.entrypoint, found.kind) == ("jobs:resize", "json")
    assert json.loads(found.arguments) == {"args": [value], "kwargs": {}}
    assert found.env["QUORATE_MESSAGE_ROUTING_KEY"] == "photos.cats"


def test_arguments_of_the_template_follow_the_body():
    for text, rest in (
        ("[2, 3]", {"args": ["1], [", 2, 3], "kwargs": {}}),
        ('{"kwargs": {"k": 4}}', {"args": ["1], ["], "kwargs": {"k": 4}}),
    ):
        template = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", json=text))
        found = work(template, b"1], [")
        assert json.loads(found.arguments) == rest


def test_bytes_that_are_no_text_are_pickled():
    found = work(PYTHON, b"\xff\x00")
    assert found.kind == "pickle"
    assert pickle.loads(found.arguments) == ((b"\xff\x00",), {})


def test_a_body_that_is_no_json_fails_the_attempt_and_not_the_session():
    found = work(PYTHON, b"{", content_type="application/json")
    assert isinstance(found, Unreadable)
    assert "no JSON" in found.why


# -- the SDK's requests


def test_a_template_of_the_sdk():
    options = TaskOptions()
    made = templates.set_template("q", ["cat", "-"], (), None, options)
    assert list(made.template.command.argv) == ["cat", "-"]
    made = templates.set_template("q", json.dumps, (1,), {"indent": 2}, options)
    assert made.template.python.entrypoint == "json:dumps"
    assert json.loads(made.template.python.json) == {"args": [1], "kwargs": {"indent": 2}}
    for wrong, field in ((lambda body: body, "work"), ("json.dumps", "entrypoint")):
        with pytest.raises(QuorateError) as refused:
            templates.set_template("q", wrong, (), None, options)
        assert refused.value.field == field
    assert not templates.remove_template("q").HasField("template")
