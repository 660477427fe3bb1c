"""What the drills' tasks do. Runs in workers of the agents; imports nothing of the project.

Every start of an attempt is one line, written by one `write` to one file that all share, so that
the lines say who really ran, when and how often, whatever the records say.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_LOOK_EVERY = 0.01


def stamp(path: str, seconds: float = 0.0) -> int:
    """Say that this attempt starts, and take some time; its number."""
    task, attempt = os.environ["QUORATE_TASK_ID"], os.environ["QUORATE_ATTEMPT"]
    line = f"{task} {attempt} {time.time_ns()} {os.getpid()} {os.environ['QUORATE_NODE']}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    if seconds:
        time.sleep(seconds)
    return int(attempt)


def hold(path: str, gates: str) -> int:
    """Say that this attempt starts, and run until a gate is opened for it, or for all."""
    number = stamp(path)
    one = Path(gates) / f"{os.environ['QUORATE_TASK_ID']}.{number}"
    everyone = Path(gates) / "all"
    while not (one.exists() or everyone.exists()):
        time.sleep(_LOOK_EVERY)
    return number


def note(index: int, path: str) -> int:
    """Say that this subtask of an array runs; its index."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{index} {os.environ['QUORATE_NODE']}\n".encode())
    finally:
        os.close(file)
    return index
