"""`quorate top` as a command: once into a pipe, and live in a terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from quorate.cli.app import run
from quorate.client.client import Client
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until

TOP = (sys.executable, "-c", "from quorate.cli import main; main()", "top")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    server = FakeServer(cluster)
    monkeypatch.setenv("QUORATE_ADDRESS", server.address)
    monkeypatch.setenv("QUORATE_DATA_DIR", f"{tmp_path}/none")
    cluster.hold.clear()
    with Client() as client:
        made = client.options(name="held").command(["true"])
    cluster.tasks[made.id].state = task_pb2.TASK_STATE_RUNNING
    yield cluster
    cluster.hold.set()
    cluster.close()


def test_once_prints_every_panel(cluster, capfd):
    assert run(["top", "--once"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    for word in ("Leader s1", "Queues 1", "Nodes ", "Unfinished jobs 0", "Running tasks 1", "held"):
        assert word in out
    assert "\x1b" not in out


def test_without_a_terminal_it_says_what_to_do(cluster, capfd):
    assert run(["top"]) == 2
    assert "--once" in capfd.readouterr().err


def test_what_a_caller_may_not_read_hides_no_other_panel(cluster, capfd):
    cluster.refuse("ListNodes", grpc.StatusCode.PERMISSION_DENIED)
    assert run(["top", "--once"]) == 0
    out = capfd.readouterr().out
    assert "Nodes 0, by NODE ▲\nThis caller may not read them." in out
    assert "held" in out


def test_without_a_cluster_it_fails_as_other_commands_do(cluster, capfd):
    cluster.close()
    assert run(["top", "--once", "--retry-for", "0"]) == 4
    assert "quorate: " in capfd.readouterr().err


@pytest.mark.parametrize("option", [["--interval", "0.5"], ["-d", "x"]])
def test_it_asks_at_most_once_a_second(cluster, capfd, option):
    assert run(["top", *option]) == 2
    assert "--interval" in capfd.readouterr().err


class Screen:
    """A pseudo-terminal with the command in it, and what it wrote so far."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.terminal, inside = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.terminal)
        self.process = subprocess.Popen(
            TOP,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(inside)
        self.text = ""

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def press(self, keys: str) -> None:
        self.text = ""
        os.write(self.terminal, keys.encode())

    def shows(self, words: str) -> None:
        """Wait until it has written `words` since the last key."""

        wait_until(lambda: not self._read() or words in self._written())
        assert words in self._written()

    def shows_like(self, pattern: str) -> None:
        """The same of words that match `pattern`."""
        wait_until(lambda: not self._read() or re.search(pattern, self._written()) is not None)
        assert re.search(pattern, self._written())

    def _written(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.text)

    def _read(self) -> bool:
        """Take what it wrote; false once it has ended."""
        try:
            self.text += os.read(self.terminal, 65536).decode(errors="replace")
        except OSError as error:
            # Nobody has the other end open.
            if error.errno != errno.EIO:
                raise
            return False
        return True

    def ends(self) -> int:
        """Its exit code; the terminal is as it was, on its main screen."""
        wait_until(lambda: not self._read())
        code = self.process.wait(60)
        assert termios.tcgetattr(self.terminal) == self.before
        assert self.text.rindex("\x1b[?1049l") > self.text.rfind("\x1b[?1049h")
        return code


@pytest.fixture
def screen(cluster: FakeCluster) -> Iterator[Screen]:
    screen = Screen()
    yield screen
    screen.process.kill()
    screen.process.wait()
    os.close(screen.terminal)


def test_live_it_follows_keys_and_quits(screen, cluster):
    screen.shows("held")
    screen.press("h")
    screen.shows("Choose the next panel")
    screen.press(" N")
    screen.shows("Running tasks 1, by NAME")
    screen.press("q")
    assert screen.ends() == 0


def test_live_it_draws_anew_when_the_terminal_changes_its_size(screen):
    screen.shows("held")
    screen.text = ""
    screen.resize(200, 40)
    screen.process.send_signal(signal.SIGWINCH)
    # An id is whole where there is room for it; what is written may come in parts.
    screen.shows_like(r"QUEUE[\s\S]*\b[0-9a-f]{32}\b")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(screen, number):
    screen.shows("held")
    screen.text = ""
    screen.process.send_signal(number)
    assert screen.ends() == 0


def test_a_lost_leader_leaves_the_last_figures_and_says_so(screen, cluster):
    screen.shows("held")
    cluster.servers[0].stop()
    screen.shows("No answer for")
    screen.text = ""
    screen.shows("held")
    screen.press("q")
    assert screen.ends() == 0
