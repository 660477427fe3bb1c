"""The command `quorate` for shells, without the time that Python takes to start and import.

`TypedCommand` makes a folder for PATH. Its `quorate` is a small client: it gives its files,
arguments, environment and folder to this process, which has `tests.support.forked` run the command
on them, and ends as that ends. Signals go through; when the client is killed, so is the command.
The installed command itself is what tests/e2e/test_installed.py and test_cli_up.py are about.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.support import forked

# Bytes: an environment and a command line.
_LONGEST = 1 << 20
_CLIENT = """\
#!{python} -SI
import os, signal, socket, sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
    control.connect({address!r})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: control.send(b"%d" % number))
    words = [os.getcwdb(), b"%d" % len(sys.argv), *map(os.fsencode, sys.argv)]
    words += [name + b"=" + value for name, value in os.environb.items()]
    socket.send_fds(control, [b"\\0".join(words)], [0, 1, 2])
    code = int(control.recv(64) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class TypedCommand:
    """Serves the commands of one folder from entering to leaving."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        # A socket's path must be short.
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="q-")))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._thread = threading.Thread(target=self._accept, name="typed-commands")

    def __enter__(self) -> Self:
        self._socket.bind(str(self.folder / "socket"))
        self._socket.listen(64)
        client = self.folder / "quorate"
        address = str(self.folder / "socket")
        client.write_text(_CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        self._stack.close()

    def _accept(self) -> None:
        """Until the end: each command has a thread, and all have ended before this returns."""
        commands: list[threading.Thread] = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                break
            commands.append(threading.Thread(target=_serve, args=(connection,)))
            commands[-1].start()
        for command in commands:
            command.join()


def _serve(connection: socket.socket) -> None:
    """Run one command."""
    with connection:
        message, files, _, _ = socket.recv_fds(connection, _LONGEST, 3)
        if not message:
            return
        folder, count, *words = message.decode(errors="surrogateescape").split("\0")
        arguments, variables = words[1 : int(count)], words[int(count) :]
        environment = dict(variable.split("=", 1) for variable in variables)
        given, output, error = files
        process = forked.server().start(
            *("quorate", arguments, environment, output, error),
            given=given,
            session=False,
            folder=folder,
        )
        for file in files:
            os.close(file)
        while True:
            ready, _, _ = select.select([connection.fileno(), process.fileno()], [], [])
            if process.fileno() in ready:
                connection.send(str(process.wait(0)).encode())
                return
            number = connection.recv(64)
            if not number:
                process.kill()
                process.wait()
                return
            process.send_signal(signal.Signals(int(number)))
