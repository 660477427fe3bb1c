"""Which scheduler to ask next: the rules of failover, without any I/O.

Any scheduler serves; a standby forwards to the leader at the price of one more hop. So the leader
is preferred once it is known, and after a failure the other addresses are tried in turn.

Not thread-safe: the caller holds a lock (`calls`) or lives in one event loop (`acalls`).
"""

from __future__ import annotations

from collections.abc import Sequence

# How many addresses the cluster may teach us beside those given.
_MOST_LEARNED = 8


class Endpoints:
    """The addresses of one cluster."""

    def __init__(self, addresses: Sequence[str]) -> None:
        assert addresses
        self._given = list(dict.fromkeys(addresses))
        self._learned: list[str] = []
        self._leader: str | None = None
        self._next = 0
        self._answers = 0

    @property
    def all(self) -> list[str]:
        """Every address that may be tried."""
        return self._given + self._learned

    def pick(self) -> str:
        """Whom to ask now."""
        if self._leader is not None:
            return self._leader
        addresses = self.all
        return addresses[self._next % len(addresses)]

    def on_failure(self, address: str) -> None:
        """`address` did not answer: another one is next, and the leader is unknown again."""
        self._answers = 0
        addresses = self.all
        if address == self._leader:
            self._leader = None
        if address == addresses[self._next % len(addresses)]:
            self._next = (self._next + 1) % len(addresses)

    def on_answer(self) -> bool:
        """Somebody answered. True when it is time to ask who leads.

        Not at the first answer: a program that makes a single call gains nothing from knowing.
        """
        self._answers += 1
        return self._leader is None and (self._answers == 2 or self._answers % 1000 == 0)

    def on_leader(self, address: str, reachable: Sequence[str]) -> None:
        """The cluster named its leader, and `reachable` (its other addresses) answered."""
        known = set(self._given)
        self._learned = [a for a in dict.fromkeys(reachable) if a not in known][:_MOST_LEARNED]
        if address in known or address in self._learned:
            self._leader = address
