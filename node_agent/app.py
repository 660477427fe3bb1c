"""Assembles one agent process and takes it down in order.

Start: lock the data directory, start the spawner and the workers, serve, register, say `ready`.
Stop (SIGTERM, SIGINT): take no more work, return what waits, let what runs go on for the grace,
end the rest, wait for the leader to acknowledge the reports, revoke the lease, leave with 0.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from node_agent.config import AgentSettings
from node_agent.engine.disk import make_room
from node_agent.engine.driver import Driver
from node_agent.engine.spans import AttemptSpans
from node_agent.executors.link import directory_mark
from node_agent.executors.worker_program import WorkerLimits
from node_agent.logs import retention as log_retention
from node_agent.logs.attempt_log import LogStore
from node_agent.logs.retention import Retention
from node_agent.services.instance_records import InstanceRecords
from node_agent.session.leader_check import LeaderCheck
from node_agent.session.name_conflict import NodeHealth, is_alive
from node_agent.session.registration import CannotRegister, Registration, Replaced
from node_agent.session.servicer import SERVICE, NodeAgent
from node_agent.session.session import Sessions
from node_agent.telemetry import stats
from node_agent.telemetry.metrics import AgentMetrics
from quorate import __version__
from quorate.etcd.api import EtcdError
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.versions import SafeEtcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import instance_id
from quorate.runtime.network.keepalive import server_keepalive
from quorate.runtime.pending import PENDING_OPTIONS
from quorate.runtime.process.startup import CannotStart
from quorate.runtime.timing.clock import Clock, SystemClock
from quorate.runtime.typed_requests import serve_reflection, typed
from quorate.security.guard import Guard, GuardInterceptor
from quorate.security.permissions import rules_of
from quorate.security.same_user import SameUser, SameUserInterceptor
from quorate.security.settings import CertificatesOnly
from quorate.security.tls.server import TlsError, dialer_of, server_credentials
from quorate.telemetry.certificates import CertificateMetrics
from quorate.telemetry.channelz import serve_channelz
from quorate.telemetry.server import HealthServer
from quorate.telemetry.spans import Spans
from quorate.v1 import node_agent_pb2

_log = structlog.get_logger("node_agent")

MAX_MESSAGE = 16 * 1024 * 1024
# How long a leaving agent waits for the leader to acknowledge its last reports.
ACKNOWLEDGE_SECONDS = 2.0
# How long an ending agent keeps its port open for a leader that has not ended its session.
_LAST_SESSION_SECONDS = 1.0
# How long after the last kill the processes must be gone.
_KILLED_SECONDS = 2.0

_SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    *server_keepalive(),
    *PENDING_OPTIONS,
)


class _Serving(NamedTuple):
    address: str
    server: grpc.aio.Server
    health: NodeHealth


async def run(settings: AgentSettings) -> None:
    """One agent from start to end. Raises CannotStart, CannotRegister or Replaced."""
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with locked(settings.data_dir) as data:
        mark = directory_mark(data)
        try:
            secrets = settings.secrets()
            confinement = settings.confinement(data, mark)
        except ValueError as error:
            raise CannotStart(f"--{error}") from None
        instances = InstanceRecords(settings.prefix)
        instance = instance_id()
        spans = _spans(settings, clock)
        try:
            make_room(data, data / "logs", int(settings.disk_reserve))
            private = confinement.user is not None
            node = Driver(
                slots=settings.slot_count,
                node=settings.name,
                instance=instance,
                data=data,
                mark=mark,
                clock=clock,
                logs=LogStore(data, int(settings.log_cap), private=private),
                directory=os.getcwd(),
                kill_grace=settings.kill_grace,
                limits=WorkerLimits(
                    settings.worker_max_tasks,
                    int(settings.worker_max_memory),
                    settings.max_result_kib << 10,
                    settings.blob_url,
                    settings.max_blob_mib << 20,
                ),
                host=(settings.advertise or settings.listen).rpartition(":")[0],
                labels=settings.label_map,
                records=instances,
                confinement=confinement,
                secrets=secrets,
                disk_reserve=int(settings.disk_reserve),
                max_yielded=settings.yield_limit,
                spans=spans,
            )
        except OSError as error:
            raise CannotStart(f"data directory {data}: {error.strerror}") from error
        async with client_of(settings) as etcd, node as driver:
            safe = SafeEtcd(etcd, settings)
            await refuse_unsafe(safe)
            await driver.disk.look()  # no session finds a node ready that cannot write
            check = LeaderCheck(etcd, settings.prefix)
            sessions = Sessions(driver, clock, instance, check)
            credentials = server_credentials(settings) if settings.tls else None
            serving = await serve(
                settings.listen,
                settings.advertise,
                driver,
                sessions,
                credentials,
                guarded=settings.mutual_tls,
                channelz=settings.channelz,
                owner=settings.owner,
            )

            record = NodeRecord(
                name=settings.name,
                instance=sessions.instance,
                address=serving.address,
                slots=settings.slot_count,
                capacity=settings.capacity,
                labels=settings.label_map,
                version=__version__,
                takes_chunks=True,
                taints=settings.taint_list,
                takes_signals=True,
                takes_hooks=True,
                takes_messages=True,
                takes_reduces=True,
                ends_subtasks=True,
                announces_end=True,
            )
            registration = Registration(
                etcd,
                settings.prefix + f"nodes/{settings.name}".encode(),
                record,
                settings.lease_ttl,
                clock,
                driver.lease_confirmed,
                instances.on_lease_lost,
                instances.on_registered,
                before=safe,
                alive=partial(is_alive, dialer=dialer_of(settings.client_tls)),
            )
            probes = HealthServer(
                settings.health_listen,
                "node_agent",
                AgentMetrics(driver, sessions, clock, lambda: registration.lease),
                CertificateMetrics(settings),
                ready=partial(not_ready, registration, driver, sessions),
                cluster=settings.cluster,
                owner=settings.owner,
            )
            await probes.start()
            retention = Retention(settings.log_age, int(settings.log_total))
            duties = [
                asyncio.ensure_future(registration.keep()),
                asyncio.ensure_future(instances.run(etcd)),
                asyncio.ensure_future(stats.run(data, driver.disk, sessions.report_stats)),
                asyncio.ensure_future(driver.disk.run()),
                asyncio.ensure_future(log_retention.run(driver.logs, retention, clock)),
            ]
            ready = asyncio.ensure_future(_say_ready(settings, registration, sessions, serving))
            stopping = asyncio.ensure_future(stop.wait())
            try:
                done, _ = await asyncio.wait(
                    (stopping, *duties), return_when=asyncio.FIRST_COMPLETED
                )
                for duty in done:
                    duty.result()
                await leave(driver, serving, settings)
                await registration.announce_end()
            finally:
                for duty in (stopping, ready, *duties):
                    duty.cancel()
                await asyncio.gather(stopping, ready, *duties, return_exceptions=True)
                await registration.close()
                # The leader ends its session once it has read the record. Before that a closed
                # port would look like a crash.
                await sessions.until_left(_LAST_SESSION_SECONDS)
                await serving.server.stop(0.2)
                await probes.close()
                if driver.spans is not None:
                    await asyncio.to_thread(driver.spans.close)
    _log.info("stopped")


async def serve(
    listen: str,
    advertise: str,
    driver: Driver,
    sessions: Sessions,
    credentials: grpc.ServerCredentials | None = None,
    *,
    guarded: bool = False,
    channelz: bool = False,
    owner: SameUser | None = None,
) -> _Serving:
    """Start the gRPC server, plaintext without credentials. CannotStart when the port is taken.

    A guarded one takes orders from `scheduler:` certificates alone, one with an owner from that
    user's processes alone.
    """
    interceptors: list[grpc.aio.ServerInterceptor] = []  # type: ignore[type-arg]
    own = None if owner is None else SameUserInterceptor(owner)
    if own is not None:
        interceptors.append(own)
    if guarded:
        rules = rules_of(node_agent_pb2.DESCRIPTOR.services_by_name.values())
        interceptors.append(GuardInterceptor(Guard(CertificatesOnly(), rules)))
    # As schedulers have it: only a supervisor of this user shares the port.
    reuse = ("grpc.so_reuseport", int(own is not None))
    server = grpc.aio.server(interceptors=interceptors, options=(reuse, *_SERVER_OPTIONS))
    server.add_generic_rpc_handlers((NodeAgent(driver, sessions).handler(),))
    checks = NodeHealth(lambda: sessions.instance)
    health_pb2_grpc.add_HealthServicer_to_server(checks, typed(server))
    names: tuple[str, ...] = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    names += serve_channelz(server, wanted=channelz)
    serve_reflection((*names, reflection.SERVICE_NAME), server)
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError:
        port = 0
    if not port:
        raise CannotStart(
            f"cannot listen on {listen}: the port is in use, or the address is not one of this "
            "machine"
        )
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    host = listen.rpartition(":")[0]
    if own is not None:
        own.listens_at((host, port))
    await server.start()
    return _Serving(advertise or f"{host}:{port}", server, checks)


def _spans(settings: AgentSettings, clock: Clock) -> AttemptSpans | None:
    if not settings.otlp_endpoint:
        return None
    try:
        spans = Spans(settings.otlp_endpoint, "node_agent", settings.name)
    except QuorateError as error:
        raise CannotStart(error.message) from error
    return AttemptSpans(spans, settings.name, clock)


async def not_ready(registration: Registration, driver: Driver, sessions: Sessions) -> str:
    """Why this node should not count as one that takes work; empty when it should.

    An etcd that is silent for a while does not make it unready: its work goes on.
    """
    if registration.lease is None:
        return "not registered in etcd"
    if driver.machine.draining:
        return "draining"
    if driver.disk.error:
        return f"cannot write to its disk: {driver.disk.error}"
    # Whoever scales down ends first what is not ready: docs/autoscaling.md.
    return "leaving: idle, and fewer nodes are wanted" if sessions.scaling_down else ""


async def leave(driver: Driver, serving: _Serving, settings: AgentSettings) -> None:
    """Drain, as SIGTERM asks."""
    _log.info("draining", attempts=driver.machine.held, grace=settings.drain_grace)
    await serving.health.enter_graceful_shutdown()
    driver.drain(True, settings.drain_grace, shutting_down=True)
    patience = settings.drain_grace + settings.kill_grace + _KILLED_SECONDS
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await driver.until_idle()
    deadline = asyncio.get_running_loop().time() + ACKNOWLEDGE_SECONDS
    # Also without a session: the next leader dials within that time, and what is not
    # acknowledged is run again elsewhere.
    while reports := driver.machine.unacknowledged:
        if asyncio.get_running_loop().time() > deadline:
            _log.warning("reports_not_acknowledged", reports=reports)
            break
        await asyncio.sleep(0.01)


async def _say_ready(
    settings: AgentSettings, registration: Registration, sessions: Sessions, serving: _Serving
) -> None:
    await registration.registered.wait()
    line = (
        f"node_agent ready name={settings.name} address={serving.address} "
        f"instance={sessions.instance}\n"
    )
    sys.stdout.write(line)
    sys.stdout.flush()


def client_of(settings: AgentSettings) -> EtcdClient:
    """The etcd client. Raises CannotStart when a named file cannot be read."""
    try:
        return EtcdClient.from_settings(settings)
    except OSError as error:
        raise CannotStart(f"{error.filename}: {error.strerror}") from error
    except TlsError as failure:
        raise CannotStart(f"--{failure}") from failure


async def refuse_unsafe(safe: SafeEtcd) -> None:
    """Refuse an etcd that loses what it acknowledged; one that is away is asked again later.

    Raises CannotStart.
    """
    try:
        await safe()
    except QuorateError as error:
        raise CannotStart(error.message) from error
    except EtcdError:
        # The first registration asks again before it writes. It tries for a while, and says so
        # when it is in vain.
        return


@contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Own the data directory. Raises CannotStart when another agent does, or it cannot be made."""
    try:
        data = directory.resolve()
        data.mkdir(parents=True, exist_ok=True)
        # Closed to others: who may open it may lock it, and keep the next agent out.
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        file = open(lock, "r+b", buffering=0)  # noqa: SIM115 (closed below)
        os.fchmod(lock, 0o600)
    except OSError as error:
        raise CannotStart(f"data directory {directory}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"data directory {data} is in use by another agent") from None
        yield data


__all__ = ["CannotRegister", "Replaced", "run"]
