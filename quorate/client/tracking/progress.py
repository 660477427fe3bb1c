"""What a task says of its progress. The worker that runs the task registers where it goes."""

from __future__ import annotations

from typing import Protocol

from quorate.runtime.attempts.progress import clean_fraction, clean_text


class Host(Protocol):
    """The worker process that this code runs in."""

    def report(self, fraction: float | None, text: str) -> None:
        """Keep the newest progress of the call that runs."""


_host: Host | None = None


def register(host: Host | None) -> None:
    """This process is a worker from now on; None: it is none."""
    global _host
    _host = host


def progress(fraction: float | None, text: str = "") -> None:
    """Say how far the running task is, as `quorate.progress(0.4, "epoch 4 of 10")`.

    It takes a few microseconds and never blocks: call it as often as you like. The cluster shows
    the newest one, at most 4 times a second. Outside of a task, and in a subtask of an array, it
    does nothing.

    Args:
        fraction: 0 to 1, what is outside counts as 0 or 1; None or NaN: not known.
        text: for people; one line of 256 characters, what is longer is cut.

    Raises TypeError: `fraction` is no number, or `text` is no text.
    """
    value = None if fraction is None else clean_fraction(float(fraction))
    if not isinstance(text, str):
        raise TypeError(f"the text of a progress is a str, not {type(text).__name__}")
    if _host is not None:
        _host.report(value, clean_text(text))
