"""Programs of the project as processes that need no time to start: forks of one that is loaded.

A test that gives a program many wrong command lines, or kills servers and starts them again, would
spend most of its time on starting Python and importing. What is run here is a process of its own
all the same, with its own environment, files, signals and exit code: see
`tests.support.fork_server`, of which there is one for the whole run of this process, from the first
call on.

In a locked run (`tests.support.tls`) programs start from scratch, and so wherever else
`tests.support.lock_guard` has to see how they start.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

from quorate.local.child import die_with_parent
from tests.support import tls

ROOT = Path(__file__).parents[2]
_SCRIPT = str(Path(sys.executable).with_name("quorate"))
_SECONDS = 60.0
_CHUNK = 1 << 16
# Bytes of output that are kept; who writes more has lost its way.
_MOST = 16 << 20


class Ended(NamedTuple):
    """A program that has ended: its exit code (-N: by signal N) and what it wrote."""

    code: int
    out: str
    err: str


def run(program: str, *arguments: str, stdin: str = "", **environment: str) -> Ended:
    """Run `quorate`, `scheduler` or `node_agent` to its end, in our environment and more.

    Raises TimeoutExpired, and kills it, when it has not ended within 60 s, or somebody whom it
    started still has its output open.
    """
    given = {**os.environ, **environment}
    if watched():
        return _from_scratch(program, arguments, stdin, given)
    return server().run(program, arguments, stdin, given)


def run_from_scratch(program: str, *arguments: str, stdin: str = "", **environment: str) -> Ended:
    """The same, started as users do: the installed command, or `python -m`."""
    return _from_scratch(program, arguments, stdin, {**os.environ, **environment})


def _from_scratch(
    program: str, arguments: Sequence[str], stdin: str, environment: Mapping[str, str]
) -> Ended:
    command = [_SCRIPT] if program == "quorate" else [sys.executable, "-m", program]
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


Running: TypeAlias = "Process | subprocess.Popen[bytes]"


def start(program: str, *arguments: str, output: int, **environment: str) -> Running:
    """Start a server that leads a session of its own and writes all to the file `output`.

    It ends with this process, however that ends.
    """
    if watched():
        command = (sys.executable, "-m", program, *arguments)
        return start_from_scratch(*command, output=output, **environment)
    return server().start(program, arguments, {**os.environ, **environment}, output, output)


def start_from_scratch(*command: str, output: int, **environment: str) -> subprocess.Popen[bytes]:
    """The same with any command."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def start_piped(program: str, *arguments: str, error: int) -> tuple[Running, IO[str]]:
    """Start a server, and what it writes to its standard output; the caller closes that."""
    reads, writes = os.pipe()
    try:
        if watched():
            command = (sys.executable, "-m", program, *arguments)
            nothing = subprocess.DEVNULL
            process: Running = subprocess.Popen(
                command, cwd=ROOT, stdin=nothing, stdout=writes, stderr=error
            )
        else:
            given = dict(os.environ)
            process = server().start(program, arguments, given, writes, error, session=False)
    finally:
        os.close(writes)
    return process, open(reads)


class Process:
    """A fork, with as much of `subprocess.Popen` as tests use."""

    def __init__(self, command: Sequence[str], pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._command = command
        # Readable when the process has ended; closed when it was read.
        self._status = status

    def fileno(self) -> int:
        """Readable when it has ended; valid until that was noticed."""
        return self._status

    def poll(self) -> int | None:
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._command, timeout)
        return code

    def send_signal(self, what: signal.Signals) -> None:
        """Nothing happens when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, what)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            with open(self._status, "rb", 0) as status:
                # Nothing: the server has ended, and the kernel killed its forks.
                self.returncode = int(status.read() or -signal.SIGKILL)
        return self.returncode


class ForkServer:
    """The process whose forks the programs are; it ends with this one."""

    def __init__(self) -> None:
        # Tests may start servers in threads.
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: int,
        error: int,
        *,
        given: int | None = None,
        session: bool = True,
        folder: str = str(ROOT),
    ) -> Process:
        """`given`: its standard input, nothing by default; `folder`: where it runs."""
        request = {
            "program": _SCRIPT if program == "quorate" else program,
            "arguments": arguments,
            "environment": dict(environment),
            "session": session,
            "folder": folder,
        }
        status, told = os.pipe()
        with open(os.devnull, "rb") as nothing:
            files = [nothing.fileno() if given is None else given, output, error, told]
            with self._lock:
                socket.send_fds(self._control, [json.dumps(request).encode()], files)
                answer = self._control.recv(64)
        os.close(told)
        assert answer, "the fork server has ended: its standard error has the reason"
        return Process([program, *arguments], int(answer), status)

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        stdin: str,
        environment: Mapping[str, str],
        *,
        folder: str = str(ROOT),
    ) -> Ended:
        with ExitStack() as opened:
            given = opened.enter_context(tempfile.TemporaryFile())
            given.write(stdin.encode())
            given.seek(0)
            outs = [_pipe(opened) for _ in ("output", "error")]
            to, errors = (write.fileno() for _, write in outs)
            process = self.start(
                *(program, arguments, environment, to, errors),
                given=given.fileno(),
                session=False,
                folder=folder,
            )
            for _, write in outs:
                write.close()
            try:
                out, err = _read([read for read, _ in outs])
                return Ended(process.wait(_SECONDS), out, err)
            except TimeoutError:
                raise subprocess.TimeoutExpired([program, *arguments], _SECONDS) from None
            finally:
                process.kill()
                process.wait()

    def end(self) -> None:
        self._control.close()
        self._process.wait()


def _pipe(files: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return files.enter_context(open(read, "rb", 0)), files.enter_context(open(write, "wb", 0))


def _read(files: Sequence[IO[bytes]]) -> list[str]:
    """All that comes out of these pipes. Raises TimeoutError."""
    until = time.monotonic() + _SECONDS
    found = {file.fileno(): b"" for file in files}
    with selectors.DefaultSelector() as waiting:
        for file in files:
            waiting.register(file, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(until - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                some = os.read(key.fd, _CHUNK)
                found[key.fd] += some
                assert len(found[key.fd]) <= _MOST, "a program writes without an end"
                if not some:
                    waiting.unregister(key.fileobj)
    return [text.decode() for text in found.values()]


def watched() -> bool:
    """Whether `tests.support.lock_guard` has to see how programs start."""
    return tls.ON or "QUORATE_TEST_STARTED" in os.environ


@functools.cache
def server() -> ForkServer:
    """The one of this process, started by the first call."""
    started = ForkServer()
    atexit.register(started.end)
    return started
