"""One supervised process: started, watched, started again when it ends, stopped.

    starting --ready line--> running --ends--> restarting --pause--> starting ...
                                     --stop--> stopping --> stopped

A child is asked to say `... ready ... address=<host:port>` on standard output once it serves.
It leads a session of its own (Ctrl-C in the terminal is the supervisor's business) and is killed
by the kernel when the supervisor dies, however that happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from quorate.client.transport.discovery import LocalProcess
from quorate.etcd.server.launcher import PR_SET_PDEATHSIG
from quorate.runtime.errors import QuorateError, unavailable
from quorate.runtime.timing.backoff import Backoff

# Seconds between the end of a process and its next start: doubles, up to the second figure.
_PAUSE = (0.1, 5.0)
# A process that ran so long is taken to be well, and its next pause is the first one again.
_WELL = 10.0
READY_TIMEOUT = 30.0
# A machine under load may need longer for a restart: each one that was given up has twice the time.
_LONGEST_READY = 240.0
_LAST_WORDS = 4096

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Runs in the child before its program: SIGKILL when the supervisor's thread ends."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _note(log: int, line: bytes) -> None:
    """Write to a process's log; on a full disk the line is lost."""
    with contextlib.suppress(OSError):
        os.write(log, line)


async def start_process(
    argv: Sequence[str], log: BinaryIO, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start a process that leads a session; `stdout` is a pipe, its errors go to `log`."""
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


class Child:
    """Owner of one process. `run` is awaited by the supervisor; `stop` ends it."""

    def __init__(
        self,
        name: str,
        role: str,
        argv: Sequence[str],
        address: str,
        log: Path,
        environment: Mapping[str, str],
        on_change: Callable[[], None],
        health: str = "",
    ) -> None:
        self.name = name
        self.role = role
        self.address = address
        self.health = health
        self.restarts = 0
        self.state = "starting"
        self.ready = asyncio.Event()
        """Set when it has been ready once."""
        self._argv = list(argv)
        self._log = log
        self._environment = dict(environment)
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._patience = READY_TIMEOUT

    @property
    def record(self) -> LocalProcess:
        """Its line in cluster.json."""
        process = self._process
        pid = process.pid if process is not None and process.returncode is None else 0
        return LocalProcess(
            name=self.name,
            role=self.role,
            address=self.address,
            pid=pid,
            state=self.state,
            restarts=self.restarts,
            log=str(self._log),
            health=self.health,
        )

    async def run(self) -> None:
        """Keep it running until `stop`. Raises QuorateError when it ends before it ever served."""
        backoff = Backoff(*_PAUSE)
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            await self._run_once()
            if self._stopping.is_set():
                break
            if not self.ready.is_set():
                raise self._did_not_start()
            if loop.time() - began > _WELL:
                backoff.reset()
            self._set("restarting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff.next())
            self.restarts += 1
        self._set("stopped")

    async def stop(self, seconds: float) -> None:
        """SIGTERM; SIGKILL to its whole group after `seconds`. Returns when it is gone."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._set("stopping")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            self._kill_group(process.pid)
            await process.wait()

    def kill(self) -> None:
        """SIGKILL now; `run` ends."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._kill_group(self._process.pid)

    async def _run_once(self) -> None:
        self._set("starting")
        with self._open_log() as log:
            process = await start_process(self._argv, log, self._environment)
            self._process = process
            self._set("starting")
            if self._stopping.is_set():
                # `stop` came while it was being started, and found nothing to end.
                self._kill_group(process.pid)
            reading = asyncio.create_task(self._read_output(process, log.fileno()))
            try:
                # Not the end of its output: what it started may hold that open.
                await process.wait()
            finally:
                self._kill_group(process.pid)
                reading.cancel()
                await asyncio.wait([reading])
                await process.wait()
        self._set(self.state)

    async def _read_output(self, process: asyncio.subprocess.Process, log: int) -> None:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._patience) as patience:
                while line := await process.stdout.readline():
                    _note(log, line)
                    if b" ready " in line:
                        patience.reschedule(None)
                        self._patience = READY_TIMEOUT
                        self.ready.set()
                        self._set("running")
        except TimeoutError:
            _note(log, f"supervisor: not ready within {self._patience:g} s\n".encode())
            self._patience = min(_LONGEST_READY, 2 * self._patience)
            self._kill_group(process.pid)

    def _open_log(self) -> BinaryIO:
        try:
            return self._log.open("ab", buffering=0)
        except OSError:
            # A full disk, or its folder is gone: better without a log than not at all.
            return open(os.devnull, "ab", buffering=0)

    def _did_not_start(self) -> QuorateError:
        lines: list[str] = []
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _LAST_WORDS))
            lines = log.read(_LAST_WORDS).decode(errors="replace").strip().splitlines()
        last = lines[-1].strip() if lines else "it wrote nothing"
        return unavailable(
            "PROCESS_DID_NOT_START", f"{self.name} did not start: {last} (all of it: {self._log})"
        )

    def _set(self, state: str) -> None:
        self.state = state
        self._on_change()

    @staticmethod
    def _kill_group(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
