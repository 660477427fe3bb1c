"""KEDA as far as an external scaler sees it: its published contract, and its loop.

The contract is written down here as KEDA publishes it and compiled by protoc into messages of a
pool of their own: none of the scheduler's stubs take part, so that a name or number that differs
from the published one fails. `Keda` is the loop: between none and one by StreamIsActive, from one
upwards by GetMetrics, as its operator and the HorizontalPodAutoscaler do it, with shorter pauses.
"""

from __future__ import annotations

import asyncio
import functools
import math
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

PUBLISHED = """
syntax = "proto3";
package externalscaler;
option go_package = ".;externalscaler";

service ExternalScaler {
    rpc IsActive(ScaledObjectRef) returns (IsActiveResponse) {}
    rpc StreamIsActive(ScaledObjectRef) returns (stream IsActiveResponse) {}
    rpc GetMetricSpec(ScaledObjectRef) returns (GetMetricSpecResponse) {}
    rpc GetMetrics(GetMetricsRequest) returns (GetMetricsResponse) {}
    rpc StreamMetricSpec(ScaledObjectRef) returns (stream GetMetricSpecResponse) {}
}
message ScaledObjectRef {
    string name = 1;
    string namespace = 2;
    map<string, string> scalerMetadata = 3;
}
message IsActiveResponse { bool result = 1; }
message GetMetricSpecResponse { repeated MetricSpec metricSpecs = 1; }
message MetricSpec { string metricName = 1; int64 targetSize = 2; double targetSizeFloat = 3; }
message GetMetricsRequest { ScaledObjectRef scaledObjectRef = 1; string metricName = 2; }
message GetMetricsResponse { repeated MetricValue metricValues = 1; }
message MetricValue { string metricName = 1; int64 metricValue = 2; double metricValueFloat = 3; }
"""
SERVICE = "externalscaler.ExternalScaler"
# Seconds; KEDA's are 2 and 15.
REOPEN_AFTER = 0.1
POLL_EVERY = 0.2


@functools.cache
def published() -> Any:
    """The descriptor of the published service, in a pool of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "published.proto").write_text(PUBLISHED)
        image = folder / "image.binpb"
        code = protoc.main(
            ["protoc", f"-I{folder}", f"--descriptor_set_out={image}", "published.proto"]
        )
        assert code == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool.FindServiceByName(SERVICE)


class Trigger:
    """One trigger of a ScaledObject: its metadata, and the calls that KEDA makes for it."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Mapping[str, str]) -> None:
        self._calls: dict[str, Any] = {}
        for method in published().methods:
            make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
            self._calls[method.name] = make(
                f"/{SERVICE}/{method.name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(
                    method.output_type
                ).FromString,
            )
        types = published().file.message_types_by_name
        self.ref: Any = message_factory.GetMessageClass(types["ScaledObjectRef"])(
            name="agent", namespace="quorate", scalerMetadata=dict(metadata)
        )
        self._ask: Any = message_factory.GetMessageClass(types["GetMetricsRequest"])

    async def active(self) -> bool:
        """IsActive"""
        return bool((await self._calls["IsActive"](self.ref, timeout=60)).result)

    def stream(self, method: str = "StreamIsActive") -> Any:
        """StreamIsActive, or another that streams."""
        return self._calls[method](self.ref)

    async def spec(self) -> Any:
        """GetMetricSpec"""
        return await self._calls["GetMetricSpec"](self.ref, timeout=60)

    async def metrics(self, name: str) -> Any:
        """GetMetrics"""
        request = self._ask(scaledObjectRef=self.ref, metricName=name)
        return await self._calls["GetMetrics"](request, timeout=60)

    async def replicas(self) -> int:
        """How many pods a HorizontalPodAutoscaler with type AverageValue makes of the metric."""
        spec = (await self.spec()).metricSpecs[0]
        value = (await self.metrics(spec.metricName)).metricValues[0]
        return math.ceil(float(value.metricValueFloat) / float(spec.targetSizeFloat))


class Keda:
    """The loop: calls `scale` with how many replicas there are to be, whenever that changes."""

    def __init__(self, trigger: Trigger, scale: Callable[[int], Awaitable[None]]) -> None:
        self._trigger = trigger
        self._scale = scale
        self._changed = asyncio.Event()
        # None until it was told.
        self.active: bool | None = None
        self.replicas = 0
        # How often the stream was opened, and every number of replicas in turn.
        self.opened = 0
        self.history: list[int] = []

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._scale_on())

    async def _listen(self) -> None:
        while True:
            self.opened += 1
            try:
                async for answer in self._trigger.stream():
                    self.active = answer.result
                    self._changed.set()
            except grpc.aio.AioRpcError as error:
                # What KEDA logs and opens again; any other is a fault of ours.
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(REOPEN_AFTER)

    async def _scale_on(self) -> None:
        while True:
            self._changed.clear()
            if self.active is not None:
                wanted = 0
                if self.active:
                    try:
                        wanted = max(1, await self._trigger.replicas())
                    except grpc.aio.AioRpcError as error:
                        # A metric that cannot be read changes nothing.
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise
                        wanted = self.replicas
                if wanted != self.replicas:
                    self.replicas = wanted
                    self.history.append(wanted)
                    await self._scale(wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_EVERY):
                    await self._changed.wait()
