"""What a task says of its progress, for people."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.markup import escape

from quorate.cli.output.listing import one_line
from quorate.cli.output.render import err
from quorate.client.handle import TaskHandle
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2

# Seconds between two looks while somebody waits at a terminal.
_EVERY = 1.0


def progress_text(progress: task_pb2.TaskProgress) -> str:
    """As in "40 % epoch 4 of 10"."""
    share = f"{progress.fraction * 100:.0f} %" if progress.HasField("fraction") else ""
    return " ".join(filter(None, (share, one_line(progress.text))))


@contextmanager
def showing_progress(handle: TaskHandle[Any]) -> Iterator[None]:
    """A spinner with what the task says, on a terminal."""
    over = threading.Event()
    with err.status(f"task {handle.id}") as status:

        def look() -> None:
            while not over.wait(_EVERY):
                with suppress(QuorateError):
                    said = handle.progress()
                    if said is not None:
                        status.update(f"task {handle.id}  {escape(progress_text(said))}")

        thread = threading.Thread(target=look, daemon=True)
        if err.is_terminal:
            thread.start()
        try:
            yield
        finally:
            over.set()
