"""The data directory of a local cluster: who may use it, and what it remembers.

lock          held (flock) by the supervisor for as long as it runs; has its pid
layout.json   the cluster's name and its ports; outlives the processes
cluster.json  addresses and pids; exists only while the cluster runs
etcd/  n1/ ...  data of the processes;  logs/  their output;  run/  etcd's sockets
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from quorate.client.transport.discovery import CLUSTER_FILE, LOCK_FILE, LocalCluster, command_for
from quorate.runtime.errors import precondition

_LAYOUT = "layout.json"


# What there is of a cluster before it is one.
_OWN = (LOCK_FILE, "logs", "blobs")


class DataDir:
    """Exclusive use of a data directory, from entering to leaving the `with` block.

    Raises QuorateError on entering: DATA_DIR_IN_USE, DATA_DIR_OF_ANOTHER_CLUSTER,
    DATA_DIR_UNUSABLE. Nothing is changed then.
    """

    def __init__(self, path: Path, cluster: str) -> None:
        self.path = path.absolute()
        self.ports: dict[str, int] = {}
        self._cluster = cluster
        self._lock = -1

    def __enter__(self) -> DataDir:
        try:
            _refuse_foreign(self.path)
            # Its owner's alone: payloads, results and logs, and the way to etcd. From the first
            # moment on: who gets to open a folder in it may read what comes there later.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            (self.path / "logs").mkdir(exist_ok=True)
            # Not made anew by who writes there: a disk that is not mounted is to be missed.
            (self.path / "blobs").mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(
                self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise precondition(
                "DATA_DIR_UNUSABLE", f"the data dir {self.path} cannot be used: {error.strerror}"
            ) from error
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        (self.path / CLUSTER_FILE).unlink(missing_ok=True)
        os.close(self._lock)

    def _take(self) -> None:
        if not _locked(self._lock):
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise precondition(
                "DATA_DIR_IN_USE",
                f"the data dir {self.path} is in use by another 'quorate up' (process {owner}); "
                f"stop it with '{command_for('down', self.path)}', "
                "or choose another with --data-dir",
                data_dir=self.path,
            )
        layout = read_layout(self.path)
        if layout is not None:
            name, self.ports = layout
            if name != self._cluster:
                raise precondition(
                    "DATA_DIR_OF_ANOTHER_CLUSTER",
                    f"the data dir {self.path} belongs to the cluster {name!r}, "
                    f"not {self._cluster!r}",
                    data_dir=self.path,
                    cluster=name,
                )
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def remember(self, ports: Mapping[str, int]) -> None:
        """Keep the ports for the next start; those of processes no longer asked for too."""
        self.ports = {**self.ports, **ports}
        document = {"cluster": self._cluster, "ports": self.ports}
        _replace(self.path / _LAYOUT, json.dumps(document, indent=2) + "\n")

    def publish(self, cluster: LocalCluster) -> None:
        """Write `cluster.json`; a reader sees the old one or the new one, never half of it."""
        _replace(self.path / CLUSTER_FILE, cluster.to_json())

    def log_path(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.path / "logs" / f"{name}.log"


def _locked(lock: int) -> bool:
    """Take the lock. Tried for 100 ms, since `discovery.owner_of` holds it for a moment to look."""
    for _ in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def read_layout(path: Path) -> tuple[str, dict[str, int]] | None:
    """The cluster's name and ports, or None for a directory that never had one."""
    try:
        document = json.loads((path / _LAYOUT).read_text())
        return str(document["cluster"]), {str(k): int(v) for k, v in document["ports"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise precondition(
            "DATA_DIR_UNUSABLE", f"{path / _LAYOUT} cannot be read: {error}"
        ) from error


def _refuse_foreign(path: Path) -> None:
    """Not into a folder that has somebody else's files."""
    if path.is_dir() and not (path / _LAYOUT).exists():
        others = [entry.name for entry in path.iterdir() if entry.name not in _OWN]
        if others:
            raise precondition(
                "DATA_DIR_UNUSABLE",
                f"the data dir {path} is not empty and holds no cluster (found {others[0]!r})",
                data_dir=path,
            )


def _replace(path: Path, text: str) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(text)
    scratch.replace(path)
