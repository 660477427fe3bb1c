"""The cluster of the showcase: processes of its own, and two ways to etcd."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from quorate import Client
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.local.child import die_with_parent
from quorate.runtime.errors import QuorateError
from quorate.runtime.network.free_port import free_port
from quorate.v1 import cluster_pb2

CLUSTER: Final = "showcase"
PREFIX: Final = f"/quorate/{CLUSTER}/".encode()
SCHEDULERS: Final = ("s1", "s2")
NODES: Final = ("n1", "n2", "n3")
SLOTS: Final = 4
# What the schedulers take for etcd's quota: small, so that it is filled within a second.
QUOTA: Final = 96 << 20
# Seconds.
LEASE: Final = 2
NODE_LEASE: Final = 3
_START: Final = 60.0
_STOP: Final = 20.0
_LOOK: Final = 0.1


class Showcase:
    """Up in the `with` block. All of it is on 127.0.0.1, and ends with this process.

    Attributes:
        etcd: where etcd itself is; `relay`: its second address, which can be closed.
        addresses: of the schedulers; `gateway`: the dashboard's URL.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="quorate-showcase-")
        self.folder = Path(self._temporary.name)
        self._etcd = EtcdProcess(
            # More than the schedulers know of, so that it takes writes however full they think it.
            self.folder / "etcd",
            quota_bytes=4 * QUOTA,
            die_with_parent=True,
            client_port=free_port(),
        )
        self.etcd = self._etcd.endpoint
        self._ports = {name: free_port() for name in (*SCHEDULERS, *NODES, "extra", "gateway")}
        self.addresses = ",".join(f"127.0.0.1:{self._ports[name]}" for name in SCHEDULERS)
        self.gateway = f"http://127.0.0.1:{self._ports['gateway']}"
        self.relay = Relay(self.etcd)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            asyncio.run(self._etcd.start())
            self.relay.open()
            for name in SCHEDULERS:
                self._start(name, "scheduler", self._scheduler(name))
            for name in NODES:
                self.start_node(name)
            gateway = ("--listen", self._listen("gateway"), "--schedulers", self.addresses)
            self._start("gateway", "gateway", [*gateway, "--cluster", CLUSTER, "--same-user"])
            everything = (len(SCHEDULERS), len(NODES))
            wait_until(lambda: self._members() == everything, _START, "the cluster did not start")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.thaw()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.relay.close()
        asyncio.run(self._etcd.stop())
        self._temporary.cleanup()

    def client(self) -> Client:
        """The SDK."""
        return Client(self.addresses)

    def state(self) -> cluster_pb2.Cluster:
        """What the leader says of the cluster."""
        with self.client() as client:
            return client.cluster()

    def cli(self, *arguments: str) -> str:
        """What `quorate` prints. Raises RuntimeError when it fails."""
        code, output = self.run(*arguments)
        if code:
            raise RuntimeError(f"quorate {' '.join(arguments)}: {output}")
        return output

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code of `quorate`, and what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "quorate", *arguments],
            env={**os.environ, "QUORATE_ADDRESS": self.addresses, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout.strip()

    # -- processes

    def start_node(self, name: str) -> None:
        """Start an agent; `extra` is one that the cluster does not begin with."""
        options = ["--etcd", self.etcd, "--cluster", CLUSTER, "--name", name, "--same-user"]
        options += ["--listen", self._listen(name), "--slots", str(SLOTS)]
        options += ["--data-dir", str(self.folder / name), "--lease-ttl", str(NODE_LEASE)]
        self._start(name, "node_agent", options)

    def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        """SIGSTOP: as on a machine that stands still."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to whatever is frozen."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)

    def standby(self) -> str:
        """The scheduler that does not lead."""
        leads = {one.address for one in self.state().schedulers if one.leader}
        return next(name for name in SCHEDULERS if f"127.0.0.1:{self._ports[name]}" not in leads)

    def in_etcd(self, what: Callable[[EtcdClient], Awaitable[None]]) -> None:
        """Do something in etcd."""

        async def run() -> None:
            async with EtcdClient([self.etcd]) as client:
                await what(client)

        asyncio.run(run())

    def _members(self) -> tuple[int, int]:
        try:
            found = self.state()
        except QuorateError:
            # Nobody leads yet.
            return 0, 0
        return len(found.schedulers), found.nodes

    def _scheduler(self, name: str) -> list[str]:
        options = ["--etcd", f"{self.etcd},{self.relay.address}", "--cluster", CLUSTER]
        options += ["--name", name, "--listen", self._listen(name), "--lease-ttl", str(LEASE)]
        options += ["--etcd-quota-mib", str(QUOTA >> 20)]
        return [*options, "--auth", "none", "--same-user"]

    def _listen(self, name: str) -> str:
        return f"127.0.0.1:{self._ports[name]}"

    def _start(self, name: str, module: str, options: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )


class Relay:
    """A second address of etcd: passes bytes on, until it is closed. May be opened again."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def open(self) -> None:
        """Listen, and pass on what comes."""
        listener = self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """End every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        for one in (*([listener] if listener else []), *list(self._open)):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                caller = listener.accept()[0]
                etcd = socket.create_connection(self._target)
            except OSError:
                return
            self._open |= {caller, etcd}
            for source, sink in ((caller, etcd), (etcd, caller)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """Until it holds; how many seconds that took. Raises TimeoutError with `otherwise`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{otherwise} within {seconds:g} s")
        time.sleep(_LOOK)
    return time.monotonic() - began
