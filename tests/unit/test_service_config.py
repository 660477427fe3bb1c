"""The service configs published beside the protos say what the protos allow.

gRPC repeats a call on its own, so every call that it may repeat has to be safe to repeat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2

from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc

FOLDER = Path(__file__).resolve().parents[2] / "protos" / "quorate" / "v1"
DESCRIPTORS = FOLDER.parents[2] / "quorate" / "v1" / "descriptors.binpb"
PLAIN, HEDGING = "service_config.json", "service_config_hedging.json"
# Served to schedulers alone.
NOT_FOR_CLIENTS = {"quorate.v1.NodeAgent"}
# Repeating these changes nothing: an instance is named by its caller, and an offset that is there
# already is answered.
IDEMPOTENT = {"RegisterInstance", "DeregisterInstance", "SetStreamOffset"}


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def names(policy: str, config: Any) -> list[dict[str, str]]:
    """What a policy of the config applies to."""
    return [name for entry in config["methodConfig"] if policy in entry for name in entry["name"]]


@pytest.fixture(scope="module")
def methods() -> dict[tuple[str, str], descriptor_pb2.MethodDescriptorProto]:
    """Every RPC for clients by (service, method)."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    return {
        (f"{file.package}.{service.name}", method.name): method
        for file in files
        for service in file.service
        for method in service.method
        if f"{file.package}.{service.name}" not in NOT_FOR_CLIENTS
    }


@pytest.fixture(scope="module")
def fields() -> dict[str, set[str]]:
    """The fields of every message by its full name, with a leading dot."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    return {
        f".{file.package}.{message.name}": {field.name for field in message.field}
        for file in files
        for message in file.message_type
    }


@pytest.mark.parametrize("name", [PLAIN, HEDGING])
def test_every_service_for_clients_is_retried(name, methods):
    retried = {entry["service"] for entry in names("retryPolicy", read(name))}
    assert retried >= {service for service, _ in methods}


@pytest.mark.parametrize("name", [PLAIN, HEDGING])
def test_what_is_named_exists(name, methods):
    config = read(name)
    for entry in [*names("retryPolicy", config), *names("hedgingPolicy", config)]:
        if entry["service"].startswith("grpc."):
            continue
        assert entry["service"] in {service for service, _ in methods}
        if "method" in entry:
            assert (entry["service"], entry["method"]) in methods


def test_whatever_changes_something_is_safe_to_repeat(methods, fields):
    reads = (
        "Get",
        "List",
        "Watch",
        "Wait",
        "Stream",
        "Read",
        "Explain",
        "Peek",
        "Preview",
        "Search",
    )
    not_repeated = {
        (name["service"], name["method"])
        for entry in read(PLAIN)["methodConfig"]
        if "retryPolicy" not in entry
        for name in entry["name"]
    }
    for (service, name), method in methods.items():
        if (service, name) in not_repeated:
            continue
        if not name.startswith(reads) and name not in IDEMPOTENT and service in retried_services():
            assert "request_id" in fields[method.input_type], f"{service}/{name} has no request_id"


def retried_services() -> set[str]:
    return {entry["service"] for entry in names("retryPolicy", read(PLAIN))}


def test_only_unary_reads_are_hedged(methods):
    hedged = names("hedgingPolicy", read(HEDGING))
    assert hedged
    for entry in hedged:
        assert entry["method"].startswith(("Get", "List"))
        assert not methods[entry["service"], entry["method"]].server_streaming


def test_hedging_is_the_only_difference():
    plain, hedging = read(PLAIN), read(HEDGING)
    hedging["methodConfig"] = [e for e in hedging["methodConfig"] if "hedgingPolicy" not in e]
    assert plain == hedging


@pytest.mark.parametrize("name", [PLAIN, HEDGING])
def test_grpc_takes_it(name):
    """gRPC refuses a call on a channel whose service config it cannot read, with the reason."""
    options = [("grpc.service_config", (FOLDER / name).read_text())]
    with grpc.insecure_channel("127.0.0.1:1", options=options) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetTask(scheduler_pb2.GetTaskRequest(), timeout=10)
    assert "failed to connect" in str(caught.value).lower()
