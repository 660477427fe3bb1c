"""How much one caller may ask at a time: calls a second, open watches, waits and streams.

`CallerLimits` is asked before a request is parsed or anything is awaited. It owns one small record
for each caller that was seen of late, at most `MOST_CALLERS`: beyond that the one that was silent
longest is forgotten, and begins anew with a full bucket. The limits of each caller are looked up
again once a second, so that an admin can change them. The cluster's own processes (schedulers,
gateways, nodes) are not limited: they speak for many. Callers without a name, where authentication
is off, are one caller, `ANONYMOUS`.

Past a limit the answer is RESOURCE_EXHAUSTED, nothing was done, its metadata names the quota, the
limit and the usage, and `google.rpc.RetryInfo` says how long to wait. The answer itself comes a
second later (`hold_back`), and no more than `REJECTIONS_A_SECOND` of one caller: one that repeats
refused calls at once would take the server's time from all others.

Large requests are read one after the other (`reading`) once a caller has `LARGE_AT_ONCE` bytes of
them under way, or had as many refused of late: reading one takes the server's loop for a
millisecond per MiB, whatever becomes of it. gRPC's flow control holds the rest at its sender.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from quorate.runtime.errors import QuorateError, exhausted
from quorate.runtime.ids import ANONYMOUS
from quorate.runtime.quotas import UNLIMITED
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.security.identity import Caller, Role

MOST_CALLERS: Final = 10_000
# Seconds of its rate that a caller may ask at once.
BURST: Final = 2.0
# Seconds to wait for a stream to end: nobody knows when one will.
_STREAM_DELAY: Final = 1.0
# Seconds after which a refusal is answered, how many of one caller are in a second, and how many
# of all callers wait for it: 17 KB each. A caller that repeats each refused call costs the server
# 0.2 ms for each of these.
HELD_FOR: Final = 1.0
REJECTIONS_A_SECOND: Final = 20
MOST_HELD: Final = 10_000
# Bytes of a request that counts as large; of a caller's large ones that are not answered yet or
# were refused, and how many of the refused are forgotten a second.
LARGE: Final = 1 << 20
LARGE_AT_ONCE: Final = 64 << 20
LARGE_A_SECOND: Final = 2 << 20
# Seconds between two looks whether the next one may be read.
_LOOK: Final = 0.05
# Seconds for which the limits of a caller are known.
_KNOWN_FOR: Final = 1.0
_UNLIMITED_ROLES: Final = frozenset((Role.SCHEDULER, Role.GATEWAY, Role.NODE))


class Kind(IntEnum):
    """What a call holds while it lasts."""

    STREAM = 0
    WATCH = 1
    WAIT = 2
    # Nothing worth counting.
    CALL = 3


class CallLimits(NamedTuple):
    """The limits of one caller; `UNLIMITED` where there is none."""

    requests_per_second: float = UNLIMITED
    open_streams: int = UNLIMITED
    open_watches: int = UNLIMITED
    open_waits: int = UNLIMITED


class CallUsage(NamedTuple):
    """What one caller uses: calls of the last full second, and what is open."""

    requests_per_second: int = 0
    open_streams: int = 0
    open_watches: int = 0
    open_waits: int = 0


# By kind: the quota, the reason of a refusal.
_OPEN: Final = (
    ("open_streams", "TOO_MANY_STREAMS"),
    ("open_watches", "TOO_MANY_WATCHES"),
    ("open_waits", "TOO_MANY_WAITERS"),
)
_KINDS: Final[Mapping[str, Kind]] = {
    "/quorate.v1.Scheduler/WaitTask": Kind.WAIT,
    "/quorate.v1.Scheduler/WaitJob": Kind.WAIT,
    "/quorate.v1.Scheduler/WatchTasks": Kind.WATCH,
    "/quorate.v1.Scheduler/WatchJobs": Kind.WATCH,
    "/quorate.v1.ServiceRegistry/WatchServices": Kind.WATCH,
}


def kind_of(path: str, *, streams: bool) -> Kind:
    """What a call of the RPC at this path holds."""
    return _KINDS.get(path, Kind.STREAM if streams else Kind.CALL)


@dataclass(slots=True)
class _Use:
    limits: CallLimits
    # None: calls are not limited.
    bucket: TokenBucket | None
    # Until when the limits are known.
    until: float
    open: list[int] = field(default_factory=lambda: [0, 0, 0])
    second: int = 0
    calls: int = 0
    calls_before: int = 0
    # When the next refusal is answered.
    rejection: float = 0.0
    # Bytes of large requests, as of a time; who wants to read while they are too many takes turns.
    large: float = 0.0
    large_at: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def count(self, now: float) -> None:
        second = int(now)
        if second != self.second:
            self.calls_before = self.calls if second == self.second + 1 else 0
            self.second, self.calls = second, 0
        self.calls += 1


class CallerLimits:
    """The limits of all callers of one process.

    Args:
        limits_of: the limits of a caller by name, `<role>:<name>` or `ANONYMOUS`.
        monotonic: seconds.
    """

    def __init__(
        self, limits_of: Callable[[str], CallLimits], *, monotonic: Callable[[], float]
    ) -> None:
        self._limits_of = limits_of
        self._monotonic = monotonic
        self._uses: OrderedDict[str, _Use] = OrderedDict()
        self._held = 0
        self.refused: dict[str, int] = {}
        """Refusals since the process began, by quota."""

    def begin(self, caller: Caller | None, kind: Kind) -> Callable[[], None] | None:
        """Count a call of a caller (None: the anonymous one).

        Returns what to call when it is over; None when there is no need. Raises QuorateError.
        """
        if caller is None:
            name = ANONYMOUS
        elif caller.role in _UNLIMITED_ROLES:
            return None
        else:
            name = str(caller)
        now = self._monotonic()
        use = self._use(name, now)
        use.count(now)
        if use.bucket is not None and (wait := use.bucket.take(now)):
            limit = use.limits.requests_per_second
            raise self._too_much(
                "CALL_RATE_EXCEEDED",
                "requests_per_second",
                name,
                f"calls more than {limit:g} times a second",
                limit,
                use.calls_before,
                wait,
            )
        if kind is Kind.CALL:
            return None
        quota, reason = _OPEN[kind]
        limit, used = use.limits[kind + 1], use.open[kind]
        if 0 <= limit <= used:
            what = quota.removeprefix("open_")
            raise self._too_much(
                reason,
                quota,
                name,
                f"has {used} {what} open, the most there may be",
                limit,
                used,
                _STREAM_DELAY,
            )
        use.open[kind] += 1

        def end() -> None:
            use.open[kind] -= 1

        return end

    async def hold_back(self, caller: Caller | None) -> None:
        """Wait before a call is refused, unless `MOST_HELD` wait already."""
        use = self._uses.get(ANONYMOUS if caller is None else str(caller))
        if use is None or self._held >= MOST_HELD:
            return
        now = self._monotonic()
        # Those that came together are not answered together: they would come again together.
        use.rejection = max(now + HELD_FOR, use.rejection + 1 / REJECTIONS_A_SECOND)
        self._held += 1
        try:
            await asyncio.sleep(use.rejection - now)
        except asyncio.CancelledError:
            # Nobody waits for this one: those that come later need not wait for its turn.
            use.rejection -= 1 / REJECTIONS_A_SECOND
            raise
        finally:
            self._held -= 1

    async def read(self, caller: Caller | None, receive: Callable[[], Awaitable[bytes]]) -> bytes:
        """A request's bytes, once its caller may send more. Tell `answered` of a large one."""
        use = self._use_of(caller)
        if use is None:
            return await receive()
        if not use.reading.locked() and self._large(use) < LARGE_AT_ONCE:
            body = await receive()
            use.large += len(body) if len(body) > LARGE else 0
            return body
        async with use.reading:
            # Nothing signals it: time passes, and calls of the same caller end.
            while self._large(use) >= LARGE_AT_ONCE:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
            body = await receive()
            use.large += len(body) if len(body) > LARGE else 0
            return body

    def answered(self, caller: Caller | None, size: int) -> None:
        """A large request was not refused: it counts no longer."""
        use = self._use_of(caller)
        if use is not None and size > LARGE:
            use.large = max(0.0, self._large(use) - size)

    def _use_of(self, caller: Caller | None) -> _Use | None:
        """What is known of a caller with limits."""
        if caller is None:
            return self._uses.get(ANONYMOUS)
        return None if caller.role in _UNLIMITED_ROLES else self._uses.get(str(caller))

    def _large(self, use: _Use) -> float:
        now = self._monotonic()
        use.large = max(0.0, use.large - (now - use.large_at) * LARGE_A_SECOND)
        use.large_at = now
        return use.large

    def usage(self) -> dict[str, CallUsage]:
        """What callers use, of those that called in the last second or have something open."""
        second = int(self._monotonic())
        found = {}
        for name, use in self._uses.items():
            calls = {second: use.calls_before, second - 1: use.calls}.get(use.second, 0)
            if calls or any(use.open):
                found[name] = CallUsage(calls, *use.open)
        return found

    def _use(self, name: str, now: float) -> _Use:
        use = self._uses.get(name)
        if use is None:
            if len(self._uses) >= MOST_CALLERS:
                self._uses.popitem(last=False)
            limits = self._limits_of(name)
            use = self._uses[name] = _Use(limits, _bucket(limits, now), now + _KNOWN_FOR)
            return use
        self._uses.move_to_end(name)
        if now >= use.until:
            use.until = now + _KNOWN_FOR
            limits = self._limits_of(name)
            if limits.requests_per_second != use.limits.requests_per_second:
                use.bucket = _bucket(limits, now)
            use.limits = limits
        return use

    def _too_much(
        self,
        reason: str,
        quota: str,
        name: str,
        message: str,
        limit: float,
        used: int,
        wait: float,
    ) -> QuorateError:
        self.refused[quota] = self.refused.get(quota, 0) + 1
        error = exhausted(
            reason,
            f"{name} {message}: wait and repeat; an admin can raise it with "
            f'"quorate quota set --caller {name} --{quota.replace("_", "-")} N"',
            quota=quota,
            caller=name,
            limit=f"{limit:g}",
            usage=used,
        )
        error.retry_delay = wait
        return error


def _bucket(limits: CallLimits, now: float) -> TokenBucket | None:
    rate = limits.requests_per_second
    if rate == UNLIMITED:
        return None
    # A rate of 0 refuses everything; its bucket still says when to come again.
    return TokenBucket(max(rate, 1e-3), max(1.0, rate * BURST) if rate else 0.0, now)
