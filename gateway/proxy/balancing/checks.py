"""Active checks of outside instances, as their service's `health` asks: GET, connect or gRPC.

`Checks` owns the checks under way. Every `TICK` it begins those that are due, `AT_ONCE` at most:
beyond that they are late, and never more. What an instance answers is its own affair: a check that
fails in any way says so to its service, and nothing else is affected.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.proxy.balancing.grpc_check import ask_grpc
from gateway.proxy.balancing.health_tracker import HealthTracker
from gateway.proxy.balancing.services import Instance, ProxiedService, Services
from quorate.runtime.timing.lateness import own_delay

# Seconds: how late a check may begin.
TICK: Final = 0.1
AT_ONCE: Final = 64
# Bytes of an answer's first line; what follows it is not read.
_STATUS_LINE: Final = 1024


class Checks:
    """See the module. Lives in the proxy's event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._under_way = 0

    async def run(self) -> None:
        """Runs until cancelled; the checks under way end with it."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                for service, instance, health_tracker in self._due(loop.time()):
                    health_tracker.checking = True
                    self._under_way += 1
                    tasks.create_task(self._check(service, instance, health_tracker))
                await asyncio.sleep(TICK)

    def _due(self, now: float) -> list[tuple[ProxiedService, Instance, HealthTracker]]:
        due = [
            (service, instance, instance.health_tracker)
            for service in self._services
            if service.check is not None
            for instance in service.instances.values()
            if instance.health_tracker is not None
            and not instance.health_tracker.checking
            and instance.health_tracker.due <= now
        ]
        # The latest first: with too many of them, each has its turn.
        due.sort(key=lambda one: one[2].due)
        return due[: max(0, AT_ONCE - self._under_way)]

    async def _check(
        self, service: ProxiedService, instance: Instance, health_tracker: HealthTracker
    ) -> None:
        began = asyncio.get_running_loop().time()
        try:
            pool = instance.pool
            terms = health_tracker.terms
            if terms.grpc is None:
                failure = await ask(pool.host, pool.port, terms.path, terms.timeout)
            else:
                failure = await ask_grpc(pool.host, pool.port, terms.grpc, terms.timeout)
            now = asyncio.get_running_loop().time()
            if failure and own_delay(began, now, terms.timeout):
                # It is due still: asked again as soon as there is time to listen.
                return
            if instance.health_tracker is health_tracker and health_tracker.terms is terms:
                service.on_checked(instance, failure, now)
        finally:
            self._under_way -= 1
            health_tracker.checking = False


async def ask(host: str, port: int, path: str, timeout: float) -> str:
    """Why a check failed; "" when it passed.

    Args:
        path: must answer GET with 200 to 399; where a redirect leads is not looked at. Empty: a
            connect is enough.
        timeout: seconds for all of it.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _ask(host, port, path)
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    except asyncio.IncompleteReadError:
        return "the connection was closed before an answer"
    except (ValueError, asyncio.LimitOverrunError):
        return "the answer is not HTTP"


async def _ask(host: str, port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection(host, port, limit=_STATUS_LINE)
    try:
        if not path:
            return ""
        name = f"[{host}]" if ":" in host else host
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: quorate-health\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        version, _, rest = (await reader.readuntil(b"\n")).partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise ValueError("not a status line")
        status = int(rest[:3])
        return "" if 200 <= status < 400 else f"GET {path} answered {status}"
    finally:
        # Nothing more is wanted, and a close could wait for the other side.
        writer.transport.abort()
