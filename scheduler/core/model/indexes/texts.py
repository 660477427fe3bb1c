"""What a search for tasks looks in: short texts in lower case, kept with the rows. Pure.

Memory: at most `LONGEST` characters a task, as many more for one that failed. Tasks alike that come
one behind the other share theirs (`State.new_row`), so a map of a million costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from quorate.runtime.ids import TaskId

# Characters.
LONGEST: Final = 200
# As many characters of a word are not in an id by chance: "page 12" is not about ids.
OF_ID: Final = 6


def task_text(name: str, work: str, labels: Mapping[str, str]) -> str:
    """How a task is found by what its creator said.

    Args:
        name: for people; may be empty.
        work: the program or function.
    """
    text = f"{name}\n{work}" if name else work
    if labels:
        text = "\n".join((text, *(f"{key}={labels[key]}" for key in sorted(labels))))
    return text[:LONGEST].lower()


def run_text(text: str, schedule: str) -> str:
    """How a run of a schedule is found: as its task, and by `schedule=<name>`."""
    return f"{text}\nschedule={schedule}".lower()


def error_text(error_type: str, message: str) -> str:
    """How a task is found by the error that it failed with."""
    return f"{error_type}\n{message[:LONGEST]}"[:LONGEST].lower()


def words(text: str) -> tuple[str, ...]:
    """What a search for `text` looks for: each word once, the longest first: few tasks have it."""
    return tuple(sorted(dict.fromkeys(text.lower().split()), key=len, reverse=True))


def found(wanted: Iterable[str], task: TaskId, text: str) -> bool:
    """Whether each of the words is in the task's text, or is `OF_ID` characters of its id."""
    for word in wanted:  # a generator would take twice the time, of a million tasks
        if word not in text and (len(word) < OF_ID or word not in task):
            return False
    return True
