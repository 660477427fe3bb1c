"""One scheduler or agent process under test: signals, its log, and waiting for conditions."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support import forked

_LOOK_EVERY = 0.005
_LOG_TAIL = 3_000


async def until(condition: Callable[[], Any], what: str, within: float = 20.0) -> Any:
    """Look again until `condition` (or what it awaits) is true; its value.

    Raises AssertionError naming `what` after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(_LOOK_EVERY)


class Server:
    """One scheduler or agent: the same name, port and flags over all its processes.

    When `loaded` they are forks of a process that has imported it: see `tests.support.forked`.
    """

    def __init__(
        self,
        module: str,
        cluster: str,
        name: str,
        folder: Path,
        port: int,
        *flags: str,
        loaded: bool = True,
    ) -> None:
        self.name = name
        self.address = f"127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self._program = [
            *(module, f"--name={name}", f"--listen={self.address}"),
            *(f"--cluster={cluster}", *flags),
        ]
        self.launcher: tuple[str, ...] = ()
        """A module that runs the program instead, with its first arguments."""
        self._loaded = loaded
        self._process: forked.Running | None = None
        # Where the log of the present process begins.
        self._begin = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process; `ready` waits for it."""
        assert not self.running
        with self.log.open("ab") as log:
            self._begin = log.tell()
            form = {"QUORATE_LOG_FORMAT": "json"}
            if self._loaded and not self.launcher:
                self._process = forked.start(*self._program, output=log.fileno(), **form)
            else:
                command = (sys.executable, "-m", *self.launcher, *self._program)
                self._process = forked.start_from_scratch(*command, output=log.fileno(), **form)

    async def ready(self) -> None:
        """Until the process has said that it serves."""

        def look() -> bool:
            assert self.running, f"{self.name} ended: {self.tail()}"
            return f"ready name={self.name} " in self._text()

        await until(look, f"{self.name} is ready", 30.0)

    async def start(self) -> None:
        self.launch()
        await self.ready()

    def send(self, how: signal.Signals) -> float:
        """Signal the process; when that was (seconds since the epoch)."""
        assert self.running, f"{self.name} does not run: {self.tail()}"
        at = time.time()
        os.kill(self.pid, how)
        return at

    def stop(self) -> float:
        """SIGSTOP"""
        return self.send(signal.SIGSTOP)

    def cont(self) -> float:
        """SIGCONT"""
        return self.send(signal.SIGCONT)

    def kill(self) -> float:
        """SIGKILL; does not wait for the end."""
        return self.send(signal.SIGKILL)

    def term(self) -> float:
        """SIGTERM; does not wait for the end."""
        return self.send(signal.SIGTERM)

    async def gone(self) -> int:
        """Until the process has ended; its exit code."""
        process = self._process
        assert process is not None
        await until(lambda: process.poll() is not None, f"{self.name} has ended")
        assert process.returncode is not None
        return process.returncode

    def events(self) -> Iterator[dict[str, Any]]:
        """What the present process logged."""
        for line in self._text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)

    def said(self, event: str, **fields: object) -> bool:
        """Whether the present process logged an event with these fields."""
        return any(
            line.get("event") == event and fields.items() <= line.items() for line in self.events()
        )

    def tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"\n--- {self.log}\n{text[-_LOG_TAIL:]}"

    def _text(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")
