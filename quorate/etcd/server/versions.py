"""Refuses, when a process starts, an etcd that would lose what it acknowledged.

Every endpoint that answers is asked: calls move from one to another, and a majority of members that
lose writes loses them for all. One that is away is waited for only while none has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from quorate.etcd.api import EtcdError
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.binary import check_server_version
from quorate.runtime.config import EtcdSettings

# Seconds that the other endpoints have to answer once one has, and all of them together.
_GRACE: Final = 0.5
_TIMEOUT: Final = 2.0


class SafeEtcd:
    """The check of one process's etcd; `await safe()` until it has passed once, then it is free.

    Args:
        etcd: the process's own client: it asks where there is only one endpoint.
        settings: what `etcd` was made from.
    """

    def __init__(self, etcd: EtcdClient, settings: EtcdSettings) -> None:
        self._etcd = etcd
        self._settings = settings
        self._passed = False

    async def __call__(self) -> None:
        """Return when every endpoint that answers is fit.

        Raises:
            QuorateError: ETCD_VERSION_UNSAFE or ETCD_VERSION_UNKNOWN, naming the endpoint.
            EtcdError: none answers.
        """
        if self._passed:
            return
        endpoints = self._settings.endpoints
        if len(endpoints) == 1:
            await _check(self._etcd, endpoints[0])
        else:
            await _check_all([asyncio.ensure_future(self._ask(one)) for one in endpoints])
        self._passed = True

    async def _ask(self, endpoint: str) -> None:
        async with EtcdClient.from_settings(self._settings, [endpoint]) as client:
            await _check(client, endpoint)


async def _check(client: EtcdClient, endpoint: str) -> None:
    status = await client.status(timeout=_TIMEOUT)
    check_server_version(status, where=f"the server at {endpoint}")


async def _check_all(asked: Sequence[asyncio.Future[None]]) -> None:
    waiting: set[asyncio.Future[None]] = set(asked)
    fit = False
    away: EtcdError | None = None
    try:
        while waiting:
            done, waiting = await asyncio.wait(
                waiting,
                timeout=_GRACE if fit else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                return
            for one in done:
                try:
                    one.result()
                    fit = True
                except EtcdError as error:
                    away = error
        if not fit and away is not None:
            raise away
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
