"""Tasks that wait for tasks, for more than one file of tests. Workers import this module."""

from __future__ import annotations

import os
import time

import quorate


def until_there(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.01)


def parent_of_a_held_child(address: str, folder: str, number: int) -> int:
    """Leaves its worker's pid and its child's id in a file, and waits for a child."""
    with quorate.Client(address) as client:
        child = client.submit(until_there, f"{folder}/go")
        with open(f"{folder}/{number}.part", "w") as file:
            file.write(f"{os.getpid()} {child.id}")
        os.rename(f"{folder}/{number}.part", f"{folder}/{number}")
        child.result()
    return number


def wait_until_there(path: str) -> None:
    """As one that waits for another task."""
    with quorate.waiting():
        until_there(path)
