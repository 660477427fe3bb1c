"""`tests.support.forked`: the process whose forks programs are."""

import os
import threading

from tests.support.forked import _ForkServer


def test_it_outlives_the_thread_that_started_it():
    """A test may start the first program in a thread, and the next test another one."""
    made: list[_ForkServer] = []

    def begin() -> None:
        made.append(_ForkServer())
        assert version(made[0])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    (server,) = made
    assert version(server)
    server.end()


def version(server: _ForkServer) -> str:
    done = server.run("quorate", ("--version",), "", os.environ)
    assert done.code == 0, done
    return done.out
