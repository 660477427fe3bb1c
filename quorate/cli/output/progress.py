"""Progress bars with rate and time left, on standard error so that results can be piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from quorate.cli.output.render import hint
from quorate.client.client import Client
from quorate.client.tracking.ledger import Outcome
from quorate.v1 import task_pb2


class _Rate(TextColumn):
    """Items a second, over the bar's recent history."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="cyan")


def bar(console: Console) -> Progress:
    """A progress bar in the house style; it disappears when done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # Results go where standard output goes, not to the bar's terminal.
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )


class MapProgress:
    """Prints results and moves the bar. When both go to one terminal, the bar stays below."""

    def __init__(self, progress: Progress | None, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._shared = progress is not None and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """A sentence for the person in front of the bar."""
        if self._progress is None:
            hint(text)
        else:
            self._progress.console.print(text, style="dim", markup=False, soft_wrap=True)

    def print(self, line: str) -> None:
        """One result."""
        if self._progress is None:
            sys.stdout.write(line + "\n")
            return
        if self._shared:
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            sys.stdout.write(line + "\n")
        self._progress.advance(self._task)


@contextmanager
def map_progress(total: int | None, *, quiet: bool) -> Iterator[MapProgress]:
    """A bar for a map of `total` items (None: nobody knows)."""
    console = Console(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield MapProgress(None, TaskID(0))
        sys.stdout.flush()
        return
    with bar(console) as progress:
        yield MapProgress(progress, progress.add_task("items", total=total))
    sys.stdout.flush()


@contextmanager
def paused(progress: Progress | None) -> Iterator[None]:
    """Take a bar away while something else is written to its terminal."""
    if progress is None:
        yield
        return
    progress.stop()
    try:
        yield
    finally:
        progress.start()


def wait_for_all(
    client: Client,
    ids: Sequence[str],
    queue: str,
    timeout: float | None,
    show: Callable[[task_pb2.Task, Progress], None],
) -> dict[str, task_pb2.Task]:
    """Wait for many tasks of one queue with a bar; what finished within `timeout` seconds.

    `show` is called with each of them and the bar, one after the other in this thread, as they
    finish. Raises the error when an outcome cannot be had, after the others.
    """
    # At most as many as there are tasks.
    arrived: SimpleQueue[Outcome] = SimpleQueue()
    finished: dict[str, task_pb2.Task] = {}
    failure: BaseException | None = None
    client.tracker(queue).attend(ids, [arrived.put] * len(ids))
    end = None if timeout is None else time.monotonic() + timeout
    with bar(Console(stderr=True, highlight=False)) as progress:
        line = progress.add_task("tasks", total=len(ids))
        for _ in ids:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                outcome = arrived.get(timeout=left)
            except Empty:
                break
            progress.advance(line)
            if isinstance(outcome, BaseException):
                failure = outcome
            else:
                finished[outcome.id] = outcome
                show(outcome, progress)
    if failure is not None:
        raise failure
    return finished
