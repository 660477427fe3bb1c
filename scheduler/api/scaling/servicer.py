"""KEDA's external scaler, served by the leader.

Called by `scheduler.api.forwarding.forward` only while this process leads; lives for one term.
Every answer is made from memory and waits for a fenced Txn behind it, like every other read, so
that nothing uncommitted and nothing of a deposed leader scales anybody.

StreamIsActive is driven by events: the driver notifies of each step, streams that sleep look
again, at most every `INTERVAL` seconds, and send their answer when it has changed. When the term
ends they get UNAVAILABLE; KEDA opens them again, at any scheduler.

Whoever asks for the number has idle nodes marked for him: see `scheduler.autoscaling.scale_down`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from quorate.externalscaler import externalscaler_pb2 as pb
from quorate.runtime.errors import exhausted, invalid, leader_lost
from scheduler.api.servicer import Context
from scheduler.autoscaling.ask import Ask, parse
from scheduler.autoscaling.look import look
from scheduler.autoscaling.plan import Plan, plan
from scheduler.autoscaling.scale_down import ScaleDown
from scheduler.engine.driver import Driver

METRIC: Final = "quorate-nodes"
MAX_STREAMS: Final = 64
# Seconds between two looks of one stream. That work came is urgent, that it ended is not.
INTERVAL: Final = 0.1
_INTERVAL_ACTIVE: Final = 0.5


class ScalingCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.scale_down = ScaleDown(driver)
        """Its `run` is awaited by the caller."""
        self._streams = 0
        # Steps of the driver; a stream looks again when there were any since its last look.
        self._steps = 0
        # Streams that sleep until the next one, all on one event.
        self._asleep = 0
        self._happened = asyncio.Event()
        self._closed = False
        driver.observe_steps(self._stepped)

    async def IsActive(self, request: pb.ScaledObjectRef, context: Context) -> pb.IsActiveResponse:
        found = self._plan(parse(request.scalerMetadata))
        await self._driver.barrier()
        return pb.IsActiveResponse(result=found.active)

    async def StreamIsActive(
        self, request: pb.ScaledObjectRef, context: Context
    ) -> AsyncGenerator[pb.IsActiveResponse, None]:
        ask = parse(request.scalerMetadata)
        if self._streams >= MAX_STREAMS:
            raise exhausted(
                "TOO_MANY_STREAMS",
                f"{MAX_STREAMS} streams are open, which is the limit; close some",
                limit=MAX_STREAMS,
            )
        self._streams += 1
        try:
            reported: bool | None = None
            while not self._closed:
                before = self._steps
                found = self._plan(ask)
                if found.active is not reported:
                    await self._driver.barrier()
                    reported = found.active
                    yield pb.IsActiveResponse(result=reported)
                await asyncio.sleep(_INTERVAL_ACTIVE if reported else INTERVAL)
                if self._steps == before:
                    await self._step(found.expires)
            raise leader_lost()
        finally:
            self._streams -= 1

    async def GetMetricSpec(
        self, request: pb.ScaledObjectRef, context: Context
    ) -> pb.GetMetricSpecResponse:
        parse(request.scalerMetadata)
        await self._driver.barrier()
        spec = pb.MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1.0)
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def GetMetrics(
        self, request: pb.GetMetricsRequest, context: Context
    ) -> pb.GetMetricsResponse:
        if request.metricName != METRIC:
            raise invalid("metricName", f"{request.metricName[:64]!r} is not {METRIC!r}")
        wanted = await self.scale_down.wanted(parse(request.scaledObjectRef.scalerMetadata))
        await self._driver.barrier()
        value = pb.MetricValue(
            metricName=METRIC, metricValue=wanted, metricValueFloat=float(wanted)
        )
        return pb.GetMetricsResponse(metricValues=[value])

    def close(self) -> None:
        """The term is over: end all watches."""
        self._closed = True
        self._happened.set()

    def _plan(self, ask: Ask) -> Plan:
        return plan(ask, look(self._driver.state, ask, self._driver.clock.now()))

    def _stepped(self) -> None:
        self._steps += 1
        if self._asleep:
            # Everybody who sleeps holds the old event; later comers get the new one.
            self._happened.set()
            self._happened = asyncio.Event()

    async def _step(self, within: float | None) -> None:
        """Sleep until the driver's next step, or for that many seconds."""
        if self._closed:
            return
        self._asleep += 1
        try:
            async with asyncio.timeout(within):
                await self._happened.wait()
        except TimeoutError:
            return
        finally:
            self._asleep -= 1
