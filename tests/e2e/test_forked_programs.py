"""What tests rely on when their programs are forks: see `tests.support.forked`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_scheduler import wait_until
from tests.support.forked import ForkServer, Process

# It goes on looking for an etcd that is not there.
WAITS = ("--etcd", "127.0.0.1:1", "--etcd-wait", "60", "--listen", "127.0.0.1:0", "--insecure")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.end()


def waiting(server: ForkServer, folder: Path) -> Process:
    """A scheduler that leads its session, which it does before it begins."""
    with (folder / "log").open("ab") as log:
        process = server.start("scheduler", WAITS, dict(os.environ), log.fileno(), log.fileno())
    wait_until(lambda: os.getsid(process.pid) == process.pid)
    return process


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_that_is_ended_says_how(
    server: ForkServer, tmp_path: Path, how: signal.Signals
) -> None:
    process = waiting(server, tmp_path)
    assert process.poll() is None
    process.send_signal(how)
    assert process.wait(20) == process.returncode == -how
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_fork_has_no_file_of_its_server_or_of_other_forks(
    server: ForkServer, tmp_path: Path
) -> None:
    forks = [waiting(server, tmp_path) for _ in range(2)]
    held = files_of(server.pid)
    assert len(held) >= 4, "its socket, a pipe of its own, and one to tell the end of each fork"
    for fork in forks:
        assert not held & files_of(fork.pid)
        fork.kill()
        fork.wait(20)


def files_of(pid: int) -> set[str]:
    """The pipes and sockets that a process has open beside its standard output and error."""
    numbers = set(os.listdir(f"/proc/{pid}/fd")) - {"0", "1", "2"}
    links = (os.readlink(f"/proc/{pid}/fd/{number}") for number in numbers)
    return {link for link in links if link.startswith(("pipe:", "socket:"))}


def test_forks_end_with_their_server(tmp_path: Path) -> None:
    server = ForkServer()
    process = waiting(server, tmp_path)
    server.end()
    assert process.wait(20) == -signal.SIGKILL
    # A dead process that nobody collected has no files.
    wait_until(lambda: not os.path.exists(f"/proc/{process.pid}/fd/0"))
