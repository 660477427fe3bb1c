"""`python -m tests.support.run_next <stubs> <module> <flags>`: a program as of the next release.

The program is the present one, run on the next release's stubs (`tests.support.next_release`):
whatever it sends or stores has the added fields set, in every message within, and as a scheduler
it answers the added RPC. No stub of the checkout may be imported before they are exchanged.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.next_release import RPC, fill


class NextStubs(importlib.abc.MetaPathFinder):
    """Finds the stubs of the next release below a folder, before those of the checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("quorate.") or "_pb2" not in fullname:
            return None
        file = self._folder / (fullname.replace(".", "/") + ".py")
        if not file.exists():
            return None
        loader = _Loader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__.endswith("_pb2"):
            for name in module.DESCRIPTOR.message_types_by_name:
                fill_when_serialized(getattr(module, name))


def fill_when_serialized(kind: Any) -> None:
    """Have the added fields set in all that is sent or stored of a message class."""
    plain = kind.SerializeToString

    def serialize(message: Any, **options: bool) -> bytes:
        if options:
            # What is asked for to be deterministic is compared, not sent.
            return plain(message, **options)  # type: ignore[no-any-return]
        filled = kind()
        filled.CopyFrom(message)
        fill(filled)
        return plain(filled)  # type: ignore[no-any-return]

    kind.SerializeToString = serialize


def main() -> None:
    folder, module = sys.argv[1:3]
    loaded = [name for name in sys.modules if name.startswith("quorate.") and "_pb2" in name]
    assert not loaded, f"too late for {loaded}"
    sys.meta_path.insert(0, NextStubs(Path(folder)))
    sys.argv = sys.argv[2:]
    if module == "scheduler":
        from scheduler.api.cluster.servicer import ClusterCalls

        setattr(ClusterCalls, RPC, ClusterCalls.GetCluster)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
