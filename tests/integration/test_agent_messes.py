"""What a call changes in its worker is put back: one mess after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.one_worker import Run, one_worker


@pytest_asyncio.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    async with one_worker(tmp_path) as run:
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
