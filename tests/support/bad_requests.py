"""Calls that must be refused, and what all such refusals have in common."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NO_TASK = "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15
LONG = "x" * 129
LONG_ID = "x" * 257
KIB = 1024


async def refused(caller: Caller, method: str, request: Message) -> Refused:
    """The refusal of a bad call, which has changed nothing and shows no insides of ours."""
    before = await caller.dump()
    with pytest.raises(Refused) as answer:
        await caller.call(method, request)
    assert await caller.dump() == before
    error = answer.value
    assert error.info is not None, error
    assert error.info.domain == "quorate"
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", error.reason)
    assert "Traceback" not in error.message
    assert error.message
    assert "\n" not in error.message
    return error


async def refused_field(caller: Caller, method: str, request: Message, name: str) -> Refused:
    """The refusal of an argument, which is named to people and to programs."""
    error = await refused(caller, method, request)
    assert error.code is INVALID, error
    assert error.metadata["field"] == name
    assert error.fields == [name]
    assert name in error.message
    return error


def command(*argv: str, **more: Any) -> t.TaskSpec:
    return t.TaskSpec(command=t.CommandWork(argv=argv or ("true",)), **more)


def python(entrypoint: str = "m:f", **more: Any) -> t.TaskSpec:
    return t.TaskSpec(python=t.PythonWork(entrypoint=entrypoint, **more))


def retry(**policy: Any) -> t.TaskSpec:
    return command(retry=t.RetryPolicy(**policy))


def needs(**resources: Any) -> t.TaskSpec:
    return command(resources=t.Resources(**resources))


def second(seconds: int, nanos: int = 0) -> Duration:
    return Duration(seconds=seconds, nanos=nanos)


HUGE = second(2**62)
