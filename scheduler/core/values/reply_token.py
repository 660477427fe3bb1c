"""Callers that wait for an answer, as the core sees them: it passes them on in a `Reply`."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T", contravariant=True)


class Pending(Protocol[T]):
    """What waits for an answer of one type; an `asyncio.Future` is one."""

    def done(self) -> bool: ...

    def set_result(self, result: T, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...
