"""One function leaves a mess in its worker; the next one finds the process as it should be."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.agent import (
    Agent,
    Leader,
    Session,
    eventually,
    python,
    running_agent,
    task_id,
)

MODULE = """
import json, os, sys

def leave(script):
    exec(script, {"__name__": "left"})
    return os.getpid()

def look(expression):
    space = {"os": os, "sys": sys}
    return [os.getpid(), eval(expression, {"__builtins__": __builtins__, "imported": __import__})]
"""
SETTER = """
import logging, os, warnings, threading, time
os.environ["SET_BY_IMPORT"] = "stays"
warnings.filterwarnings("ignore", message="of the module")
logging.getLogger("of_module").addHandler(logging.NullHandler())
CACHE = []
threading.Thread(target=time.sleep, args=(1000,), daemon=True, name="of-module").start()

def look():
    CACHE.append(1)
    handlers = len(logging.getLogger("of_module").handlers)
    return [os.getpid(), len(CACHE), os.environ.get("SET_BY_IMPORT"), handlers]
"""


class Run:
    """One agent with one worker."""

    def __init__(self, agent: Agent, leader: Leader, session: Session) -> None:
        self.agent, self.leader, self.session = agent, leader, session

    async def __call__(self, entrypoint: str, *args: Any) -> tuple[Any, dict[str, bytes]]:
        """What a call returned, and what it wrote."""
        task = task_id()
        await self.session.assign(task, python(entrypoint, *args))
        report = await self.session.finished(task)
        assert report.WhichOneof("outcome") == "result", report
        logs = {"stdout": b"", "stderr": b""}
        if self.agent.driver.logs.knows(task, 1):
            logs = await self.leader.logs(task)
        return json.loads(report.result.json), logs


@pytest_asyncio.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "messy.py").write_text(MODULE)
    (code / "setter.py").write_text(SETTER)
    async with (
        running_agent(tmp_path / "node", slots=1, directory=code) as agent,
        Leader(agent.address) as leader,
    ):
        run = Run(agent, leader, await leader.open())
        await run("messy:look", "1")
        yield run


# What a call does, what the next one looks at, and what it should see.
MESSES = {
    "alarm": ("import signal; signal.alarm(1000)", "imported('signal').alarm(0)", 0),
    "itimer": (
        "import signal; signal.setitimer(signal.ITIMER_PROF, 1000)",
        "imported('signal').getitimer(2)[0]",
        0.0,
    ),
    "handler": (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: None)",
        "int(imported('signal').getsignal(10))",
        0,
    ),
    "mask": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        "len(imported('signal').pthread_sigmask(0, []))",
        0,
    ),
    "wakeup": (
        "import signal, os\nr, w = os.pipe()\nos.set_blocking(w, False)\nsignal.set_wakeup_fd(w)",
        "imported('signal').set_wakeup_fd(-1)",
        -1,
    ),
    "directory": ("import os; os.chdir('/')", "imported('os').getcwd() == '/'", False),
    "removed directory": (
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        "imported('os').path.basename(imported('os').getcwd())",
        "code",
    ),
    "umask": ("import os; os.umask(0o777)", "imported('os').umask(0o22) == 0o777", False),
    "environment": (
        "import os; os.environ['LEFT'] = '1'; os.environ.pop('PATH')",
        "['LEFT' in imported('os').environ, 'PATH' in imported('os').environ]",
        [False, True],
    ),
    "cleared environment": (
        "import os; os.environ.clear()",
        "['PATH' in imported('os').environ, imported('os').environ.get('QUORATE_ATTEMPT')]",
        [True, "1"],
    ),
    "time zone": (
        "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "imported('time').timezone == -32400",
        False,
    ),
    "locale": (
        "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
        "imported('locale').setlocale(imported('locale').LC_NUMERIC)",
        "C",
    ),
    "warnings": (
        "import warnings; warnings.simplefilter('error')",
        "imported('warnings').warn('only a warning') or 'went on'",
        "went on",
    ),
    "logging": (
        "import logging; logging.basicConfig(level=1); logging.disable()",
        "[len(imported('logging').root.handlers), imported('logging').root.manager.disable]",
        [0, 0],
    ),
    "handlers of a logger": (
        "import logging; logging.getLogger('x').addHandler(logging.StreamHandler())",
        "len(imported('logging').getLogger('x').handlers)",
        0,
    ),
    "excepthook": (
        "import sys; sys.excepthook = sys.displayhook = None",
        "imported('sys').excepthook is None",
        False,
    ),
    "threading.excepthook": (
        "import threading; threading.excepthook = None",
        "imported('threading').excepthook is None",
        False,
    ),
    "trace": (
        "import threading; threading.settrace(lambda *_: None)",
        "imported('threading').gettrace() is None",
        True,
    ),
    "recursion": (
        "import sys; sys.setrecursionlimit(150)",
        "imported('sys').getrecursionlimit() > 999",
        True,
    ),
    "gc": ("import gc; gc.disable()", "imported('gc').isenabled()", True),
    "path": ("import sys; sys.path.insert(0, '/left')", "'/left' in imported('sys').path", False),
    "another path": ("import sys; sys.path = []", "len(imported('sys').path) > 0", True),
    "socket timeout": (
        "import socket; socket.setdefaulttimeout(0.001)",
        "imported('socket').getdefaulttimeout()",
        None,
    ),
    "decimal": (
        "import decimal; decimal.getcontext().prec = 3",
        "imported('decimal').getcontext().prec",
        28,
    ),
    "temporary directory": (
        "import tempfile; tempfile.tempdir = '/nowhere'",
        "imported('tempfile').gettempdir()",
        "/tmp",
    ),
    "open": ("import builtins; builtins.open = None", "open is None", False),
    "import": (
        "import builtins as b; old = b.__import__; b.__import__ = lambda *a, **k: old(*a, **k)",
        "imported.__name__",
        "__import__",
    ),
    "scheduling": (
        "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
        "imported('os').sched_getscheduler(0)",
        0,
    ),
    "dump on a signal": (
        "import faulthandler; faulthandler.register(10)",
        "imported('faulthandler').unregister(10)",
        False,
    ),
    "no dump on a crash": (
        "import faulthandler; faulthandler.disable()",
        "imported('faulthandler').is_enabled()",
        True,
    ),
    "tracebacks": (
        "import sys; sys.tracebacklimit = 0",
        "hasattr(imported('sys'), 'tracebacklimit')",
        False,
    ),
    "bytecode": (
        "import sys; sys.pycache_prefix = '/nowhere'",
        "imported('sys').pycache_prefix",
        None,
    ),
    "time zone under another environment": (
        "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset(); del os.environ['TZ']",
        "imported('time').timezone == -32400",
        False,
    ),
    "level of a logger": (
        "import logging; logging.getLogger('x').setLevel(logging.CRITICAL)",
        "imported('logging').getLogger('x').level",
        0,
    ),
    "factory of log records": (
        "import logging; logging.setLogRecordFactory(lambda *_, **__: 1 / 0)",
        "imported('logging').getLogger('x').warning('still there')",
        None,
    ),
    "warnings to logging": (
        "import logging, warnings; logging.captureWarnings(True); warnings.formatwarning = None",
        "imported('warnings').showwarning.__module__ + str(imported('warnings').formatwarning)[:4]",
        "warnings<fun",
    ),
    "original standard input": (
        "import io, sys; sys.__stdin__ = io.StringIO('mine')",
        "imported('sys').__stdin__.read()",
        "",
    ),
    "start method": (
        "import multiprocessing as m; m.set_start_method('spawn')",
        "imported('multiprocessing').set_start_method('fork')",
        None,
    ),
    "event loop": (
        "import asyncio as a\nloop = a.new_event_loop()\na.set_event_loop(loop)\nloop.close()",
        "imported('asyncio').get_event_loop().is_closed()",
        False,
    ),
    "event loop after run": (
        "import asyncio\nasyncio.run(asyncio.sleep(0))",
        "imported('asyncio').get_event_loop().is_closed()",
        False,
    ),
    "print": ("import builtins; builtins.print = None", "print('still there')", None),
    "files": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (64, r.getrlimit(7)[1]))",
        "imported('resource').getrlimit(7)[0] > 64",
        True,
    ),
    "affinity": (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "len(imported('os').sched_getaffinity(0)) == imported('os').cpu_count()",
        True,
    ),
    "digits": (
        "import sys; sys.set_int_max_str_digits(0)",
        "imported('sys').get_int_max_str_digits()",
        4300,
    ),
    "dump later": (
        "import faulthandler; faulthandler.dump_traceback_later(0.3, exit=True)",
        "imported('time').sleep(0.5)",
        None,
    ),
    "standard input": ("import sys; sys.stdin.close()", "imported('sys').stdin.read()", ""),
    "no standard input": ("import os; os.close(0)", "imported('sys').stdin.read()", ""),
}


@pytest.mark.parametrize("name", MESSES)
async def test_what_a_call_changes_is_put_back_in_the_same_worker(run: Run, name: str) -> None:
    script, expression, expected = MESSES[name]
    left, _ = await run("messy:leave", script)
    (pid, seen), _ = await run("messy:look", expression)
    assert seen == expected
    assert pid == left, "the worker need not be replaced"


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
