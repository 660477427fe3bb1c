"""Settings that modules of the standard library keep for a process: `logging` and a few others.

Only modules that are loaded are looked at: whatever a call sets in one needs its import.
"""

from __future__ import annotations

import sys
from typing import Any

# Handlers, filters, level, propagate, disabled.
_Settings = tuple[list[Any], list[Any], int, bool, bool]
# Those of a new logger.
_FRESH: _Settings = ([], [], 0, True, False)
# In the root logger's cache, which is emptied whenever any logger's level is set.
_MARK = "quorate"


class Logging:
    """Handlers and levels of all loggers, where logging is used at all."""

    def __init__(self) -> None:
        module: Any = sys.modules.get("logging")
        self._module = module
        self._root: tuple[Any, ...] = ()
        self._made = 0
        self._loggers: dict[Any, _Settings] = {}
        if module is None:
            return
        self._made = len(module._handlerList)
        self._disable = module.root.manager.disable
        self._factory, self._class = module._logRecordFactory, module._loggerClass
        # Of `captureWarnings`; the function in `warnings` itself is the snapshot's.
        self._captured = module._warnings_showwarning
        for logger in self._all():
            self._loggers[logger] = _settings(logger)
        self._root = self._loggers[module.root]
        module.root._cache[_MARK] = True

    def is_intact(self, *, thorough: bool = False) -> bool:
        """Whether no handler was made and no level was set since; else, of the root alone.

        Args:
            thorough: look at every logger.
        """
        module = self._module
        if module is None:
            return "logging" not in sys.modules
        root = module.root
        return (
            len(module._handlerList) == self._made
            # Whoever sets a logger's level empties all caches.
            and _MARK in root._cache
            and root.handlers == self._root[0]
            and root.filters == self._root[1]
            and root.level == self._root[2]
            and root.manager.disable == self._disable
            and module._logRecordFactory is self._factory
            and module._loggerClass is self._class
            and module._warnings_showwarning is self._captured
            and (not thorough or all(map(self._is_as_it_was, self._all())))
        )

    def put_back(self) -> None:
        module: Any = self._module
        if module is None:
            module = sys.modules.get("logging")
            if module is None:
                return
            # Imported by this call: nothing of it was set up before.
            module.root.handlers.clear()
            module.root.setLevel(module.WARNING)
            module._logRecordFactory, module._loggerClass = module.LogRecord, module.Logger
            module._warnings_showwarning = None
            module.disable(module.NOTSET)
            self._module = module
            for logger in self._all():
                if logger is not module.root:
                    _set(logger, _FRESH)
            self.__init__()  # type: ignore[misc]
            return
        module.disable(self._disable)
        module._logRecordFactory, module._loggerClass = self._factory, self._class
        module._warnings_showwarning = self._captured
        for logger in self._all():
            _set(logger, self._loggers.get(logger, _FRESH))
        self._made = len(module._handlerList)
        module.root._cache[_MARK] = True

    def _is_as_it_was(self, logger: Any) -> bool:
        return _settings(logger) == self._loggers.get(logger, _FRESH)

    def _all(self) -> list[Any]:
        module = self._module
        assert module is not None
        made = list(module.root.manager.loggerDict.values())
        return [module.root, *(one for one in made if isinstance(one, module.Logger))]


class Library:
    """Modules of the standard library that keep a setting for the process, where they are used."""

    def __init__(self) -> None:
        self._tempdir = _attribute("tempfile", "tempdir")
        self._policy = _attribute("asyncio.events", "_event_loop_policy")
        self._method = self._start_method()

    def is_intact(self) -> bool:
        """Whether no such setting differs."""
        modules = sys.modules
        if "tempfile" in modules and modules["tempfile"].tempdir != self._tempdir:
            return False
        if "multiprocessing.context" in modules and self._start_method() is not self._method:
            return False
        if "tracemalloc" in modules and modules["tracemalloc"].is_tracing():
            return False
        return "asyncio.events" not in modules or self._has_no_loop()

    def put_back(self) -> None:
        modules: Any = sys.modules
        if "tempfile" in modules:
            modules["tempfile"].tempdir = self._tempdir
        if "multiprocessing.context" in modules:
            default = modules["multiprocessing.context"]._default_context
            default._actual_context = self._method
        if "asyncio.events" in modules and not self._has_no_loop():
            events = modules["asyncio.events"]
            events._event_loop_policy = self._policy
            if self._policy is not None and hasattr(self._policy, "_Local"):
                self._policy._local = self._policy._Local()
        if "tracemalloc" in modules:
            modules["tracemalloc"].stop()

    def _has_no_loop(self) -> bool:
        policy = sys.modules["asyncio.events"]._event_loop_policy
        if policy is not self._policy:
            return False
        local = getattr(policy, "_local", None)
        return local is None or not (local._set_called or local._loop is not None)

    @staticmethod
    def _start_method() -> Any:
        module = sys.modules.get("multiprocessing.context")
        return module._default_context._actual_context if module is not None else None


def _settings(logger: Any) -> _Settings:
    return (
        list(logger.handlers),
        list(logger.filters),
        logger.level,
        logger.propagate,
        logger.disabled,
    )


def _set(logger: Any, settings: _Settings) -> None:
    handlers, filters, level, propagate, disabled = settings
    logger.handlers[:] = handlers
    logger.filters[:] = filters
    if logger.level != level:
        logger.setLevel(level)
    logger.propagate, logger.disabled = propagate, disabled


def _attribute(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)
