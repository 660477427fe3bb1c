"""Tokens of callers for tests of the core, which passes them on and asks nothing of them."""

from __future__ import annotations


class Token(str):
    """A caller by name: equal to that name."""

    def done(self) -> bool:
        return False

    def set_result(self, result: object, /) -> None:
        raise AssertionError(f"{self}: the core answers by effects")

    def set_exception(self, exception: BaseException, /) -> None:
        raise AssertionError(f"{self}: the core answers by effects") from exception
