"""What a call can change about its process, and how the next call finds it as it was.

Three looks. `Snapshot.is_intact` compares by identity what any code can set, in a few microseconds:
the only cost of a well-behaved call. What takes a system call each is compared only when a function
that changes such was called (`noted`), and now and then. When something differs, `put_back` goes
through REPAIRS, each of which looks again at its own part and mends it.

What is in here is the process's, not the program's: modules, their globals, caches and connections
stay, as a warm worker is for them. What a module sets up while it is imported stays too (`adopt`),
as it will not be imported again; docs/python-workers.md has the list. What cannot be put back
raises Broken: the worker is replaced.
"""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]
import _thread
import faulthandler
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from node_agent.worker import noted
from node_agent.worker.output import Broken
from node_agent.worker.packages import Library, Logging

_SIGNALS = tuple(
    number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)
)
_NUMBERS = tuple(int(number) for number in _SIGNALS)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_NO_TIMER = (0.0, 0.0)
_LIMITS = tuple(
    limit
    for name in dir(resource)
    if name.startswith("RLIMIT_") and (limit := getattr(resource, name)) is not None
)
_HOOKS = (
    "excepthook",
    "displayhook",
    "unraisablehook",
    "breakpointhook",
    "argv",
    "path",
    "meta_path",
    "path_hooks",
    "warnoptions",
    "dont_write_bytecode",
    "pycache_prefix",
)
# `hasattr` of what is not there makes an exception with its message: 1 us.
_SYS = vars(sys)
_PATHS = ("argv", "path", "meta_path", "path_hooks")
# As they are before calls of them are noted.
_getitimer, _setitimer, _getsignal = _signal.getitimer, _signal.setitimer, _signal.getsignal
_set_handler, _sigmask, _set_wakeup_fd = (
    _signal.signal,
    _signal.pthread_sigmask,
    _signal.set_wakeup_fd,
)
_setlocale, _getrlimit = _locale.setlocale, resource.getrlimit
_LC_ALL = _locale.LC_ALL
_STDERR = 2
_BUILTINS = ("print", "open", "input", "__import__")


class Snapshot:
    """What the process was like after the latest import."""

    def __init__(self) -> None:
        noted.watch()
        self._home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._cwd = os.getcwd()
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._mask = _sigmask(_signal.SIG_BLOCK, ())
        self.adopt()

    def adopt(self) -> None:
        """What modules have set up so far is theirs to keep, but for what no call would expect.

        Called after an import on behalf of a call. Raises Broken.
        """
        self._timers()
        noted.changed.clear()
        self._directory()
        os.umask(self._umask)
        _set_wakeup_fd(-1)
        _sigmask(signal.SIG_SETMASK, self._mask)
        self._environment = dict(os.environ._data)  # type: ignore[attr-defined]
        self._handlers = [_getsignal(number) for number in _NUMBERS]
        self._locale = _setlocale(_LC_ALL, None)
        # A new tuple after each `tzset`.
        self._zone = time.tzname
        self._dumps = frozenset(noted.dumps)
        self._filters = list(warnings.filters)
        self._warn = (warnings.showwarning, warnings.formatwarning)
        self._hooks = {name: getattr(sys, name) for name in _HOOKS}
        self._paths = {name: list(getattr(sys, name)) for name in _PATHS}
        self._thread_hooks = (threading.excepthook, threading.gettrace(), threading.getprofile())
        self._limits = [_getrlimit(limit) for limit in _LIMITS]
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._cpus = os.sched_getaffinity(0)
        self._policy = (os.sched_getscheduler(0), os.sched_getparam(0))
        self._ids = (os.getresuid(), os.getresgid())
        self._groups = os.getgroups()
        self._recursion = sys.getrecursionlimit()
        self._digits = sys.get_int_max_str_digits()
        self._switch = sys.getswitchinterval()
        self._gc = (gc.isenabled(), gc.get_threshold(), gc.get_debug())
        self._gc_on, self._gc_thresholds = gc.isenabled(), gc.get_threshold()
        self._timeout = socket.getdefaulttimeout()
        self._builtins = _builtins()
        self._print, self._open, self._input, self._import = self._builtins.values()
        self._modules = len(sys.modules)
        self._threads = _thread._count()
        self._logging = Logging()
        self._library = Library()

    def is_intact(self, *, thorough: bool = False) -> bool:
        """Whether nothing differs. Streams and descriptors are looked at by `output`.

        Args:
            thorough: look at everything, also when nobody called what would have changed it.
        """
        hooks, paths = self._hooks, self._paths
        try:
            return (
                os.umask(self._umask) == self._umask
                and os.environ._data == self._environment  # type: ignore[attr-defined]
                and time.tzname is self._zone
                and warnings.filters == self._filters
                and warnings.showwarning is self._warn[0]
                and warnings.formatwarning is self._warn[1]
                and sys.excepthook is hooks["excepthook"]
                and sys.displayhook is hooks["displayhook"]
                and sys.unraisablehook is hooks["unraisablehook"]
                and sys.breakpointhook is hooks["breakpointhook"]
                and sys.dont_write_bytecode is hooks["dont_write_bytecode"]
                and sys.pycache_prefix is hooks["pycache_prefix"]
                and "tracebacklimit" not in _SYS
                and sys.path is hooks["path"]
                and sys.path == paths["path"]
                and sys.argv == paths["argv"]
                and sys.meta_path == paths["meta_path"]
                and sys.path_hooks == paths["path_hooks"]
                and sys.gettrace() is None
                and sys.getprofile() is None
                and threading.excepthook is self._thread_hooks[0]
                and threading._trace_hook is self._thread_hooks[1]  # type: ignore[attr-defined]
                and threading._profile_hook is self._thread_hooks[2]
                and sys.getrecursionlimit() == self._recursion
                and sys.get_int_max_str_digits() == self._digits
                and sys.getswitchinterval() == self._switch
                and gc.isenabled() is self._gc_on
                and gc.get_threshold() == self._gc_thresholds
                and socket.getdefaulttimeout() == self._timeout
                and print is self._print
                and open is self._open
                and input is self._input
                and __import__ is self._import
                and len(sys.modules) >= self._modules
                and _thread._count() == self._threads
                and self._logging.is_intact(thorough=thorough)
                and self._library.is_intact()
                and ((not noted.changed and not thorough) or self._kernel_is_intact())
            )
        except Exception:  # noqa: BLE001 (a removed directory; user objects that do not compare)
            return False

    def _kernel_is_intact(self) -> bool:
        """What the kernel and the C library keep, one call each."""
        # Nobody can tell whether there is one to come, and where faults are written to.
        faulthandler.cancel_dump_traceback_later()
        faulthandler.enable(_STDERR)
        intact = (
            all(_getitimer(timer) == _NO_TIMER for timer in _TIMERS)
            and [*map(_getsignal, _NUMBERS)] == self._handlers
            and _sigmask(0, ()) == self._mask
            and _set_wakeup_fd(-1) == -1
            and os.getcwd() == self._cwd
            and _setlocale(_LC_ALL, None) == self._locale
            and [_getrlimit(limit) for limit in _LIMITS] == self._limits
            and os.getpriority(os.PRIO_PROCESS, 0) == self._nice
            and os.sched_getaffinity(0) == self._cpus
            and (os.sched_getscheduler(0), os.sched_getparam(0)) == self._policy
            and (os.getresuid(), os.getresgid()) == self._ids
            and os.getgroups() == self._groups
            and noted.dumps <= self._dumps
        )
        if intact:
            noted.changed.clear()
        return intact

    def give(self, name: bytes, value: bytes | None) -> None:
        """Set a variable of the environment (None: remove it); it is meant to be like that."""
        known, saved = os.environ._data, self._environment  # type: ignore[attr-defined]
        if value is None:
            saved.pop(name, None)
            if name in known:
                os.unsetenv(name)
                del known[name]
            return
        if known.get(name) != value:
            os.putenv(name, value)
        # The same object on both sides: that they are equal is seen at once.
        known[name] = saved[name] = value

    def put_back(self) -> Sequence[str]:
        """Mend what differs; what is worth a line in the attempt's log. Raises Broken."""
        notes: list[str] = []
        for repair in REPAIRS:
            repair(self)
        faulthandler.cancel_dump_traceback_later()
        faulthandler.enable(_STDERR)
        noted.changed.clear()
        self._threads_left(notes)
        self._modules_left()
        return notes

    # -- each part -----------------------------------------------------------------------------

    def _timers(self) -> None:
        for timer in _TIMERS:
            if _getitimer(timer) != _NO_TIMER:
                _setitimer(timer, 0)

    def _signals(self) -> None:
        _set_wakeup_fd(-1)
        for number in noted.dumps - self._dumps:
            faulthandler.unregister(number)
        for number, handler in zip(_NUMBERS, self._handlers, strict=True):
            if handler is not None and _getsignal(number) is not handler:
                _set_handler(number, handler)
        if _sigmask(_signal.SIG_BLOCK, ()) != self._mask:
            _sigmask(signal.SIG_SETMASK, self._mask)

    def _directory(self) -> None:
        try:
            if os.getcwd() == self._cwd:
                return
        except OSError:
            pass  # it was removed
        try:
            os.fchdir(self._home)
            os.getcwd()
        except OSError:
            raise Broken("its working directory is gone") from None

    def _environ(self) -> None:
        known, saved = os.environ._data, self._environment  # type: ignore[attr-defined]
        zone = time.tzname is not self._zone or known.get(b"TZ") != saved.get(b"TZ")
        for name in [name for name in known if name not in saved]:
            os.unsetenv(name)
            del known[name]
        for name, value in saved.items():
            if known.get(name) != value:
                os.putenv(name, value)
                known[name] = value
        if zone:
            # Also when the variable is as it was: `tzset` may have been called under another one.
            time.tzset()
            self._zone = time.tzname

    def _locales(self) -> None:
        if _setlocale(_LC_ALL, None) != self._locale:
            _setlocale(_LC_ALL, self._locale)

    def _warnings(self) -> None:
        if warnings.filters != self._filters:
            module: Any = warnings
            module.filters[:] = self._filters
            module._filters_mutated()
        warnings.showwarning, warnings.formatwarning = self._warn

    def _interpreter(self) -> None:
        sys.settrace(None)
        sys.setprofile(None)
        for name, value in self._hooks.items():
            setattr(sys, name, value)
        if hasattr(sys, "tracebacklimit"):
            del sys.tracebacklimit
        for name, items in self._paths.items():
            if getattr(sys, name) != items:
                getattr(sys, name)[:] = items
        hook, trace, profile = self._thread_hooks
        threading.excepthook = hook
        threading.settrace(trace)
        threading.setprofile(profile)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if sys.get_int_max_str_digits() != self._digits:
            sys.set_int_max_str_digits(self._digits)
        if sys.getswitchinterval() != self._switch:
            sys.setswitchinterval(self._switch)
        enabled, thresholds, debug = self._gc
        (gc.enable if enabled else gc.disable)()
        gc.set_threshold(*thresholds)
        gc.set_debug(debug)
        socket.setdefaulttimeout(self._timeout)
        for name, value in self._builtins.items():
            setattr(_BUILTIN_MODULE, name, value)

    def _process(self) -> None:
        if (os.getresuid(), os.getresgid()) != self._ids:
            try:
                os.setresuid(*self._ids[0])
                os.setresgid(*self._ids[1])
            except OSError:
                raise Broken("its user was changed") from None
        if os.getgroups() != self._groups:
            try:
                os.setgroups(self._groups)
            except OSError:
                raise Broken("its groups were changed") from None
        for limit, known in zip(_LIMITS, self._limits, strict=True):
            if _getrlimit(limit) != known:
                try:
                    resource.setrlimit(limit, known)
                except (OSError, ValueError):
                    raise Broken("its resource limits were lowered") from None
        try:
            if os.getpriority(os.PRIO_PROCESS, 0) != self._nice:
                os.setpriority(os.PRIO_PROCESS, 0, self._nice)
            if os.sched_getaffinity(0) != self._cpus:
                os.sched_setaffinity(0, self._cpus)
            if (os.sched_getscheduler(0), os.sched_getparam(0)) != self._policy:
                os.sched_setscheduler(0, *self._policy)
        except OSError:
            raise Broken("its priority was lowered") from None

    def _packages(self) -> None:
        self._logging.put_back()
        self._library.put_back()

    def _modules_left(self) -> None:
        if len(sys.modules) < self._modules:
            raise Broken("modules were removed from sys.modules")
        self._modules = len(sys.modules)

    def _threads_left(self, notes: list[str]) -> None:
        if _thread._count() == self._threads:
            return
        left = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        fresh = [thread for thread in left if not hasattr(thread, "_quorate_known")]
        for thread in fresh:
            thread._quorate_known = True  # type: ignore[attr-defined]
        stubborn = [thread for thread in fresh if not thread.daemon and not _is_of_pool(thread)]
        if stubborn:
            raise Broken(f"it left a thread running: {stubborn[0].name!r}")
        if len(left) > MAX_THREADS:
            raise Broken(f"{len(left)} threads were left running")
        if fresh:
            names = ", ".join(repr(thread.name) for thread in fresh[:3])
            notes.append(f"threads left running: {len(fresh)} ({names})")
        self._threads = _thread._count()


REPAIRS: tuple[Callable[[Snapshot], None], ...] = (
    Snapshot._timers,
    Snapshot._signals,
    Snapshot._directory,
    Snapshot._environ,
    Snapshot._locales,
    Snapshot._warnings,
    Snapshot._interpreter,
    Snapshot._process,
    Snapshot._packages,
)
# More than these are not for anybody's convenience.
MAX_THREADS = 64
_BUILTIN_MODULE: ModuleType = sys.modules["builtins"]


def _builtins() -> dict[str, Any]:
    return {name: getattr(_BUILTIN_MODULE, name) for name in _BUILTINS}


def _is_of_pool(thread: threading.Thread) -> bool:
    """Whether it waits for work in a ThreadPoolExecutor, which a module may keep."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", "") == "concurrent.futures.thread"
