"""Which instance gets a request. Pure: candidates and randomness in, a choice out.

A `Balancer` is made for one set of candidates and dropped when the set changes, so whatever it
prepares (cumulative weights, a hash ring) is bounded by the set. A candidate that has as many
requests as its breaker allows, or that this request has already tried, is passed over; when that
leaves none there is no choice.

least request  the less busy of two drawn by weight (Mitzenmacher, "The Power of Two Choices")
round robin    each in turn
weighted       in proportion to weight, by an additive recurrence: even also over few requests
hash           consistent: a ring of points, the next point's instance (Karger et al., 1997)
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Final, Protocol, TypeVar

from quorate.v1 import service_pb2 as pb

Random = Callable[[], float]
"""Uniform in [0, 1)."""

# Ring points of an instance with weight 1, of one instance at most, and of all together.
POINTS: Final = 64
MAX_POINTS: Final = 1_024
MAX_RING: Final = 65_536
# The fractional part of the golden ratio: its multiples are spread evenly modulo 1.
_GOLDEN: Final = 0.6180339887498949


class Candidate(Protocol):
    """What a choice needs to know of an instance."""

    @property
    def id(self) -> str: ...

    @property
    def weight(self) -> int: ...

    in_flight: int


C = TypeVar("C", bound=Candidate)


class Balancer(Protocol[C]):
    """Chooses among the candidates it was made for."""

    def pick(self, key: bytes | None, avoid: Collection[C], breaker: int) -> C | None:
        """A candidate, or None when none may be chosen.

        Args:
            key: what the consistent hash is of; None when the request has none.
            avoid: those already tried; looked through once for each request.
            breaker: requests in flight at which a candidate is passed over.
        """
        ...


def balancer(balancing: int, candidates: Sequence[C], random: Random) -> Balancer[C]:
    """The balancer of a `pb.Balancing` for `candidates`; unknown ones are LEAST_REQUEST."""
    if balancing == pb.BALANCING_ROUND_ROBIN:
        return RoundRobin(candidates, random)
    if balancing == pb.BALANCING_WEIGHTED:
        return Weighted(candidates, random)
    if balancing == pb.BALANCING_CONSISTENT_HASH:
        return HashRing(candidates, random)
    return LeastRequest(candidates, random)


def _open_ones(candidates: Sequence[C], avoid: Collection[C], breaker: int) -> list[C]:
    return [one for one in candidates if one.in_flight < breaker and one not in avoid]


class LeastRequest(Balancer[C]):
    """Power of two choices, by requests in flight for each unit of weight."""

    def __init__(self, candidates: Sequence[C], random: Random) -> None:
        self._candidates = candidates
        self._random = random
        weights = [one.weight for one in candidates]
        self._even = len(set(weights)) <= 1
        self._cumulative = list(accumulate(weights))

    def pick(self, key: bytes | None, avoid: Collection[C], breaker: int) -> C | None:
        candidates = self._candidates
        count = len(candidates)
        if avoid or count < 2:
            return self._careful(avoid, breaker)
        if self._even:
            draw = self._random() * count
            at = int(draw)
            one = candidates[at]
            # What the first draw has left over decides the second: any of the others.
            other = candidates[(at + 1 + int((draw - at) * (count - 1))) % count]
            best = other if other.in_flight < one.in_flight else one
        else:
            one, other = self._draw(), self._draw()
            best = other if other.in_flight * one.weight < one.in_flight * other.weight else one
        return best if best.in_flight < breaker else self._careful(avoid, breaker)

    def _draw(self) -> C:
        total = self._cumulative[-1]
        return self._candidates[bisect_right(self._cumulative, self._random() * total)]

    def _careful(self, avoid: Collection[C], breaker: int) -> C | None:
        """The same by looking at all of them."""
        return _two_choices(_open_ones(self._candidates, avoid, breaker), self._random)


def _two_choices(candidates: Sequence[C], random: Random) -> C | None:
    if not candidates:
        return None
    one = candidates[int(random() * len(candidates))]
    other = candidates[int(random() * len(candidates))]
    return other if other.in_flight * one.weight < one.in_flight * other.weight else one


class RoundRobin(Balancer[C]):
    """Each in turn, beginning anywhere so that several gateways do not march in step."""

    def __init__(self, candidates: Sequence[C], random: Random) -> None:
        self._candidates = candidates
        self._next = int(random() * len(candidates)) if candidates else 0

    def pick(self, key: bytes | None, avoid: Collection[C], breaker: int) -> C | None:
        candidates = self._candidates
        for _ in range(len(candidates)):
            one = candidates[self._next % len(candidates)]
            self._next += 1
            if one.in_flight < breaker and one not in avoid:
                return one
        return None


class Weighted(Balancer[C]):
    """In proportion to weight."""

    def __init__(self, candidates: Sequence[C], random: Random) -> None:
        self._candidates = candidates
        self._cumulative = list(accumulate(one.weight for one in candidates))
        self._at = random()
        self._random = random

    def pick(self, key: bytes | None, avoid: Collection[C], breaker: int) -> C | None:
        if not self._candidates:
            return None
        self._at = (self._at + _GOLDEN) % 1.0
        total = self._cumulative[-1]
        one = self._candidates[bisect_right(self._cumulative, self._at * total)]
        if one.in_flight < breaker and one not in avoid:
            return one
        left = _open_ones(self._candidates, avoid, breaker)
        if not left:
            return None
        cumulative = list(accumulate(other.weight for other in left))
        return left[bisect_right(cumulative, self._at * cumulative[-1])]


class HashRing(Balancer[C]):
    """The same instance for the same key while it is a candidate; others' keys do not move.

    Requests without a key are spread by two choices.
    """

    def __init__(self, candidates: Sequence[C], random: Random) -> None:
        self._candidates = candidates
        self._random = random
        wanted = [min(MAX_POINTS, POINTS * one.weight) for one in candidates]
        share = min(1.0, MAX_RING / max(1, sum(wanted)))
        ring = [
            (point, at)
            for at, one in enumerate(candidates)
            for point in _points(one.id, max(1, int(wanted[at] * share)))
        ]
        ring.sort()
        self._points = [point for point, _ in ring]
        self._owners = [at for _, at in ring]

    def pick(self, key: bytes | None, avoid: Collection[C], breaker: int) -> C | None:
        if key is None or not self._points:
            return _two_choices(_open_ones(self._candidates, avoid, breaker), self._random)
        start = bisect_right(self._points, _hash(key))
        count = len(self._points)
        seen: set[int] = set()
        for step in range(count):
            owner = self._owners[(start + step) % count]
            if owner in seen:
                continue
            one = self._candidates[owner]
            if one.in_flight < breaker and one not in avoid:
                return one
            seen.add(owner)
            if len(seen) == len(self._candidates):
                break
        return None


def _hash(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def _points(identity: str, count: int) -> list[int]:
    """`count` places on the ring; the first ones are the same for any count."""
    found: list[int] = []
    for block in range(-(-count // 8)):
        digest = hashlib.blake2b(f"{identity}#{block}".encode(), digest_size=64).digest()
        found += struct.unpack(">8Q", digest)
    return found[:count]
