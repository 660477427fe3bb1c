"""Runs a local cluster: starts it in order, restarts what ends, stops it in reverse order.

Owns every process. Start: etcd, then schedulers, nodes and the gateway; it is up when the cluster
has a leader, every node is registered, standbys have loaded (or had their time to) and the gateway
serves. Stop: nodes first (they drain while a leader can still take results) with the gateway, then
schedulers (they resign), etcd last. Whatever ends by itself once the cluster was up is started
again on the same port under the same name.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import quorate
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.discovery import LocalCluster, LocalProcess
from quorate.client.transport.rpcs import GET_CLUSTER
from quorate.etcd.api import EtcdError
from quorate.etcd.channels import EtcdTls
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess, socket_folder
from quorate.etcd.server.users import grant
from quorate.local.certificates import ETCD
from quorate.local.child import Child
from quorate.local.data_dir import DataDir
from quorate.local.plan import AMQP, MANAGEMENT, MAX_TXN_OPS, LocalPlan, health_of
from quorate.local.ports import HOST, PortClaims
from quorate.runtime.errors import QuorateError, precondition, unavailable
from quorate.runtime.timing.backoff import Backoff
from quorate.security.same_user import PortHolds
from quorate.v1 import scheduler_pb2

# Seconds. Nodes get the longest: what they run may finish or be returned (`DRAIN_GRACE`).
_STOP_NODE = 15.0
_STOP_GATEWAY = 5.0
_STOP_SCHEDULER = 10.0
_START_TIMEOUT = 60.0
# As long a standby that loads a large log is waited for: the cluster works without it.
_STANDBY_TIMEOUT = 5.0
_LOOK = 0.05
# How clients find a cluster: the processes of this one get that from flags.
_NOT_PASSED_ON = ("QUORATE_ADDRESS", "QUORATE_TLS_", "QUORATE_TOKEN")


class Supervisor:
    """One local cluster. `run` does everything; the other methods may be called meanwhile."""

    def __init__(self, plan: LocalPlan, on_change: Callable[[LocalCluster], None]) -> None:
        self.plan = plan
        self._on_change = on_change
        self._directory = DataDir(plan.data_dir, plan.cluster)
        self._etcd: EtcdProcess | None = None
        self._etcd_state, self._etcd_restarts = "starting", 0
        self._schedulers: list[Child] = []
        self._nodes: list[Child] = []
        self._gateways: list[Child] = []
        self._ports: dict[str, int] = {}
        self._stop = asyncio.Event()
        self._started = time.time()
        self._ready = False
        self._running = False
        # What cluster.json says is out of date, as it could not be written.
        self._unpublished = False

    def stop(self) -> None:
        """Ask `run` to stop everything and return. Asked again, it kills instead of waiting."""
        if self._stop.is_set():
            for child in self._children:
                child.kill()
        self._stop.set()

    async def run(self) -> None:
        """Start the cluster, keep it running until `stop`, stop it.

        Raises QuorateError when it cannot be started. Nothing is left running in any case.
        """
        with (
            self._directory,
            PortHolds() as holds,
            PortClaims(holds) as claims,
            ExitStack() as stack,
        ):
            self._running = True
            try:
                await self._run(claims, stack)
            finally:
                self._running = False

    @property
    def snapshot(self) -> LocalCluster:
        """The cluster as it is now; what cluster.json says."""
        processes = [child.record for child in self._children]
        if self._etcd is not None:
            etcd = LocalProcess(
                name="etcd",
                role="etcd",
                address=self._etcd.endpoint,
                pid=self._etcd.pid if self._etcd_state == "running" else 0,
                state=self._etcd_state,
                restarts=self._etcd_restarts,
                log=str(self._etcd.log_path),
            )
            processes.insert(0, etcd)
        return LocalCluster(
            cluster=self.plan.cluster,
            data_dir=str(self._directory.path),
            supervisor=os.getpid(),
            started=self._started,
            ready=self._ready,
            processes=tuple(processes),
            tls=self.plan.client,
            token_file=str(self.plan.credentials.admin_token_file) if self.plan.credentials else "",
            etcd_tls=self.plan.etcd_client,
            amqp_address=self._door(AMQP),
            amqp_management_address=self._door(MANAGEMENT),
        )

    def _door(self, name: str) -> str:
        return f"{HOST}:{self._ports[name]}" if name in self._ports else ""

    async def _run(self, claims: PortClaims, stack: ExitStack) -> None:
        ports = self.plan.choose_ports(self._directory.ports, claims)
        tls = self.plan.etcd_client
        # With TLS it is reached by certificates; without, it has no port at all.
        sockets = None if tls else stack.enter_context(socket_folder(self._directory.path / "run"))
        # Before anything starts: also finds out that there is no etcd to be had.
        self._etcd = etcd = EtcdProcess(
            self._directory.path / "etcd",
            client_port=ports["etcd"],
            peer_port=ports["etcd-peer"],
            sockets=sockets,
            max_txn_ops=MAX_TXN_OPS,
            die_with_parent=True,
            tls=EtcdTls(tls.ca_file, tls.cert_file, tls.key_file) if tls else None,
            peer_tls=tls is not None,
            extra=self.plan.etcd_flags,
        )
        self._directory.remember(ports)
        # Behind the layout: with that the folder is known as a cluster's.
        if self.plan.certificates is not None:
            self.plan.certificates.prepare(self.plan.subjects, dt.datetime.now(dt.UTC))
        if self.plan.etcd_certificates is not None:
            subjects = [ETCD, *self.plan.etcd_subjects]
            self.plan.etcd_certificates.prepare(subjects, dt.datetime.now(dt.UTC))
        if self.plan.credentials is not None:
            self.plan.credentials.prepare(dt.datetime.now(dt.UTC))
        self._ports = ports
        self._schedulers = [self._scheduler(n, ports[n]) for n in self.plan.scheduler_names]
        self._nodes = [self._node(n, ports[n]) for n in self.plan.node_names]
        if self.plan.gateway:
            self._gateways = [self._gateway(ports["gateway"])]
        try:
            await self._start_etcd(etcd)
            if self.plan.secure and etcd.running:
                await self._grant(etcd)
            if self._stop.is_set():
                return
            async with asyncio.TaskGroup() as group:
                watchers = [group.create_task(self._watch_etcd(etcd))]
                children = [group.create_task(child.run()) for child in self._children]
                starting = group.create_task(self._come_up())
                await self._stop.wait()
                starting.cancel()
                await self._stop_all(etcd, watchers)
                await asyncio.gather(*children)
        except BaseExceptionGroup as errors:
            # Not `except*`: Python before 3.11.4 wraps what is raised there in a group.
            expected, others = errors.split(QuorateError)
            if expected is None or others is not None:
                raise
            # What could not start is the reason; the rest was cancelled because of it.
            raise _first(expected) from None
        finally:
            for child in self._children:
                child.kill()
            await etcd.kill()
            self._etcd_state = "stopped"

    async def _start_etcd(self, etcd: EtcdProcess) -> None:
        starting = asyncio.ensure_future(etcd.start())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
        finally:
            for waiting in (starting, stopped):
                waiting.cancel()
            await asyncio.wait({starting, stopped})
        self._etcd_state = "running" if etcd.running else "stopped"
        self._changed()

    async def _grant(self, etcd: EtcdProcess) -> None:
        """Have etcd know who may do what, before anybody else comes."""
        prefix = f"/quorate/{self.plan.cluster}/".encode()
        try:
            async with EtcdClient([etcd.endpoint], tls=etcd.tls) as client:
                await grant(client, self.plan.etcd_subjects, prefix)
        except EtcdError as error:
            raise unavailable(
                "ETCD_USERS_UNUSABLE", f"etcd's users cannot be made: {error}"
            ) from error

    async def _watch_etcd(self, etcd: EtcdProcess) -> None:
        """Start etcd again when it ends. Its port is kept, so everyone finds it again."""
        backoff = Backoff(0.1, 5.0)
        while True:
            await asyncio.sleep(_LOOK)
            if self._unpublished:
                self._changed()
            if etcd.running:
                continue
            self._etcd_state = "restarting"
            self._changed()
            try:
                await etcd.start()
            except QuorateError:
                # Its log has the reason; the schedulers go on trying, and so do we.
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._etcd_restarts += 1
            self._etcd_state = "running"
            self._changed()

    async def _come_up(self) -> None:
        """Wait for a leader and every node; for a while for standbys, too."""
        for child in self._children:
            await child.ready.wait()
        calls = AsyncCalls(self.snapshot.access, retry_for=1.0)
        began = time.monotonic()
        end = began + _START_TIMEOUT
        nodes = standing = 0
        try:
            while True:
                with contextlib.suppress(QuorateError):
                    request = scheduler_pb2.GetClusterRequest()
                    cluster = (await calls.call(GET_CLUSTER, request, deadline=1.0)).cluster
                    nodes, standing = cluster.nodes, len(cluster.schedulers)
                late = time.monotonic() > began + _STANDBY_TIMEOUT
                if nodes >= self.plan.nodes and (late or standing >= len(self._schedulers)):
                    break
                if time.monotonic() > end:
                    raise unavailable(
                        "CLUSTER_DID_NOT_START",
                        f"the cluster has {nodes} of {self.plan.nodes} nodes after "
                        f"{_START_TIMEOUT:g} s; logs: {self._directory.path / 'logs'}",
                    )
                await asyncio.sleep(_LOOK)
        finally:
            await calls.close()
        self._ready = True
        self._changed()

    async def _stop_all(self, etcd: EtcdProcess, watchers: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(
            *(child.stop(_STOP_NODE) for child in self._nodes),
            *(child.stop(_STOP_GATEWAY) for child in self._gateways),
        )
        await asyncio.gather(*(child.stop(_STOP_SCHEDULER) for child in self._schedulers))
        for watcher in watchers:
            watcher.cancel()
        await asyncio.wait(watchers)
        await etcd.stop()

    def _scheduler(self, name: str, port: int) -> Child:
        assert self._etcd is not None
        argv = self.plan.scheduler_argv(name, port, self._etcd.endpoint)
        return self._child(name, "scheduler", argv, port, self._environment())

    def _node(self, name: str, port: int) -> Child:
        assert self._etcd is not None
        argv = self.plan.node_argv(name, port, self._etcd.endpoint)
        # Functions of the folder in which the cluster was started can be imported by its tasks.
        environment = self._environment(str(Path.cwd()))
        # Tasks that submit tasks find this cluster; the agent's own folder is named by its flag.
        environment["QUORATE_DATA_DIR"] = str(self.plan.data_dir.absolute())
        return self._child(name, "node", argv, port, environment)

    def _gateway(self, port: int) -> Child:
        schedulers = [child.address for child in self._schedulers]
        doors = self._ports.get(AMQP, 0), self._ports.get(MANAGEMENT, 0)
        argv = self.plan.gateway_argv(port, schedulers, *doors)
        return self._child("gateway", "gateway", argv, port, self._environment())

    @property
    def _children(self) -> list[Child]:
        return [*self._schedulers, *self._nodes, *self._gateways]

    def _child(
        self, name: str, role: str, argv: list[str], port: int, environment: dict[str, str]
    ) -> Child:
        health = f"{HOST}:{self._ports[health_of(name)]}"
        return Child(
            name,
            role,
            [*argv, "--health-listen", health],
            f"{HOST}:{port}",
            self._directory.log_path(name),
            environment,
            self._changed,
            health,
        )

    def _environment(self, *paths: str) -> dict[str, str]:
        """Ours without what would override flags, with the package's own folder to import from."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED_ON)}
        package = Path(quorate.__file__).resolve().parents[1]
        search = [str(package), *paths, os.environ.get("PYTHONPATH", "")]
        kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in search if path))
        kept["PYTHONUNBUFFERED"] = "1"
        return {**kept, **self.plan.environment}

    def _changed(self) -> None:
        if self._running:
            snapshot = self.snapshot
            try:
                self._directory.publish(snapshot)
            except OSError as error:
                if not self._ready:
                    path = self._directory.path
                    raise precondition(
                        "DATA_DIR_UNUSABLE", f"{path} cannot be written: {error.strerror}"
                    ) from error
                # On a full disk what runs goes on; `_watch_etcd` tries again.
                self._unpublished = True
            else:
                self._unpublished = False
            self._on_change(snapshot)


def _first(errors: BaseExceptionGroup[QuorateError]) -> QuorateError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, QuorateError)
    return found
