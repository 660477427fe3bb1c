"""Pickling by value: what nodes cannot import travels with the call.

cloudpickle decides what that is. Beside it, code keeps the name of its file: cloudpickle 3.1.3
replaces it by "<dynamic-code>", and tracebacks from nodes would say neither file nor source.
"""

from __future__ import annotations

import io
from collections import ChainMap
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

_HIDDEN = "<dynamic-code>"


def _code(code: CodeType) -> tuple[Any, ...]:
    make, values, *rest = cloudpickle.CloudPickler.dispatch_table[CodeType](code)
    kept = tuple(
        code.co_filename if type(value) is str and value == _HIDDEN else value for value in values
    )
    return (make, kept, *rest)


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    dispatch_table: ClassVar[Any] = ChainMap(
        {CodeType: _code}, cloudpickle.CloudPickler.dispatch_table
    )


def register(kind: type, reduce: Callable[[Any], Any]) -> None:
    """Have instances of `kind` reduced by `reduce` where cloudpickle pickles them, ours or not."""
    cloudpickle.CloudPickler.dispatch_table[kind] = reduce


def dumps(value: object) -> bytes:
    """The value as a pickle, which `pickle.loads` reads. Raises what pickling raises."""
    with io.BytesIO() as file:
        _Pickler(file, protocol=5).dump(value)
        return file.getvalue()


def goes_by_value(module: str) -> bool:
    """Whether what a module defines has to travel along: nodes cannot import it.

    `__main__`, and modules given to `cloudpickle.register_pickle_by_value` and their submodules.
    """
    return module == "__main__" or any(
        module == name or module.startswith(f"{name}.") for name in by_value_modules()
    )


def by_value_modules() -> set[str]:
    """Names given to `cloudpickle.register_pickle_by_value`."""
    names: set[str] = cloudpickle.list_registry_pickle_by_value()
    return names
