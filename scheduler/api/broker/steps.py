"""Events of callers: what they come to, and who asked, for the audit log.

The broker's log entries hold no caller. An entry of the audit log is written right behind the
change, in a commit of its own: a leader that is killed between the two leaves a change without an
entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from scheduler.api.asking import identified
from scheduler.api.origin import origin_of
from scheduler.api.servicer import Context
from scheduler.core.model import events as e
from scheduler.core.values.reply_token import Pending
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver


class Steps:
    """Of one term.

    Args:
        driver: of the term, for the audit log.
        broker: of the same term.
    """

    def __init__(self, driver: Driver, broker: BrokerDriver) -> None:
        self._driver = driver
        self.broker = broker

    async def change(
        self,
        method: str,
        request: Any,
        context: Context,
        kind: str,
        name: str,
        make: Callable[[Pending[object]], object],
        changed: Callable[[object], bool] = lambda answer: True,
    ) -> object:
        """Step an event that a caller asked for, and note it in the audit log.

        Args:
            kind, name: what changes.
            changed: whether an answer means that anything did.
        """
        asked = identified(method, request, origin_of(request, context))
        answer = await self.broker.call(make)
        if changed(answer):
            # Not admitted once more: it belongs to a call that was.
            token: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            self._driver.handle((e.ChangeRecorded(kind, name, asked, token),))
            await self._driver.admission.answer(token)
        return answer
