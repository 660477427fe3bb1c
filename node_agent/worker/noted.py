"""Functions that change what is rarely changed: calls of them are noted, so that nobody need look.

To ask the kernel after each call for the working directory, the signal mask, the child processes
and so on costs more than all else that is looked at. What C code changes past Python is found by
the thorough look that a worker takes now and then (`Snapshot`, `Children`).
"""

from __future__ import annotations

import _locale
import _posixsubprocess
import faulthandler
import functools
import locale
import os
import resource
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

# Not empty: something of the process may have been changed, or a process started.
changed: list[str] = []
started: list[str] = []
# Called before a process is started.
before_start: list[Callable[[], None]] = []
# Signals on which `faulthandler` dumps tracebacks.
dumps: set[int] = set()

_CHANGE: tuple[tuple[ModuleType, str], ...] = (
    (resource, "setrlimit prlimit"),
    (signal, "setitimer alarm signal siginterrupt set_wakeup_fd pthread_sigmask"),
    (locale, "_setlocale"),
    (_locale, "setlocale"),
    (faulthandler, "dump_traceback_later enable disable"),
    (
        os,
        "chdir fchdir nice setpriority sched_setaffinity sched_setscheduler "
        "setgroups initgroups setuid setgid seteuid setegid setreuid setregid setresuid setresgid",
    ),
)
_START: tuple[tuple[ModuleType, str], ...] = (
    (os, "fork forkpty posix_spawn posix_spawnp system"),
    (_posixsubprocess, "fork_exec"),
)


def watch() -> None:
    """Have these functions note their calls, from now on; once in a process."""
    for functions, notes in ((_CHANGE, changed), (_START, started)):
        for module, names in functions:
            for name in names.split():
                function = getattr(module, name, None)
                if function is not None and not hasattr(function, "__wrapped__"):
                    _replace(module, name, function, _noting(function, notes))
    if not hasattr(faulthandler.register, "__wrapped__"):
        dumping: Any = faulthandler
        dumping.register = _registering(dumping.register)
        dumping.unregister = _unregistering(dumping.unregister)


def _replace(module: ModuleType, name: str, function: Any, noting: Any) -> None:
    setattr(module, name, noting)
    # `os.system` is `posix.system` to pickle.
    home: Any = sys.modules.get(function.__module__ or "")
    if getattr(home, name, None) is function:
        setattr(home, name, noting)


def _noting(function: Callable[..., Any], notes: list[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        notes[:] = [function.__name__]
        if notes is started:
            for prepare in before_start:
                prepare()
        return function(*args, **kwargs)

    return noting


def _registering(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def register(signum: int, *args: Any, **kwargs: Any) -> None:
        function(signum, *args, **kwargs)
        dumps.add(int(signum))
        changed[:] = ["register"]

    return register


def _unregistering(function: Callable[[int], bool]) -> Callable[[int], bool]:
    @functools.wraps(function)
    def unregister(signum: int) -> bool:
        dumps.discard(int(signum))
        return function(signum)

    return unregister
