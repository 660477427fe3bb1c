"""What a local cluster consists of: names, ports and command lines. No I/O but claiming ports."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quorate.blobs.urls import check_url
from quorate.local.certificates import ADMIN, CLIENT, OPERATOR, Certificates
from quorate.local.credentials import Credentials
from quorate.local.ports import HOST, PortClaims
from quorate.runtime.errors import invalid, unavailable
from quorate.security.tls.dialer import ClientTls

GATEWAY = "gateway:gateway"
# The folder of large values in the data directory.
BLOBS = "blobs"
MAX_TXN_OPS = 1024
# Seconds that running attempts get when the cluster is stopped; then they are returned, and
# run again when it is started again.
DRAIN_GRACE = 5.0
# Where people look for the dashboard first.
GATEWAY_PORT = 7470
# Where clients of RabbitMQ look: plaintext, and with TLS.
AMQP_PORT, AMQPS_PORT = 5672, 5671
MANAGEMENT_PORT, MANAGEMENT_TLS_PORT = 15672, 15671
# Under what the port of the gateway's AMQP door is kept.
AMQP = "amqp"
MANAGEMENT = "amqp-management"
# Seconds that requests may go on when the cluster is stopped.
GATEWAY_GRACE = 2
# Below the range from which the kernel draws ports of outgoing connections, so that nobody takes
# the port of a process that is being restarted.
_PORTS = range(20_000, 32_000)
_CLUSTER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def default_slots(nodes: int) -> int:
    """Slots of each node: all nodes together have one for each core, and at least one each."""
    return max(1, (os.cpu_count() or 1) // nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlan:
    """What to run."""

    data_dir: Path
    cluster: str = "local"
    schedulers: int = 2
    nodes: int = 3
    slots: int = 0
    """Of each node; 0: by the number of cores."""
    port: int = 0
    """Of the first scheduler, the others follow; 0: free ones, kept over restarts."""
    gateway: bool = False
    """Also one gateway: dashboard and REST API."""
    gateway_port: int = 0
    """0: `GATEWAY_PORT` where it is free, else another one, kept over restarts."""
    amqp: bool = False
    """The gateway also serves AMQP 0-9-1."""
    amqp_port: int = 0
    """0: `AMQP_PORT` (`AMQPS_PORT` with TLS) where it is free, else another one."""
    tls: bool = False
    """Mutual TLS between all processes but etcd, and HTTPS at the gateway."""
    secure: bool = False
    """As `tls`, with etcd too, and whoever calls has to show a token."""
    lease_ttl: float = 2.0
    """Seconds after which a silent leader or node is given up."""
    scheduler_command: tuple[str, ...] = (sys.executable, "-P", "-m", "scheduler")
    node_command: tuple[str, ...] = (sys.executable, "-P", "-m", "node_agent")
    gateway_command: tuple[str, ...] = (sys.executable, "-P", "-m", "gateway")
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of schedulers, nodes and the gateway."""

    def __post_init__(self) -> None:
        if not _CLUSTER.fullmatch(self.cluster):
            raise invalid(
                "cluster",
                f"{self.cluster!r} must be 1 to 64 characters of a-z 0-9 . _ -, "
                "the first a letter or digit",
            )
        for name, value, least, most in (
            ("schedulers", self.schedulers, 1, 9),
            ("nodes", self.nodes, 1, 64),
            ("slots", self.slots, 0, 1024),
        ):
            if not least <= value <= most:
                raise invalid(name, f"{value} must be {least} to {most}", limit=most)
        if self.port and not 1024 <= self.port <= 65_535 - self.schedulers:
            raise invalid("port", f"{self.port} must be 1,024 to {65_535 - self.schedulers:,}")
        for name, port in (("gateway-port", self.gateway_port), ("amqp-port", self.amqp_port)):
            if port and not 1024 <= port <= 65_535:
                raise invalid(name, f"{port} must be 1,024 to 65,535")
            if self.port and self.gateway and 0 <= port - self.port < self.schedulers:
                raise invalid(name, f"{port} is a scheduler's by `port`")
        if self.amqp and not self.gateway:
            raise invalid("amqp", "is served by the gateway; leave out --no-gateway")
        if self.amqp_port and self.amqp_port == self.gateway_port:
            raise invalid("amqp-port", f"{self.amqp_port} is the gateway's by `gateway_port`")

    @property
    def slots_each(self) -> int:
        """Slots of each node."""
        return self.slots or default_slots(self.nodes)

    @property
    def scheduler_names(self) -> list[str]:
        """`s1`, `s2`, ..."""
        return [f"s{number + 1}" for number in range(self.schedulers)]

    @property
    def node_names(self) -> list[str]:
        """`n1`, `n2`, ..."""
        return [f"n{number + 1}" for number in range(self.nodes)]

    def choose_ports(self, remembered: Mapping[str, int], claims: PortClaims) -> dict[str, int]:
        """A port for each process by name (and `etcd-peer`), and one for the health of each of
        ours: `health_of(name)`. They are ours for as long as `claims` is open.

        Those of last time where they are free. Raises QuorateError (PORT_IN_USE) when `port` or
        another one was asked for and it, or one of those that follow it, is taken.
        """
        ports: dict[str, int] = {}
        if self.port:
            for offset, name in enumerate(self.scheduler_names):
                ports[name] = self._wanted(self.port + offset, "--port", claims)
        names = ["etcd", "etcd-peer", *self.scheduler_names, *self.node_names]
        # Also of names whose turn is later, or that are not there this time: a port that is drawn
        # must not be one that another is to have again.
        kept = {*remembered.values()}
        doors = []
        if self.gateway:
            names.append("gateway")
            doors.append(("gateway", self.gateway_port, "--gateway-port", GATEWAY_PORT))
        if self.amqp:
            usual = AMQPS_PORT if self.tls or self.secure else AMQP_PORT
            doors.append((AMQP, self.amqp_port, "--amqp-port", usual))
            usual = MANAGEMENT_TLS_PORT if self.tls or self.secure else MANAGEMENT_PORT
            doors.append((MANAGEMENT, 0, "", usual))
        for name, asked, flag, usual in doors:
            if asked:
                ports[name] = self._wanted(asked, flag, claims)
            elif name not in remembered:
                taken = kept.union(ports.values())
                if usual not in taken and claims.take(usual, hold=self.same_user):
                    ports[name] = usual
        more = [AMQP, MANAGEMENT] if self.amqp else []
        for name in [*names, *more, *map(health_of, names[2:])]:
            if name in ports:
                continue
            port = remembered.get(name, 0)
            taken = {*ports.values()}
            # No other process may listen where one of this cluster has just ended. (etcd has a
            # socket in a folder that is this user's alone.)
            hold = self.same_user and not name.startswith("etcd")
            if not port or port in taken or not claims.take(port, hold=hold):
                taken |= kept
                port = random.choice(_PORTS)
                while port in taken or not claims.take(port, hold=hold):
                    port = random.choice(_PORTS)
            ports[name] = port
        return ports

    def _wanted(self, port: int, flag: str, claims: PortClaims) -> int:
        if not claims.take(port, hold=self.same_user):
            raise unavailable(
                "PORT_IN_USE",
                f"port {port} of {HOST} is in use, or was a minute ago; choose another with {flag}",
                port=port,
            )
        return port

    @property
    def blob_url(self) -> str:
        """A folder in the data directory for large values; "" where no URL has its name."""
        try:
            return check_url(f"file://{self.data_dir.absolute() / BLOBS}")
        except ValueError:
            return ""

    def scheduler_argv(self, name: str, port: int, etcd: str) -> list[str]:
        """Command line of one scheduler."""
        return [
            *self.scheduler_command,
            *("--etcd", etcd, "--cluster", self.cluster, "--name", name),
            *("--listen", f"{HOST}:{port}", "--etcd-max-txn-ops", str(MAX_TXN_OPS)),
            *("--lease-ttl", f"{self.lease_ttl:g}", "--blob-url", self.blob_url),
            *self._tls_flags(f"scheduler:{name}"),
            *self._etcd_flags(f"scheduler:{name}"),
            *self._same_user_flag(),
            *self._auth_flags(),
            # Whoever has the gateway's certificate has all of them, as all are this user's.
            *(("--auth-trust-gateways",) if self.secure and self.amqp else ()),
        ]

    def node_argv(self, name: str, port: int, etcd: str) -> list[str]:
        """Command line of one node agent."""
        return [
            *self.node_command,
            *("--etcd", etcd, "--cluster", self.cluster, "--name", name),
            *("--listen", f"{HOST}:{port}", "--slots", str(self.slots_each)),
            *("--data-dir", str(self.data_dir / name)),
            *("--drain-grace", f"{DRAIN_GRACE:g}", "--blob-url", self.blob_url),
            # The user's own machine: tasks see what a program in the same terminal would.
            *("--task-env", "*"),
            *self._tls_flags(f"node:{name}"),
            *self._same_user_flag(),
            *self._etcd_flags(f"node:{name}"),
        ]

    def gateway_argv(
        self, port: int, schedulers: Sequence[str], amqp: int = 0, management: int = 0
    ) -> list[str]:
        """Command line of the gateway. `amqp`, `management`: ports of its AMQP door and of the API
        beside it; 0: it has none."""
        return [
            *self.gateway_command,
            *("--listen", f"{HOST}:{port}", "--schedulers", ",".join(schedulers)),
            *("--grace", str(GATEWAY_GRACE), "--cluster", self.cluster),
            *(("--amqp", f"{HOST}:{amqp}") if amqp else ()),
            *(("--amqp-management", f"{HOST}:{management}") if management else ()),
            *self._tls_flags(GATEWAY),
            *self._tls_flags(GATEWAY, "scheduler-tls"),
            *self._same_user_flag(),
            *(("--auth", "bearer") if self.secure else ()),
        ]

    @property
    def certificates(self) -> Certificates | None:
        """Where they are, with `tls` or `secure`."""
        locked = self.tls or self.secure
        return Certificates(self.data_dir.absolute() / "certs") if locked else None

    @property
    def etcd_certificates(self) -> Certificates | None:
        """Those for etcd, with `secure`: of another CA, so that no certificate of the cluster's own
        opens etcd, and none of etcd's the cluster."""
        return Certificates(self.data_dir.absolute() / "certs" / "etcd") if self.secure else None

    @property
    def credentials(self) -> Credentials | None:
        """Where the tokens are, with `secure`."""
        return Credentials(self.data_dir.absolute()) if self.secure else None

    @property
    def client(self) -> ClientTls | None:
        """What clients on this machine show: with `secure` a certificate that is nobody's, so that
        the token alone says who calls."""
        certificates = self.certificates
        return None if certificates is None else certificates.of(CLIENT if self.secure else ADMIN)

    @property
    def same_user(self) -> bool:
        """Whether processes of other users are refused: where no token says who calls."""
        return not self.secure and sys.platform.startswith("linux")

    @property
    def etcd_client(self) -> ClientTls | None:
        """What etcd's clients on this machine show, with `secure`."""
        certificates = self.etcd_certificates
        return None if certificates is None else certificates.of(OPERATOR)

    @property
    def etcd_flags(self) -> tuple[str, ...]:
        """More flags for etcd."""
        return self.etcd_certificates.etcd_flags if self.etcd_certificates else ()

    @property
    def etcd_subjects(self) -> list[str]:
        """Who may do something in etcd, with `secure`."""
        subjects = [OPERATOR, *(f"scheduler:{name}" for name in self.scheduler_names)]
        return subjects + [f"node:{name}" for name in self.node_names]

    @property
    def subjects(self) -> list[str]:
        """Who needs a certificate, with `tls` or `secure`."""
        subjects = [CLIENT if self.secure else ADMIN]
        subjects += [f"scheduler:{name}" for name in self.scheduler_names]
        subjects += [f"node:{name}" for name in self.node_names]
        return [*subjects, GATEWAY] if self.gateway else subjects

    def _tls_flags(self, subject: str, prefix: str = "tls") -> list[str]:
        return [] if self.certificates is None else self.certificates.flags(subject, prefix)

    def _etcd_flags(self, subject: str) -> list[str]:
        return (
            [] if self.etcd_certificates is None else self.etcd_certificates.flags(subject, "etcd")
        )

    def _same_user_flag(self) -> list[str]:
        return ["--same-user"] if self.same_user else []

    def _auth_flags(self) -> list[str]:
        if self.credentials is None:
            # Callers are programs of the user whose cluster it is (`same_user`): they have no role
            # and show no token.
            return ["--auth", "none"]
        tokens = str(self.credentials.tokens_file)
        return ["--auth", "mtls,tokens", "--auth-tokens-file", tokens]


def health_of(name: str) -> str:
    """Under what a process's health port is kept."""
    return f"{name}-health"
