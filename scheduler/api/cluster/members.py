"""Which members of etcd answer, and their versions: each is asked by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from quorate.etcd.api import EtcdError
from quorate.etcd.client import EtcdClient
from quorate.runtime.config import EtcdSettings
from scheduler.core.verdict.facts import Member

# Seconds that one has to answer.
_PATIENCE: Final = 1.0


class EtcdMembers:
    """The members that the settings name. Nothing is kept open between two looks."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings

    async def look(self) -> tuple[Member, ...]:
        """All of them, each asked at the same time."""
        endpoints: Sequence[str] = self._settings.endpoints
        return tuple(await asyncio.gather(*map(self._ask, endpoints)))

    async def _ask(self, endpoint: str) -> Member:
        try:
            async with EtcdClient.from_settings(self._settings, [endpoint]) as client:
                status = await client.status(timeout=_PATIENCE)
        except (EtcdError, OSError):
            return Member(endpoint, "")
        # A member without a leader answers, and serves nothing.
        return Member(endpoint, status.version if status.leader else "")
