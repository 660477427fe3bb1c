"""How much one caller may ask: calls a second, and streams at the same time.

`CallerLimits` owns one small record for each caller that was seen of late, at most `MOST_CALLERS`:
beyond that the one that was silent longest is forgotten, and begins anew with a full bucket. The
cluster's own processes (schedulers, gateways, nodes) are not limited: they speak for many.

Past a limit the answer is RESOURCE_EXHAUSTED, nothing was done, and `google.rpc.RetryInfo` says how
long to wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from quorate.runtime.errors import QuorateError, exhausted
from quorate.security.identity import Caller, Role

MOST_CALLERS: Final = 10_000
# Seconds of its rate that a caller may ask at once.
BURST: Final = 2.0
# Seconds to wait for a stream to end: nobody knows when one will.
_STREAM_DELAY: Final = 1.0
_UNLIMITED: Final = frozenset((Role.SCHEDULER, Role.GATEWAY, Role.NODE))


class Bucket:
    """A token bucket that holds `most` and is refilled by `rate` a second."""

    __slots__ = ("_left", "_most", "_rate", "_seen")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._seen = now

    def take(self, now: float) -> float:
        """Take one: 0, or the seconds until there is one."""
        left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if left < 1:
            self._left = left
            return (1 - left) / self._rate
        self._left = left - 1
        return 0.0


@dataclass(slots=True)
class _Use:
    bucket: Bucket
    streams: int = 0


class CallerLimits:
    """The limits of all callers of one process.

    Args:
        rate: calls a second, with bursts of two seconds' worth; 0 for no limit.
        streams: streams at the same time; 0 for no limit.
        monotonic: seconds.
    """

    def __init__(self, rate: float, streams: int, *, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._streams = streams
        self._monotonic = monotonic
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    def begin(self, caller: Caller, *, stream: bool) -> Callable[[], None] | None:
        """Count a call; what to call when a stream is over. Raises QuorateError."""
        if caller.role in _UNLIMITED:
            return None
        use = self._use(str(caller))
        if self._rate and (wait := use.bucket.take(self._monotonic())):
            raise _too_much(
                "CALL_RATE_EXCEEDED",
                f"{caller} calls more than {self._rate:g} times a second",
                self._rate,
                wait,
            )
        if not stream:
            return None
        if self._streams and use.streams >= self._streams:
            raise _too_much(
                "TOO_MANY_STREAMS",
                f"{caller} has {use.streams} streams open, the most there may be",
                self._streams,
                _STREAM_DELAY,
            )
        use.streams += 1

        def end() -> None:
            use.streams -= 1

        return end

    def _use(self, key: str) -> _Use:
        use = self._uses.get(key)
        if use is not None:
            self._uses.move_to_end(key)
            return use
        if len(self._uses) >= MOST_CALLERS:
            self._uses.popitem(last=False)
        now = self._monotonic()
        use = self._uses[key] = _Use(Bucket(self._rate, max(1.0, self._rate * BURST), now))
        return use


def _too_much(reason: str, message: str, limit: float, wait: float) -> QuorateError:
    error = exhausted(reason, message, limit=f"{limit:g}")
    error.retry_delay = wait
    return error
