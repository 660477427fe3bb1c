"""The command line and REST show the same JSON of a message."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from gateway.http.jsonwrite import to_json
from quorate.cli.output.render import as_dict
from quorate.v1 import cluster_pb2, node_pb2, queue_pb2, scheduler_pb2, task_pb2


def _task() -> task_pb2.Task:
    task = task_pb2.Task(id="t", state=task_pb2.TASK_STATE_RUNNING, attempt=2)
    task.create_time.FromMilliseconds(1_700_000_000_123)
    task.spec.command.argv.extend(["echo", "\u00e4"])
    task.spec.command.stdin = b"\x00\xff"
    task.spec.labels.update({"b": "2", "a": "1"})
    task.spec.resources.memory = 2**40
    task.spec.timeout.FromMilliseconds(1_500)
    task.attempts.add(number=2, node="n1")
    return task


@pytest.mark.parametrize(
    "message",
    [
        _task(),
        task_pb2.Task(),
        node_pb2.Node(name="n1", state=node_pb2.NODE_STATE_CORDONED, slots=4),
        queue_pb2.Queue(name="q", paused=True),
        cluster_pb2.Cluster(name="c", epoch=2**40),
        scheduler_pb2.LogChunk(stream=scheduler_pb2.LOG_STREAM_STDERR, data=b"x", offset=7),
    ],
    ids=lambda message: type(message).__name__,
)
def test_the_command_line_prints_what_rest_answers(message: Message) -> None:
    assert as_dict(message) == to_json(message)
