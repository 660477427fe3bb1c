"""Which scheduler to ask next: the rules of failover, without any I/O.

Any scheduler serves; a standby forwards to the leader at the price of one more hop. So the leader
is preferred once it is known, and after a failure the other addresses are tried in turn. One that
refuses costs nothing; one that says nothing (frozen, or cut off) costs a deadline, so it is left
alone for `SILENCE` seconds as long as there is any other.

Not thread-safe: the caller holds a lock (`calls`) or lives in one event loop (`acalls`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Protocol

SILENCE = 15.0
# How many addresses the cluster may teach us beside those given.
_MOST_LEARNED = 8


class Replica(Protocol):
    """A scheduler as the cluster names it (`quorate.v1.SchedulerReplica`)."""

    @property
    def address(self) -> str:
        """host:port."""

    @property
    def leader(self) -> bool:
        """Whether it leads."""


class Endpoints:
    """The addresses of one cluster."""

    def __init__(self, addresses: Sequence[str]) -> None:
        assert addresses
        self._given = list(dict.fromkeys(addresses))
        self._learned: list[str] = []
        self._leader: str | None = None
        # Until when (monotonic seconds) an address is left alone.
        self._silent: dict[str, float] = {}
        self._next = 0
        self._answers = 0

    @property
    def all(self) -> list[str]:
        """Every address that may be tried."""
        return self._given + self._learned

    def pick(self, now: float) -> str:
        """Whom to ask now (`now`: monotonic seconds)."""
        if self._leader is not None:
            return self._leader
        addresses = self.all
        start = self._next % len(addresses)
        turn = addresses[start:] + addresses[:start]
        return next((one for one in turn if self._silent.get(one, now) <= now), turn[0])

    def on_failure(self, address: str, *, silent: bool, now: float) -> None:
        """`address` did not serve: another one is next, and the leader is unknown again.

        `silent`: it did not even refuse.
        """
        self._answers = 0
        if silent:
            self._silent[address] = now + SILENCE
        addresses = self.all
        if address == self._leader:
            self._leader = None
        if address == addresses[self._next % len(addresses)]:
            self._next = (self._next + 1) % len(addresses)

    def on_answer(self, address: str) -> bool:
        """`address` answered. True when it is time to ask who leads.

        Not at the first answer: a program that makes a single call gains nothing from knowing.
        """
        self._answers += 1
        self._silent.pop(address, None)
        return self._leader is None and (self._answers == 2 or self._answers % 1000 == 0)

    def unproven(self, schedulers: Iterable[Replica]) -> list[str]:
        """Addresses that the cluster names and nobody gave us: each has to answer before it is
        used, since it may lie in another network than this process."""
        known = set(self.all)
        return [one.address for one in schedulers if one.address not in known]

    def on_cluster(self, schedulers: Iterable[Replica], proven: Container[str]) -> None:
        """The cluster named its schedulers; of `unproven` those in `proven` answered."""
        known = set(self.all)
        leader, reachable = "", []
        for one in schedulers:
            if one.address in known or one.address in proven:
                reachable.append(one.address)
            if one.leader:
                leader = one.address
        self.on_leader(leader, reachable)

    def on_leader(self, address: str, reachable: Sequence[str]) -> None:
        """The cluster named its leader, and `reachable` (its other addresses) answered."""
        known = set(self._given)
        self._learned = [a for a in dict.fromkeys(reachable) if a not in known][:_MOST_LEARNED]
        if (address in known or address in self._learned) and address not in self._silent:
            self._leader = address
