"""A store whose leader dies in the middle of a Txn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from quorate.etcd.api import Compare, Delete, Op, Put, TxnResult
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.timing.clock import Clock


class Dies(Enum):
    """When the leader dies in a Txn."""

    BEFORE = auto()
    """The store never gets it."""
    AFTER = auto()
    """It is applied, and nobody learns of it."""
    LATE = auto()
    """The store gets it when the next leader has claimed the log."""


class Mortal(MemoryEtcd):
    """A store that `doom` takes away from its leader; `dead` is set when that has happened."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.dead = asyncio.Event()
        self._left = -1
        self._dies = Dies.BEFORE
        self._late: tuple[Any, ...] | None = None

    def doom(self, txns: int, dies: Dies) -> None:
        """The leader dies in its Txn after so many more."""
        self._left, self._dies = txns, dies

    @property
    def is_doomed(self) -> bool:
        return self._left >= 0

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        if self.is_doomed and any(type(op) is Put or type(op) is Delete for op in success):
            if self._left == 0:
                first, self._left = not self.dead.is_set(), 0
                if first and self._dies is Dies.AFTER:
                    await super().txn(compares, success, failure, timeout=timeout)
                elif first and self._dies is Dies.LATE:
                    self._late = (compares, success, failure)
                self.dead.set()
                # Until the process is gone.
                await asyncio.Event().wait()
            self._left -= 1
        return await super().txn(compares, success, failure, timeout=timeout)

    def revive(self) -> None:
        """Other leaders reach it."""
        self._left = -1
        self.dead.clear()

    async def come_late(self) -> None:
        """What was under way arrives, if the leader died so."""
        late, self._late = self._late, None
        if late is not None:
            await super().txn(*late)
