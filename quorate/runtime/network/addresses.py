"""`host:port` as settings, flags and records write it. One reading for every process."""

from __future__ import annotations

from typing import Final

_MOST: Final = 65_535


def split_address(text: str, *, least_port: int = 1) -> tuple[str, int]:
    """Host (an IPv6 one without its brackets) and port of `host:port`.

    Says nothing of whether the host exists. Raises ValueError: `'text' is not host:port`.

    Args:
        text: without spaces around it.
        least_port: 0 where a port is listened on, and 0 lets the kernel pick one.
    """
    host, _, port = text.rpartition(":")
    # Other scripts have digits too, and int() takes thousands of them, signs and underscores.
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not host or not least_port <= number <= _MOST:
        raise ValueError(f"{text!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), number
