"""The demo's cluster, and every process it ever had; how far the demo is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from quorate.client.transport.discovery import LocalCluster, LocalProcess, read_local_cluster
from quorate.local.child import die_with_parent

CHECKOUT = Path(__file__).resolve().parents[1]
# Seconds.
START_TIMEOUT = 90.0
STOP_TIMEOUT = 60.0
# Between lines of progress where there is no terminal to draw a bar on.
_SAY = 5.0

console = Console(highlight=False)


class DemoCluster:
    """`quorate up` in a folder of its own, and a record of every process it ever had."""

    def __init__(self, folder: Path, schedulers: int, nodes: int, slots: int) -> None:
        self.folder = folder
        self._output = (folder.parent / "up.log").open("wb")
        self._seen: set[psutil.Process] = set()
        command = [sys.executable, "-m", "quorate", "up", "--data-dir", str(folder)]
        command += ["--schedulers", str(schedulers), "--nodes", str(nodes), "--slots", str(slots)]
        self.process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches this process only; nothing outlives it, however it ends.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def wait_until_up(self) -> LocalCluster:
        """Until a leader serves and every node is registered."""
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            found = read_local_cluster(self.folder)
            if found is not None and found.ready:
                self.note_processes()
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        said = (self.folder.parent / "up.log").read_text(errors="replace").strip()
        raise SystemExit(f"demo: the cluster did not start: {said}")

    def find(self, name: str) -> LocalProcess:
        """A process by name, as cluster.json has it now."""
        return next(process for process in self.read().processes if process.name == name)

    def read(self) -> LocalCluster:
        """cluster.json as it is now."""
        found = read_local_cluster(self.folder)
        assert found is not None
        return found

    def note_processes(self) -> None:
        """Remember everything that descends from the supervisor."""
        try:
            supervisor = psutil.Process(self.process.pid)
            self._seen.update([supervisor, *supervisor.children(recursive=True)])
        except psutil.NoSuchProcess:
            return

    def stop(self) -> list[str]:
        """Stop it as Ctrl-C does; what is still running afterwards."""
        self.note_processes()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._output.close()
        return self._left_running()

    def _left_running(self) -> list[str]:
        """Processes that we saw, and any that has our folder on its command line."""
        left = {process.pid: process for process in self._seen if _alive(process)}
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or ()
            if process.pid != os.getpid() and any(str(self.folder) in word for word in words):
                left[process.pid] = process
        return [_describe(process) for process in left.values() if _alive(process)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:100]}"
    except psutil.NoSuchProcess:
        return str(process.pid)


class FileProgress:
    """A bar on a terminal; elsewhere a line every five seconds."""

    def __init__(self, what: str, files: int) -> None:
        self._what = what
        self._files = files
        self._done = 0
        self._start = self._said = time.monotonic()
        self._line = TaskID(0)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._line = self._bar.add_task(self._what, total=self._files)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, more: int = 1) -> None:
        """So many more are done."""
        self._done += more
        self._bar.advance(self._line, more)
        now = time.monotonic()
        if now - self._said >= _SAY and not console.is_terminal:
            self._said = now
            console.print(
                f"{self._what}: {self._done:,} of {self._files:,} after {now - self._start:.0f} s"
            )

    def say(self, what: str) -> None:
        """Say what happens meanwhile; nothing when it is empty."""
        if what:
            console.print(f"{self._what}: {what}")
