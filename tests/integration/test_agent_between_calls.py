"""One function leaves a mess in its worker; the next one finds the process as it should be."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.agent import eventually, python, task_id
from tests.support.one_worker import Run, one_worker


@pytest_asyncio.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    async with one_worker(tmp_path) as run:
        yield run


STREAMS = {
    "a wrapper around the buffer": (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')"
    ),
    "a wrapper that is gone": "import io, sys; io.TextIOWrapper(sys.stdout.buffer)",
    "a file on the descriptor": "import sys; sys.stdout = open(sys.stdout.fileno(), 'w')",
    "a file on the other descriptor": "import os, sys; sys.stderr = os.fdopen(2, 'w')",
    "closed": "import sys; sys.stdout.close(); sys.stderr.close()",
    "detached": "import sys; sys.stdout.detach()",
    "closed descriptors": "import os; os.close(1); os.close(2)",
    "none": "import sys; sys.stdout = sys.stderr = sys.stdin = None",
    "redirected for ever": (
        "import contextlib, io; contextlib.redirect_stdout(io.StringIO()).__enter__()"
    ),
    "another descriptor": "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
    "another encoding": "import sys; sys.stdout.reconfigure(encoding='ascii', errors='strict')",
    "other line ends": "import sys; sys.stdout.reconfigure(newline='\\r\\n')",
    "the originals": "import sys; sys.__stdout__.close(); sys.__stderr__ = None",
}


@pytest.mark.parametrize("name", STREAMS)
async def test_the_next_call_prints_into_its_own_log_and_writes_its_own_files(
    run: Run, tmp_path: Path, name: str
) -> None:
    if name not in ("none", "detached", "closed descriptors"):
        await run("messy:leave", STREAMS[name] + "\nprint('mine')")
    left, _ = await run("messy:leave", STREAMS[name])
    table = tmp_path / "a.csv"
    script = (
        "import os, sys\nprint('row 1 \\u20ac')\n"
        f"file = open({str(table)!r}, 'w')\nassert file.fileno() > 2\nfile.write('row 2')\n"
        "print('to stderr', file=sys.stderr)\nos.write(1, b'raw')\nfile.close()"
    )
    pid, said = await run("messy:leave", script)
    assert said == {"stdout": "row 1 €\nraw".encode(), "stderr": b"to stderr\n"}
    assert table.read_text() == "row 2"
    assert pid == left


async def test_what_is_still_buffered_belongs_to_the_call_that_wrote_it(run: Run) -> None:
    script = (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n"
        "print('first')"
    )
    _, said = await run("messy:leave", script)
    assert said["stdout"] == b"first\n"
    _, said = await run("messy:leave", "print('second')")
    assert said["stdout"] == b"second\n"


REPLACED = {
    "a thread": (
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
        b"thread",
    ),
    "many children": (
        "import subprocess\nfor _ in range(40): subprocess.Popen(['sleep', '1000'])",
        b"child processes",
    ),
    "removed modules": (
        "import sys; del sys.modules['json']; del sys.modules['math']",
        b"sys.modules",
    ),
}


@pytest.mark.parametrize("name", REPLACED)
async def test_a_worker_is_replaced_when_it_cannot_be_put_back(run: Run, name: str) -> None:
    script, why = REPLACED[name]
    left, said = await run("messy:leave", "import math\n" + script)
    assert why in said["stderr"]
    assert said["stderr"].startswith(b"quorate: this worker process is replaced: ")
    (pid, seen), said = await run("messy:look", "imported('threading').active_count()")
    assert (pid != left, seen, said["stderr"]) == (True, 1, b"")


async def test_what_a_module_sets_up_at_import_stays(run: Run) -> None:
    pid, count, variable, handlers = (await run("setter:look"))[0]
    assert (count, variable, handlers) == (1, "stays", 1)
    await run("messy:leave", "import os; os.environ.clear(); import logging; logging.disable()")
    assert (await run("setter:look"))[0] == [pid, 2, "stays", 1]


@pytest.mark.parametrize(
    "script",
    [
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True, name='kept').start()",
        "import concurrent.futures as f, sys\n"
        "sys.pool = f.ThreadPoolExecutor(1); sys.pool.submit(int).result()",
        "import multiprocessing.shared_memory as m\n"
        "one = m.SharedMemory(create=True, size=10); one.close(); one.unlink()",
    ],
    ids=["a daemon", "a pool", "a resource tracker"],
)
async def test_what_libraries_keep_for_the_next_call_replaces_nothing(
    run: Run, script: str
) -> None:
    left, said = await run("messy:leave", script)
    assert b"left" in said["stderr"]
    for _ in range(2):
        (pid, _), said = await run("messy:look", "0")
        assert pid == left
        assert said == {"stdout": b"", "stderr": b""}


async def test_a_signal_handler_of_the_call_before_harms_nobody(run: Run) -> None:
    """It fires again and again, also while everything is put back."""
    script = (
        "import signal\ndef fire(*_): raise ValueError('late')\n"
        "signal.signal(signal.SIGALRM, fire)\nsignal.setitimer(signal.ITIMER_REAL, 0.02, 0.0002)"
    )
    for _ in range(5):
        task = task_id()
        await run.session.assign(task, python("messy:leave", script))
        report = await run.session.finished(task)
        assert report.error.type in ("", "ValueError"), report
        assert (await run("messy:look", "imported('signal').getitimer(0)[0]"))[0][1] == 0.0


async def test_the_next_call_may_begin_while_the_worker_before_it_still_ends(run: Run) -> None:
    script = "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()"
    for _ in range(3):
        await run("messy:leave", script)
    await eventually(lambda: run.agent.driver.machine.slots.lanes[0].ready)


async def test_what_was_changed_without_python_is_found_within_256_calls(run: Run) -> None:
    script = "import ctypes; ctypes.CDLL(None).chdir(b'/')"
    left, _ = await run("messy:leave", script)
    for _ in range(256):
        (pid, seen), _ = await run("messy:look", "imported('os').getcwd() == '/'")
        if not seen:
            break
    assert (pid, seen) == (left, False)


@pytest.mark.parametrize(
    "script",
    [
        "from posix import chdir; chdir('/')",
        "import pickle, os; pickle.loads(pickle.dumps(os.chdir))('/')",
        "import os; descriptor = os.open('/', os.O_RDONLY); os.fchdir(descriptor)",
    ],
    ids=["from posix", "unpickled", "fchdir"],
)
async def test_a_change_is_noted_however_its_function_was_found(run: Run, script: str) -> None:
    left, _ = await run("messy:leave", script)
    (pid, seen), _ = await run("messy:look", "imported('os').getcwd() == '/'")
    assert (pid, seen) == (left, False)


@pytest.mark.parametrize(
    "script",
    [
        "import os; os.posix_spawn('/bin/sleep', ['sleep', '1000'], {})",
        "from posix import fork\nif not fork(): import time; time.sleep(1000)",
        "import multiprocessing, time\n"
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,)).start()",
        "import pickle, os; pickle.loads(pickle.dumps(os.system))('sleep 1000 &')",
        "import asyncio, uvloop\n"
        "async def main(): await asyncio.create_subprocess_exec('sleep', '1000')\n"
        "uvloop.run(main())",
    ],
    ids=["posix_spawn", "fork", "multiprocessing", "system", "uvloop"],
)
async def test_a_process_is_noted_however_it_was_started(run: Run, script: str) -> None:
    first, _ = await run("messy:leave", "import os, sys; sys.outputs = os.fstat(1).st_ino")
    await run("messy:leave", script)
    (pid, fresh), _ = await run(
        "messy:look", "imported('os').fstat(1).st_ino != imported('sys').outputs"
    )
    assert (pid, fresh) == (first, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set its groups")
async def test_groups_are_put_back(run: Run) -> None:
    left, _ = await run("messy:leave", "import os; os.setgroups([1, 2, 3])")
    (pid, seen), _ = await run("messy:look", "imported('os').getgroups()")
    assert (pid, seen) == (left, os.getgroups())


@pytest.mark.parametrize(
    "child",
    ["raise ValueError('of the child')", "pass", "sys.exit(3)"],
    ids=["raises", "returns", "exits"],
)
async def test_a_forked_child_that_comes_back_answers_nothing(run: Run, child: str) -> None:
    """It would answer for its parent, and take the attempts after that."""
    script = f"""
import os, sys
pid = os.fork()
if not pid:
    {child}
else:
    print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    left, said = await run("messy:leave", script)
    status = {"raise": 1, "pass": 0, "sys.e": 3}[child[:5]]
    assert said["stdout"] == f"status {status}\n".encode()
    assert (b"ValueError: of the child" in said["stderr"]) is (status == 1)
    for _ in range(3):
        (pid, _), _ = await run("messy:look", "0")
        assert pid == left
