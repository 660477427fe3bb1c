"""`tests.support.fork_server` serves every thread; see also tests/e2e/test_forked_programs.py."""

import os
import threading

from tests.support.forked import ForkServer


def test_it_outlives_the_thread_that_started_it():
    """A test may start the first program in a thread, and the next test another one."""
    made: list[ForkServer] = []

    def begin() -> None:
        made.append(ForkServer())
        assert version(made[0])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    (server,) = made
    assert version(server)
    server.end()


def version(server: ForkServer) -> str:
    done = server.run("quorate", ("--version",), "", os.environ)
    assert done.code == 0, done
    return done.out
