"""The scheduler process: a server, a replica, a candidacy.

Every replica serves from its first moment: calls are answered here while this process leads, and
forwarded to the leader while it does not. SIGTERM: health NOT_SERVING, the journal flushed, the
lease revoked so that the next one leads at once, then the process ends with its connections.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
import zoneinfo
from collections.abc import Sequence
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from quorate import __version__
from quorate.etcd.api import EtcdError
from quorate.etcd.client import EtcdClient
from quorate.etcd.election import Election
from quorate.etcd.server.versions import SafeEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import instance_id
from quorate.runtime.network.keepalive import server_keepalive
from quorate.runtime.pending import PENDING_OPTIONS
from quorate.runtime.process.startup import CannotStart
from quorate.runtime.timing.clock import SystemClock
from quorate.runtime.typed_requests import serve_reflection
from quorate.security.guard import Guard, GuardInterceptor
from quorate.security.limits import CallerLimits
from quorate.security.permissions import rules_of
from quorate.security.same_user import SameUserInterceptor
from quorate.security.tls.server import TlsError, dialer_of, server_credentials
from quorate.telemetry.certificates import CertificateMetrics
from quorate.telemetry.channelz import serve_channelz
from quorate.telemetry.server import HealthServer
from quorate.telemetry.spans import Spans
from scheduler.api.forwarding.forward import ForwardingHandlers
from scheduler.api.forwarding.role import Leader, Roles
from scheduler.api.servicers import SERVED
from scheduler.config import SchedulerSettings
from scheduler.engine.long_work.garbage import keep_out_of_sight
from scheduler.engine.plugins import load_plugins
from scheduler.engine.spans import TaskSpans
from scheduler.leadership.elector import Leadership
from scheduler.leadership.failure_detector import LeaderWatch
from scheduler.leadership.leader_view import follow_election
from scheduler.leadership.term import LeadershipTerm
from scheduler.storage import keys, record_kinds
from scheduler.storage.records import NewerRecord
from scheduler.telemetry.health import SERVICE, InstanceHealth
from scheduler.telemetry.metrics import SchedulerMetrics
from scheduler.telemetry.readiness import Readiness
from scheduler.telemetry.replica_metrics import ReplicaMetrics

log = structlog.get_logger(__name__)

_MESSAGE_BYTES = 20 << 20
_STOP_GRACE = 0.5


async def serve(settings: SchedulerSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises CannotStart."""
    # Not the system's time zones: all schedulers are to have those of the package tzdata.
    zoneinfo.reset_tzpath(())
    clock = SystemClock()
    instance = instance_id()
    try:
        etcd = EtcdClient.from_settings(settings)
    except OSError as error:
        raise CannotStart(f"{error.filename}: {error.strerror}") from error
    except TlsError as failure:
        raise CannotStart(f"--{failure}") from failure
    dialer = dialer_of(settings.client_tls)
    roles = Roles(instance)
    health_service = InstanceHealth(instance)
    health_service.set(SERVICE, serving=False)
    metrics = SchedulerMetrics(roles)
    session_key = secrets.token_bytes(32)
    spans = _spans(settings)
    plugins = load_plugins(metrics.plugin_failed)
    term = LeadershipTerm(
        *(settings, etcd, clock, roles, health_service, metrics, dialer, session_key, spans),
        plugins=plugins,
    )
    forwarding = [
        ForwardingHandlers(service, roles, dialer=dialer, observer=metrics, limits=term.callers)
        for service in SERVED
    ]
    server, port = _bind(settings, _guarded(settings, term.callers))
    server.add_generic_rpc_handlers(tuple(each.handler() for each in forwarding))
    health_service.register(server)
    serve_reflection(
        (
            *(service.full_name for service in SERVED),
            health.SERVICE_NAME,
            reflection.SERVICE_NAME,
            *serve_channelz(server, wanted=settings.channelz),
        ),
        server,
    )
    host = settings.listen.rpartition(":")[0]
    address = settings.advertise or f"{host}:{port}"
    election = Election(etcd, settings.prefix + keys.ELECTION)
    candidate = CandidateRecord(
        name=settings.name,
        instance=instance,
        address=address,
        version=__version__,
        session_key=session_key,
        record_kinds=record_kinds.RECORD_KINDS,
    )
    leadership = Leadership(
        etcd,
        election,
        candidate,
        term.lead,
        clock=clock,
        ttl=settings.lease_ttl,
        loaded=term.loaded,
    )
    probes = HealthServer(
        settings.health_listen,
        "scheduler",
        metrics,
        ReplicaMetrics(
            roles,
            clock,
            metrics.tasks,
            rows=term.rows,
            loaded=term.loaded.is_set,
            generation=term.generation,
            refused=lambda: term.callers.refused,
            lease=lambda: leadership.lease,
        ),
        CertificateMetrics(settings),
        ready=Readiness(roles, etcd, term.loaded, clock),
        cluster=settings.cluster,
        owner=settings.owner,
    )
    try:
        await _check_etcd(etcd, settings)
        await server.start()
        watch = LeaderWatch(etcd, clock, instance, dialer=dialer, revoked=leadership.look_again)

        def seen(leader: Leader | None) -> None:
            roles.seen(leader)
            metrics.seen(leader)
            watch.follow(leader)

        await probes.start()

        # Read by whoever started this process.
        sys.stdout.write(
            f"scheduler ready name={settings.name} address={address} instance={instance}\n"
        )
        sys.stdout.flush()
        stop = _stop_signal()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow_election(election, seen), name="election view")
            tasks.create_task(watch.run(), name="failure detector")
            tasks.create_task(term.stand_by(), name="stand by")
            tasks.create_task(keep_out_of_sight(term.rows), name="garbage")
            leading = tasks.create_task(leadership.run(), name="leadership")
            await stop.wait()
            log.info("shutting_down", name=settings.name)
            # The lease goes first: from then on the next leader is elected while this process
            # still forwards to it what its callers ask.
            leading.cancel()
            await asyncio.wait((leading,))
            health_service.shut_down()
            # The view of the election lives as long as the listener: late calls are forwarded.
            await asyncio.gather(*(each.leave(_STOP_GRACE) for each in forwarding))
            if spans is not None:
                await asyncio.to_thread(spans.close)
            # Not `server.stop`: gRPC ends calls that arrive just then with CANCELLED, as if their
            # callers had done it. A connection that breaks is UNAVAILABLE: they ask another one.
            sys.stdout.flush()
            os._exit(0)
    except BaseExceptionGroup as group:
        newer = group.subgroup(NewerRecord)
        if newer is None:
            raise
        raise CannotStart(
            f"{newer.exceptions[0]}; run the newer version of the scheduler"
        ) from group
    finally:
        await probes.close()
        await server.stop(None)
        for each in forwarding:
            await each.close()
        await etcd.close()


def _guarded(settings: SchedulerSettings, callers: CallerLimits) -> Sequence[Any]:
    """What authenticates callers; nothing where that is off."""
    if not settings.auth_ways:
        return ()
    try:
        rules = rules_of(SERVED)
        return (GuardInterceptor(Guard(settings, rules, limits=callers)),)
    except ValueError as error:
        raise CannotStart(str(error)) from error


def _bind(settings: SchedulerSettings, interceptors: Sequence[Any]) -> tuple[grpc.aio.Server, int]:
    owner = settings.owner
    own = None if owner is None else SameUserInterceptor(owner)
    server = grpc.aio.server(
        interceptors=interceptors if own is None else (own, *interceptors),
        options=(
            # Two processes on one port would share its calls by chance; one user's supervisor
            # holds the port for one process.
            ("grpc.so_reuseport", int(settings.same_user)),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            *server_keepalive(settings.keepalive, settings.keepalive_timeout),
            *PENDING_OPTIONS,
        ),
    )
    try:
        if settings.tls:
            port = server.add_secure_port(settings.listen, server_credentials(settings))
        else:
            port = server.add_insecure_port(settings.listen)
    except RuntimeError:
        port = 0
    if port == 0:
        raise CannotStart(
            f"cannot listen on {settings.listen}: the port is in use, or the address is not one "
            "of this machine"
        )
    if own is not None:
        own.listens_at((settings.listen.rpartition(":")[0], port))
    return server, port


async def _check_etcd(etcd: EtcdClient, settings: SchedulerSettings) -> None:
    """Wait for etcd a while, and refuse one that loses what it acknowledged."""
    until = time.monotonic() + settings.etcd_wait
    safe = SafeEtcd(etcd, settings)
    while True:
        try:
            await safe()
            return
        except QuorateError as error:
            raise CannotStart(error.message) from error
        except EtcdError as error:
            if time.monotonic() >= until:
                raise CannotStart(
                    f"no etcd answers at {settings.etcd} within {settings.etcd_wait:g} s ({error})"
                ) from error
            await asyncio.sleep(0.2)


def _spans(settings: SchedulerSettings) -> TaskSpans | None:
    if not settings.otlp_endpoint:
        return None
    try:
        return TaskSpans(Spans(settings.otlp_endpoint, "scheduler", settings.name))
    except QuorateError as error:
        raise CannotStart(error.message) from error


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
