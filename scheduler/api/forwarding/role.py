"""Who serves a call: this process, the leader elsewhere, or nobody yet.

```
            seen(leader elsewhere)            lead(servicers)
  UNKNOWN ---------------------> REMOTE ---------------------> LOCAL
     ^ ^---------------------------+                             |
     |           seen(None), seen(myself)                        |
     +-----------------------------------------------------------+
                       lead(None): what was seen last counts again
```

`Roles` owns that fact for the process; the app tells it what it knows, the handlers that forward
calls read it. It cannot fail. A candidate that is elected but has not yet claimed the log sees
itself: it is UNKNOWN, so that calls wait for it instead of being refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quorate.runtime.ids import InstanceId
from scheduler.api.servicer import Servicer

Servicers = Mapping[str, Servicer]
"""By the full name of the gRPC service that each answers."""


@dataclass(frozen=True, slots=True)
class Leader:
    """A candidate that leads, as its key in the election says.

    `elected` is the key's `create_revision`; `lease` is the lease under which the key lives.
    """

    key: bytes
    elected: int
    lease: int
    name: str
    instance: InstanceId
    address: str


@dataclass(frozen=True, slots=True)
class Local:
    """This process leads: its servicers answer."""

    servicers: Servicers


@dataclass(frozen=True, slots=True)
class Remote:
    """Another process leads, at `address` (host:port)."""

    address: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody is known to lead."""


Role = Local | Remote | Unknown


class Roles:
    """The role of this process, and word of its changes.

    Args:
        instance: this process's instance id.
    """

    def __init__(self, instance: InstanceId) -> None:
        self._instance = instance
        self._servicers: Servicers | None = None
        self._leader: Leader | None = None
        self._role: Role = Unknown()
        self._changed = asyncio.Event()
        self._subscribers: list[Callable[[Role], None]] = []

    @property
    def role(self) -> Role:
        """The role now."""
        return self._role

    @property
    def leader(self) -> Leader | None:
        """Who leads, as far as the election shows."""
        return self._leader

    def lead(self, servicers: Servicers | None) -> None:
        """This process leads from now on and `servicers` answer; None: it does no longer."""
        self._servicers = servicers
        self._update()

    def seen(self, leader: Leader | None) -> None:
        """The election says that `leader` leads; None: nobody."""
        self._leader = leader
        self._update()

    def subscribe(self, callback: Callable[[Role], None]) -> None:
        """Call `callback` with each new role, for the life of this object. It must not raise."""
        self._subscribers.append(callback)

    async def other_than(self, role: Role) -> Role:
        """Wait until the role is not `role`; the new one."""
        while self._role == role:
            await self._changed.wait()
        return self._role

    def _update(self) -> None:
        role: Role
        if self._servicers is not None:
            role = Local(self._servicers)
        elif self._leader is None or self._leader.instance == self._instance:
            role = Unknown()
        else:
            # Without an address when something else than a scheduler stands for election.
            role = Remote(self._leader.address) if self._leader.address else Unknown()
        if role == self._role:
            return
        self._role = role
        # Everybody who waits holds the old event; later comers get the new one.
        self._changed.set()
        self._changed = asyncio.Event()
        for callback in self._subscribers:
            callback(role)
