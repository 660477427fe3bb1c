"""Services of which something changed: who wants to know, and which are to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scheduler.core.values import ServiceName


class DueServices:
    """Services to be looked at, in the order of their changes, each once. Owned by the driver.

    At most as many as there are services.
    """

    def __init__(self) -> None:
        self._due: dict[ServiceName, None] = {}
        self._some = asyncio.Event()
        self._observers: list[Callable[[ServiceName], None]] = []

    def observe(self, observer: Callable[[ServiceName], None]) -> None:
        """Call `observer` with each service that is noted. It must not raise."""
        self._observers.append(observer)

    def note(self, services: list[ServiceName]) -> None:
        """Something of these changed."""
        for service in services:
            self._due[service] = None
            for observer in self._observers:
                observer(service)
        self._some.set()

    async def some(self) -> None:
        """Wait until there is one."""
        while not self._due:
            self._some.clear()
            await self._some.wait()

    def take(self) -> ServiceName:
        """The first one, which is due no longer."""
        service = next(iter(self._due))
        del self._due[service]
        return service
