"""`quorate top`: a live view of queues, nodes, jobs and running tasks.

One thread asks the cluster, at most once a second, and keeps the two newest samples; the main
thread draws on a key, a sample or a new size of the terminal, and every two seconds. While no
leader answers, the last sample stays with a line that says so.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.live import Live

from quorate.cli.common import with_client
from quorate.cli.output import render
from quorate.cli.top.keys import Keyboard
from quorate.cli.top.panels import HIDDEN, panels
from quorate.cli.top.sample import Rates, Sample, rates, take
from quorate.cli.top.screen import Screen, header
from quorate.cli.top.view import View, pressed
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError

# Seconds. Faster than this, the view would be a load of its own.
_LEAST_INTERVAL: Final = 1.0
# Seconds that an answer may take before the view says that there is none.
_LATE: Final = 2.0
# Seconds that ending waits for a call under way, which closing the client ends.
_PATIENCE: Final = 5.0
# Characters; as of other tables that are not read in a terminal.
_PIPED_WIDTH: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known: the newest sample, the one before it, and why there is none since."""

    sample: Sample
    before: Sample | None = None
    error: str = ""

    def rates(self) -> Rates:
        return rates(self.before, self.sample)

    def trouble(self, now: float, interval: float) -> str:
        """Why the picture is old; empty while it is not. A call that hangs has no error yet."""
        age = now - self.sample.at
        if not self.error and age < interval + _LATE:
            return ""
        return f"No answer for {render.seconds(age)}. {self.error}".rstrip()


class _Poller:
    """Asks the cluster every `interval` seconds in a thread; calls `notify` after each time."""

    def __init__(
        self, client: Client, first: Sample, interval: float, notify: Callable[[], None]
    ) -> None:
        self.seen = _Seen(first)
        self._client = client
        self._interval = interval
        self._notify = notify
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quorate-top", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def refresh(self) -> None:
        """Ask as soon as a second has passed since the last time."""
        self._wanted.set()

    def stop(self) -> None:
        """End the thread; closes the client, which ends a call under way."""
        self._stopped.set()
        self._wanted.set()
        self._client.close()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._stopped.wait(_LEAST_INTERVAL):
            self._wanted.wait(self._interval - _LEAST_INTERVAL)
            self._wanted.clear()
            if self._stopped.is_set():
                return
            try:
                self.seen = _Seen(take(self._client), self.seen.sample)
            except QuorateError as error:
                self.seen = _Seen(self.seen.sample, self.seen.before, error.message)
            self._notify()


@with_client
def top(
    client: Client,
    once: Annotated[
        bool, typer.Option("--once", help="Print the view once, whole, and exit.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            "-d",
            metavar="SECONDS",
            min=_LEAST_INTERVAL,
            help="Time between two refreshes, in seconds.",
        ),
    ] = 1.0,
) -> None:
    """Show queues, nodes, unfinished jobs and running tasks, live.

    Keys: q quits, h shows all keys, Tab chooses a panel, < and > choose the column to sort it by, R
    reverses the order, arrows scroll, Z freezes the picture.

    DONE/S is the number of tasks that finished per second, and SUBTASKS/S that of a job's subtasks,
    both since the refresh before. At most 500 running tasks are listed, the newest ones.
    """
    first = take(client)
    if once:
        _print(first)
        return
    if not (sys.stdin.isatty() and render.out.is_terminal):
        raise typer.BadParameter("a terminal is required; --once prints into a pipe or a file")
    _live(client, first, interval)


def _print(sample: Sample) -> None:
    """The whole of one sample."""
    nothing, view = Rates({}, {}), View()
    width = render.out.width if render.out.is_terminal else _PIPED_WIDTH
    for line in header(sample, nothing, "", view, width):
        render.show(line)
    for panel in panels(sample, nothing, view):
        render.show("")
        render.show(panel.title)
        if panel.name in sample.hidden:
            render.show(HIDDEN)
        elif panel.rows:
            render.show(panel.listing(panel.rows, 0))


def _live(client: Client, first: Sample, interval: float) -> None:
    """Draw until somebody quits."""
    view = View()
    # The next round is the next try; and whoever quits waits for none.
    client.calls.retry_for = 0.0
    with _wakes() as (woken, wake), Keyboard(sys.stdin.fileno()) as keyboard:
        poller = _Poller(client, first, interval, wake)
        poller.start()
        try:
            live = Live(console=render.out, screen=True, auto_refresh=False, transient=True)
            with live:
                shown = poller.seen
                while not view.quit:
                    if not view.frozen:
                        shown = poller.seen
                    trouble = shown.trouble(time.monotonic(), interval)
                    screen = Screen(
                        shown.sample, shown.rates(), view, "" if view.frozen else trouble
                    )
                    live.update(screen, refresh=True)
                    ready, _, _ = select.select([keyboard.descriptor, woken], [], [], _LATE)
                    if woken in ready and b"q" in os.read(woken, 4096):
                        return
                    if keyboard.descriptor in ready:
                        rows = {p.name: p.rows for p in panels(shown.sample, shown.rates(), view)}
                        for key in keyboard.read():
                            view = pressed(view, key, rows)
                            if view.refresh:
                                poller.refresh()
        except KeyboardInterrupt:
            # As in top: a way to quit like any other.
            return
        finally:
            poller.stop()


@contextmanager
def _wakes() -> Iterator[tuple[int, Callable[[], None]]]:
    """A descriptor that becomes readable, and what makes it so: also a new size of the terminal.

    Signals that end a program quit like the key, so that the terminal is left as it was. So does
    Ctrl-C where a shell had it ignored.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def wake(word: bytes = b".") -> None:
        # A full pipe wakes as well.
        with suppress(BlockingIOError):
            os.write(writer, word)

    def on_signal(number: int, frame: Any) -> None:
        del frame
        wake(b"q" if number in ends else b".")

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    names = (signal.SIGWINCH, signal.SIGCONT, *ends)
    before = {name: signal.signal(name, on_signal) for name in names}
    try:
        yield reader, wake
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        os.close(reader)
        os.close(writer)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)
