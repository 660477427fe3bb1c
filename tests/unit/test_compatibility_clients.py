"""The SDK and the command line before a cluster that knows more than they do."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.cli.output import render
from quorate.cli.services.show import state_text
from quorate.client.errors import TaskFailed
from quorate.client.tracking.outcome import is_finished, state_name, value_of
from quorate.runtime.errors import from_rpc_error
from quorate.v1 import node_pb2, service_pb2, task_pb2

UNKNOWN = 99


def task(**fields: object) -> task_pb2.Task:
    return task_pb2.Task(id="t", state=UNKNOWN, **fields)  # type: ignore[arg-type]


def test_a_state_that_is_not_known_is_shown_by_its_number() -> None:
    assert state_name(task()) == "99"
    assert render.node_state(node_pb2.Node(state=UNKNOWN)) == "99"  # type: ignore[arg-type]
    instance = service_pb2.ServiceInstance(state=UNKNOWN)  # type: ignore[arg-type]
    assert str(state_text(instance)) == "99"


def test_states_that_are_known_are_shown_by_their_names() -> None:
    assert state_name(task_pb2.Task(state=task_pb2.TASK_STATE_RUNNING)) == "RUNNING"
    assert render.node_state(node_pb2.Node(state=node_pb2.NODE_STATE_READY)) == "READY"


def test_an_unknown_state_is_final_when_the_task_has_finished() -> None:
    assert not is_finished(task())
    done = task(finish_time=Timestamp(seconds=1))
    assert is_finished(done)
    with pytest.raises(TaskFailed, match="99"):
        value_of(done)


class NotThere(grpc.RpcError):
    """What gRPC itself answers for a method that is not served."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNIMPLEMENTED

    def details(self) -> str:
        return "Method not found!"

    def trailing_metadata(self) -> tuple[()]:
        return ()


def test_a_call_that_an_older_cluster_does_not_have_is_said_to_be_one() -> None:
    error = from_rpc_error(NotThere())
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
    assert "earlier version" in error.message
