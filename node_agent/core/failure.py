"""Why an attempt failed, or a subtask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed; the fields of `quorate.v1.TaskError`."""

    type: str
    message: str
    traceback: str = ""
    code: int = 0
    pickle: bytes = b""
    base_types: tuple[str, ...] = ()
    # Seconds after which it is to run again, which is then no failure; 0 for none.
    snooze: float = 0.0
