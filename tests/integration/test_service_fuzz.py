"""Random requests that parse, to every unary method: an answer or a typed refusal, never a bug.

The requests are made from the methods' own descriptors, so new fields are fuzzed as they come.
Hypothesis picks the seeds and prints the one that failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.server.launcher import EtcdProcess
from quorate.v1 import scheduler_pb2 as pb
from tests.support.served import Refused, Served, serve

C = grpc.StatusCode
REFUSALS = {
    C.INVALID_ARGUMENT,
    C.NOT_FOUND,
    C.ALREADY_EXISTS,
    C.FAILED_PRECONDITION,
    C.OUT_OF_RANGE,
    C.RESOURCE_EXHAUSTED,
}
METHODS = [
    method
    for method in pb.DESCRIPTOR.services_by_name["Scheduler"].methods
    if not method.server_streaming
]
_F = FieldDescriptor
_WHOLE = {
    _F.TYPE_INT32: (-(2**31), 2**31 - 1),
    _F.TYPE_INT64: (-(2**63), 2**63 - 1),
    _F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    _F.TYPE_SINT64: (-(2**63), 2**63 - 1),
    _F.TYPE_UINT32: (0, 2**32 - 1),
    _F.TYPE_UINT64: (0, 2**64 - 1),
}
# What passes the first check of a field, so that the later ones are met too.
_PLAUSIBLE = {
    "queue": ["", "default", "queue-1"],
    "name": ["default", "queue-1", "queue-2"],
    "request_id": ["", "one", "two"],
    "page_token": [""],
    "entrypoint": ["m:f"],
    "json": ["[]", '{"args": [1]}'],
    "argv": ["true"],
    "cwd": ["", "/"],
}


def text(name: str, dice: Random) -> str:
    if dice.random() < 0.85:
        return dice.choice(_PLAUSIBLE.get(name, ["gpu", "A"]))
    letters = "a/:.\0\n %\u00e4\U0001f600\u202e\U000e0001"
    return "".join(dice.choice(letters) for _ in range(dice.choice([0, 1, 3, 64, 128, 300])))


def whole(bounds: tuple[int, int], dice: Random) -> int:
    found = dice.choice([0, 1, 1, 2, 3, -1, dice.randint(0, 2_000), *bounds, dice.randint(*bounds)])
    return max(found, bounds[0])


def value(field: Any, dice: Random) -> Any:
    """Of one field; of one item for a repeated one."""
    if field.type in _WHOLE:
        return whole(_WHOLE[field.type], dice)
    if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        odd = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308]
        return dice.choice([0.0, 0.5, 1.0, 2.0, dice.uniform(-1, 1_000), dice.choice(odd)])
    if field.type == _F.TYPE_ENUM:
        known = [value.number for value in field.enum_type.values]
        return dice.choice([*known, *known, *known, -1, len(known), -(2**31), 2**31 - 1])
    if field.type == _F.TYPE_BOOL:
        return dice.random() < 0.5
    if field.type == _F.TYPE_BYTES:
        return dice.randbytes(dice.choice([0, 1, 64]))
    assert field.type == _F.TYPE_STRING, field.full_name
    return text(field.name, dice)


# Headers of messages hold headers: messages are filled that deep.
DEPTH = 5


def fill(message: Message, dice: Random, depth: int = DEPTH) -> Message:
    """Set some of a message's fields. A map is filled by what its keys and values may be."""
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        if dice.random() < 0.2:
            continue
        target = getattr(message, field.name)
        nested = field.type == _F.TYPE_MESSAGE
        if nested and not depth:
            continue
        if not field.is_repeated:
            if nested:
                fill(target, dice, depth - 1)
                target.SetInParent()
            else:
                setattr(message, field.name, value(field, dice))
            continue
        for _ in range(dice.choice([0, 1, 1, 2])):
            if nested and field.message_type.GetOptions().map_entry:
                parts = field.message_type.fields_by_name
                key = value(parts["key"], dice)
                if parts["value"].type == _F.TYPE_MESSAGE:
                    # A map's message is there once it is asked for.
                    fill(target[key], dice, depth - 1)
                else:
                    target[key] = value(parts["value"], dice)
            elif nested:
                fill(target.add(), dice, depth - 1)
            else:
                target.append(value(field, dice))
    return message


@pytest.fixture(scope="module")
def fuzzed(etcd_server: EtcdProcess) -> Iterator[tuple[grpc.Channel, Served]]:
    # No nodes: what is created by chance must not run.
    with serve(etcd_server.endpoint) as served, grpc.insecure_channel(served.address) as channel:
        yield channel, served


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_any_request_is_answered_or_refused_in_kind(
    fuzzed: tuple[grpc.Channel, Served], method: Any
) -> None:
    served = fuzzed[1]
    # The stubs of grpc ask for serializers, without which it sends and answers bytes.
    channel: Any = fuzzed[0]
    call = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")
    kind = message_factory.GetMessageClass(method.input_type)

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.integers(0, 2**64 - 1))
    def send(seed: int) -> None:
        request = fill(kind(), Random(seed))
        try:
            call(request.SerializeToString(), timeout=60)
        except grpc.RpcError as error:
            rejection = Refused(error)  # type: ignore[arg-type]
            assert rejection.code in REFUSALS, rejection
            assert rejection.info is not None
            assert rejection.info.domain == "quorate"
            assert "Traceback" not in rejection.message
            if rejection.code is C.INVALID_ARGUMENT:
                assert rejection.fields == [rejection.metadata["field"]]

    send()
    assert "call_handler_failed" not in (served.folder / "scheduler.log").read_text()
