"""One local etcd process: for `quorate up`, the tests and the benchmarks.

`EtcdProcess` owns the process and its data directory's log. It never turns fsync off, and leaves
compaction to the cluster's leader. Start waits until the server answers a linearizable read, and
says why when it does not. The process does not belong to an event loop: it may be started in one
and stopped in another.

    stopped --start--> running --stop (SIGTERM) / kill (SIGKILL)--> stopped --start--> ...
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.etcd.api import EtcdUnauthenticated, EtcdUnavailable, Range
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.etcd.server.binary import EtcdBinary, etcd_environment, find_etcd
from quorate.runtime.errors import QuorateError, unavailable
from quorate.runtime.network.free_port import free_port

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 10.0
_PROBE_TIMEOUT = 0.5
_LOG_TAIL = 2000
_PORT_ATTEMPTS = 3
PR_SET_PDEATHSIG = 1
_PORT_TAKEN = "address already in use"
_DIR_TAKEN = "another etcd holds its lock"
# Both have to look like host:port to etcd 3.4.
_CLIENT_SOCKET = "client:0"
_PEER_SOCKET = "peer:0"
# Of a Unix socket's path, in bytes (sun_path of unix(7), with its last zero).
_LONGEST_PATH = 107


@contextmanager
def socket_folder(preferred: Path) -> Iterator[Path]:
    """A folder for etcd's Unix sockets that only this user may enter, made when it is not there.

    `preferred`, unless the paths in it would be too long for sockets: then one that is removed
    afterwards, in the user's runtime directory, or where temporary files are. Raises OSError.
    """
    preferred = preferred.absolute()
    if len(os.fsencode(preferred / _CLIENT_SOCKET)) <= _LONGEST_PATH:
        preferred.mkdir(mode=0o700, parents=True, exist_ok=True)
        preferred.chmod(0o700)
        yield preferred
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR") or None
    with tempfile.TemporaryDirectory(prefix="quorate-", dir=runtime) as folder:
        yield Path(folder)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As etcd does: connections of a predecessor in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _is_locked(database: Path) -> bool:
    """Whether a process has etcd's database open (bbolt locks it with flock)."""
    if not database.exists():
        return False
    with database.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class EtcdProcess:
    """A single-member etcd on 127.0.0.1, or in a folder of this user's.

    Its JSON gateway is off, since pages of a browser can reach that; a browser's pages get none of
    its other HTTP answers either (`--host-whitelist`, `--cors`).

    Args:
        data_dir: where it keeps its data and `etcd.log`; created when missing.
        client_port, peer_port: 0 for free ones; they stay the same over restarts.
        sockets: an existing folder for Unix sockets in place of both ports: whoever may enter it
            reaches etcd, and nobody else. Its path must leave room: see `socket_folder`.
        max_txn_ops, max_request_bytes, quota_bytes: etcd's limits (bytes).
        tls: how to reach it when `extra` makes it serve TLS.
        peer_tls: whether `extra` makes it serve its peers by TLS.
        extra: more flags for etcd, as they are.
        die_with_parent: SIGKILL it when the thread that started it ends (Linux only).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        client_port: int = 0,
        peer_port: int = 0,
        sockets: Path | None = None,
        max_txn_ops: int = 1024,
        max_request_bytes: int = 3 * 512 * 1024,
        quota_bytes: int = 8 * 1024**3,
        binary: EtcdBinary | None = None,
        tls: EtcdTls | None = None,
        peer_tls: bool = False,
        extra: tuple[str, ...] = (),
        die_with_parent: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.binary = binary or find_etcd()
        self.max_txn_ops = max_txn_ops
        self.client_port = client_port
        self._peer_port = peer_port
        self._sockets = sockets
        self._max_request_bytes = max_request_bytes
        self._quota_bytes = quota_bytes
        self.tls = tls
        self._peer_scheme = "https" if peer_tls else "http"
        self._extra = extra
        self._die_with_parent = die_with_parent
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """For clients: `host:port`, or `unix:` and a path."""
        if self._sockets is not None:
            return f"unix:{self._sockets / _CLIENT_SOCKET}"
        return f"127.0.0.1:{self.client_port}"

    @property
    def log_path(self) -> Path:
        """What etcd writes to its standard error."""
        return self.data_dir / "etcd.log"

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start, or start again, and wait until it serves.

        Raises QuorateError: ETCD_PORT_IN_USE, ETCD_DATA_DIR_IN_USE, or ETCD_START_FAILED with the
        end of its log. Nothing is left running then.
        """
        assert not self.running
        # Of a socket there is nothing to choose.
        chosen_here = self._sockets is None and not (self.client_port and self._peer_port)
        given = self.client_port, self._peer_port
        trouble: str | None = ""
        for _ in range(_PORT_ATTEMPTS):
            if self._sockets is None:
                self.client_port = given[0] or free_port()
                self._peer_port = given[1] or free_port()
            trouble = await self._try_start()
            if trouble is None:
                return
            # A free port may have been taken before etcd came to it.
            if not chosen_here or _PORT_TAKEN not in trouble:
                break
        assert trouble is not None
        if _PORT_TAKEN in trouble:
            raise unavailable(
                "ETCD_PORT_IN_USE",
                f"etcd cannot listen on ports {self.client_port} and {self._peer_port} of "
                "127.0.0.1: one is in use",
                port=self.client_port,
            )
        if _DIR_TAKEN in trouble:
            raise self._dir_taken()
        raise self._failed(trouble)

    def _dir_taken(self) -> QuorateError:
        return unavailable(
            "ETCD_DATA_DIR_IN_USE",
            f"another etcd is using the data directory {self.data_dir}",
            data_dir=self.data_dir,
        )

    def _failed(self, trouble: str) -> QuorateError:
        return unavailable("ETCD_START_FAILED", f"etcd did not start; {self.log_path}: {trouble}")

    async def _try_start(self) -> str | None:
        """None when it serves; otherwise the end of its log, and it is stopped."""
        # Otherwise a foreign etcd on our port would pass for ours while ours is still failing.
        if self._sockets is None and not (_is_free(self.client_port) and _is_free(self._peer_port)):
            return _PORT_TAKEN
        # etcd would wait for the other one to end, without a word for the first ten seconds.
        if _is_locked(self.data_dir / "member" / "snap" / "db"):
            return _DIR_TAKEN
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._sockets is not None:
            # What a killed etcd left behind; nobody serves there, as nobody has the database.
            for name in (_CLIENT_SOCKET, _PEER_SOCKET):
                (self._sockets / name).unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(  # noqa: ASYNC220 - a fork, of milliseconds
                self._command(),
                # Where its Unix sockets are: 3.4 takes names for them, not paths.
                cwd=self._sockets,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=etcd_environment(),
                # Ctrl-C in the terminal is for us; etcd has to outlive the last flush.
                start_new_session=True,
                preexec_fn=_pdeathsig() if self._die_with_parent else None,
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_TIMEOUT
        try:
            async with EtcdClient([self.endpoint], tls=self.tls) as client:
                while self.running and loop.time() < deadline:
                    if await _serves(client):
                        return None
        except BaseException:
            await self.kill()
            raise
        await self.kill()
        return self._log_since(begin) or "it wrote nothing"

    def _command(self) -> list[str]:
        client = f"{'https' if self.tls else 'http'}://{self.endpoint}"
        peer = f"{self._peer_scheme}://127.0.0.1:{self._peer_port}"
        if self._sockets is not None:
            client, peer = f"unix://{_CLIENT_SOCKET}", f"unix://{_PEER_SOCKET}"
        return [
            str(self.binary.path.absolute()),
            f"--data-dir={self.data_dir.absolute()}",
            "--enable-grpc-gateway=false",
            # Empty would mean all.
            "--host-whitelist=localhost,127.0.0.1",
            "--cors=http://nobody.invalid:1",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--max-txn-ops={self.max_txn_ops}",
            f"--max-request-bytes={self._max_request_bytes}",
            f"--quota-backend-bytes={self._quota_bytes}",
            "--auto-compaction-retention=0",
            "--logger=zap",
            *self._extra,
        ]

    def _log_since(self, begin: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")[-_LOG_TAIL:].strip()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL when it does not end; returns once it is gone."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Start again on the same ports; an etcd that still runs is stopped first."""
        await self.stop()
        await self.start()

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, _STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _serves(client: EtcdClient) -> bool:
    try:
        await client.range(Range(b"/"), timeout=_PROBE_TIMEOUT)
    except EtcdUnauthenticated:
        return True
    except EtcdUnavailable:
        return False
    return True


def _pdeathsig() -> Callable[[], None] | None:
    """What the child runs before etcd. The library is opened here, before the fork."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
