"""Random requests that parse, to every unary method: an answer or a typed refusal, never a bug.

The requests are drawn from the methods' own descriptors, so new fields are fuzzed as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate.etcd.launcher import EtcdProcess
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
_WHOLE: dict[int, tuple[int, int]] = {
    _F.TYPE_INT32: (-(2**31), 2**31 - 1),
    _F.TYPE_INT64: (-(2**63), 2**63 - 1),
    _F.TYPE_UINT32: (0, 2**32 - 1),
    _F.TYPE_UINT64: (0, 2**64 - 1),
    _F.TYPE_ENUM: (-(2**31), 2**31 - 1),
}
# What passes the first check of some field, so that the later ones are met too.
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["default", "queue-1", "m:f", "[]", '{"args": [1]}', "true", "/", "gpu", "a" * 129]
    ),
)


def numbers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.one_of(
        st.integers(0, 5).map(lambda n: max(least, n)),
        st.integers(-2, 1_001).map(lambda n: max(least, n)),
        st.sampled_from([least, most]),
        st.integers(least, most),
    )


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Values of one field, of one item for a repeated one."""
    if field.type == _F.TYPE_MESSAGE:
        return messages(field.message_type, depth + 1)
    if field.type in _WHOLE:
        return numbers(*_WHOLE[field.type])
    if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return st.one_of(st.floats(), st.floats(0, 2))
    if field.type == _F.TYPE_BOOL:
        return st.booleans()
    if field.type == _F.TYPE_BYTES:
        return st.binary(max_size=64)
    assert field.type == _F.TYPE_STRING, field.full_name
    return _TEXTS


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 0) -> Message:
    """A message with some of its fields."""
    message: Message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        if depth > 4 or not draw(st.booleans()):
            continue
        if not field.is_repeated:
            value = draw(values(field, depth))
            if isinstance(value, Message):
                getattr(message, field.name).CopyFrom(value)
            else:
                setattr(message, field.name, value)
            continue
        for _ in range(draw(st.integers(0, 3))):
            # A map is a repeated message of key and value on the wire, and here.
            if field.type == _F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
                parts = field.message_type.fields_by_name
                key, value = draw(values(parts["key"], depth)), draw(values(parts["value"], depth))
                getattr(message, field.name)[key] = value
            elif field.type == _F.TYPE_MESSAGE:
                getattr(message, field.name).add().CopyFrom(draw(values(field, depth)))
            else:
                getattr(message, field.name).append(draw(values(field, depth)))
    return message


@pytest.fixture(scope="module")
def channel(etcd_server: EtcdProcess) -> Iterator[tuple[grpc.Channel, Served]]:
    # No nodes: what is created by chance must not run.
    with serve(etcd_server.endpoint) as served, grpc.insecure_channel(served.address) as channel:
        yield channel, served


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_any_request_is_answered_or_refused_in_kind(
    channel: tuple[grpc.Channel, Served], method: Any
) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(messages(method.input_type))
    def sent(request: Message) -> None:
        call = channel[0].unary_unary(f"/{method.containing_service.full_name}/{method.name}")
        try:
            call(request.SerializeToString(), timeout=20)
        except grpc.RpcError as error:
            refusal = Refused(error)  # type: ignore[arg-type]
            assert refusal.code in REFUSALS, refusal
            assert refusal.info is not None
            assert refusal.info.domain == "quorate"
            assert "Traceback" not in refusal.message
            if refusal.code is C.INVALID_ARGUMENT:
                assert refusal.fields == [refusal.metadata["field"]]

    sent()
    with channel[1].folder.joinpath("scheduler.log").open() as log:
        assert "call.handler_failed" not in log.read()
