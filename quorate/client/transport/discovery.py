"""Where the cluster is and how to speak to it, when the program does not say.

Order: the argument, `QUORATE_ADDRESS`, then `cluster.json` of the local cluster that
`quorate up` runs; likewise for TLS (`QUORATE_TLS_CA_FILE`, `QUORATE_TLS_CERT_FILE`,
`QUORATE_TLS_KEY_FILE`) and the caller's token (`QUORATE_TOKEN`, `QUORATE_TOKEN_FILE`, or the one
that the local cluster has). This module also owns that file's format, and the meaning of the lock
beside it, since SDK and supervisor share them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc

from quorate.client.transport.access import Access
from quorate.client.transport.bearer import Bearer
from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.network.addresses import split_address
from quorate.security.exposure import is_loopback
from quorate.security.tls.dialer import ClientTls

CLUSTER_FILE = "cluster.json"
LOCK_FILE = "lock"
# Of a local cluster that asks who calls: hashes, and the token of whoever runs it.
TOKENS_FILE = "tokens"
ADMIN_TOKEN_FILE = "admin-token"


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """One process of a local cluster."""

    name: str
    role: str
    """`etcd`, `scheduler`, `node` or `gateway`."""
    address: str
    """host:port where it serves."""
    pid: int
    """0 while it is not running."""
    state: str
    """`starting`, `running`, `restarting`, `stopping` or `stopped`."""
    restarts: int = 0
    log: str = ""
    """The file that has its output."""
    health: str = ""
    """host:port of its `/livez`, `/readyz` and `/metrics`; empty when it has none."""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """What `cluster.json` says. The supervisor replaces the file at every change."""

    cluster: str
    data_dir: str
    supervisor: int
    """Process id."""
    started: float
    """Seconds since the epoch."""
    ready: bool
    """Every process has been up at least once."""
    processes: tuple[LocalProcess, ...]
    tls: ClientTls | None = None
    """What clients on this machine need; None: plaintext."""
    token_file: str = ""
    """The token that they show beside it; empty: none is needed."""
    etcd_tls: ClientTls | None = None
    """What etcd's clients on this machine need; None: plaintext."""
    amqp_address: str = ""
    """host:port where the gateway serves AMQP 0-9-1; empty: nowhere."""
    amqp_management_address: str = ""
    """host:port where the gateway serves RabbitMQ's management API; empty: nowhere."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the schedulers serve."""
        return tuple(p.address for p in self.processes if p.role == "scheduler")

    @property
    def bearer(self) -> Bearer | None:
        """The token in `token_file`, as calls bring it; None: none is needed.

        Raises QuorateError (INVALID_ARGUMENT) when the file cannot be read.
        """
        return Bearer(file=self.token_file) if self.token_file else None

    @property
    def access(self) -> Access:
        """For calls to it. Raises as `bearer`."""
        return Access(self.addresses, self.tls, self.bearer)

    @property
    def dashboard(self) -> str:
        """The address of the dashboard, for a browser; empty when there is none."""
        found = next((p.address for p in self.processes if p.role == "gateway"), "")
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{found}/" if found else ""

    @property
    def amqp(self) -> str:
        """The URL for clients of RabbitMQ; empty when AMQP is not served."""
        scheme = "amqp" if self.tls is None else "amqps"
        return f"{scheme}://{self.amqp_address}/" if self.amqp_address else ""

    @property
    def amqp_management(self) -> str:
        """The URL of RabbitMQ's management API; empty when it is not served."""
        scheme = "http" if self.tls is None else "https"
        address = self.amqp_management_address
        return f"{scheme}://{address}/api/" if address else ""

    def to_json(self) -> str:
        """The file's text."""
        document = {
            **asdict(self),
            "addresses": self.addresses,
            "dashboard": self.dashboard,
            "amqp": self.amqp,
            "amqp_management": self.amqp_management,
        }
        for name in ("tls", "etcd_tls"):
            if document[name] is not None:
                del document[name]["flags"]
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> LocalCluster:
        """Read it back. Raises ValueError when it is not such a file."""
        try:
            document: dict[str, Any] = json.loads(text)
            processes = tuple(LocalProcess(**process) for process in document.pop("processes"))
            document.pop("addresses", None)
            document.pop("dashboard", None)
            document.pop("amqp", None)
            document.pop("amqp_management", None)
            for name in ("tls", "etcd_tls"):
                files = document.pop(name, None)
                document[name] = ClientTls(**files) if files else None
            return cls(**document, processes=processes)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a {CLUSTER_FILE}: {error}") from error


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`QUORATE_DATA_DIR`, else `$XDG_STATE_HOME/quorate/local`."""
    if environ.get("QUORATE_DATA_DIR"):
        return Path(environ["QUORATE_DATA_DIR"]).expanduser()
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "quorate" / "local"


def command_for(command: str, data_dir: Path) -> str:
    """`quorate up` or another command, as it has to be typed to mean this data dir."""
    if data_dir == default_data_dir().absolute():
        return f"quorate {command}"
    name, space, rest = command.partition(" ")
    return f"quorate {name} --data-dir {shlex.quote(str(data_dir))}{space}{rest}"


def local_of(addresses: Collection[str]) -> LocalCluster | None:
    """The default local cluster, if some of these schedulers are its own."""
    try:
        local = read_local_cluster(default_data_dir())
    except QuorateError:
        return None
    return local if local is not None and set(local.addresses) & set(addresses) else None


def read_local_cluster(data_dir: Path) -> LocalCluster | None:
    """The local cluster of `data_dir`, or None when none is running there."""
    try:
        return LocalCluster.from_json((data_dir / CLUSTER_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
        raise QuorateError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "CLUSTER_FILE_UNREADABLE",
            f"{data_dir / CLUSTER_FILE} cannot be read: "
            f"{error.strerror if isinstance(error, OSError) else error}",
        ) from error


def find_access(
    address: str | None = None,
    data_dir: str | Path | None = None,
    *,
    tls: ClientTls | None = None,
    token: str | None = None,
    token_file: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Access:
    """The cluster that is meant; arguments win over the environment.

    Raises QuorateError: INVALID_ARGUMENT for something that is not host:port or a file that cannot
    be used, UNAVAILABLE (reason NO_CLUSTER) when nothing says where a cluster is.
    """
    bearer = Bearer(token or "", str(token_file or "")) if token or token_file else None
    if address is None and data_dir is None:
        address = environ.get("QUORATE_ADDRESS") or None
    if address is None:
        local = _running_cluster(Path(data_dir or default_data_dir(environ)))
        # Its own file knows: what the environment says is about another cluster.
        access = Access(local.addresses, tls or local.tls, bearer or local.bearer)
    else:
        bearer = bearer or _bearer_of(environ)
        access = Access(parse_addresses(address), tls or _tls_of(environ), bearer)
    if bearer is not None and access.tls is None:
        for one in access.addresses:
            if not is_loopback(one.rpartition(":")[0]):
                raise invalid(
                    "token",
                    f"the token is not sent to {one} without TLS: others could read it; set "
                    "--tls-ca-file",
                )
    return access


def _bearer_of(environ: Mapping[str, str]) -> Bearer | None:
    token, file = environ.get("QUORATE_TOKEN", ""), environ.get("QUORATE_TOKEN_FILE", "")
    return Bearer(token, file) if token or file else None


def _tls_of(environ: Mapping[str, str]) -> ClientTls | None:
    files = [environ.get(f"QUORATE_TLS_{name}_FILE", "") for name in ("CA", "CERT", "KEY")]
    return ClientTls(*files) if any(files) else None


def find_addresses(
    address: str | None = None,
    data_dir: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """The addresses alone; as `find_access`."""
    return find_access(address, data_dir, environ=environ).addresses


def _running_cluster(directory: Path) -> LocalCluster:
    local = read_local_cluster(directory)
    # A supervisor that was killed leaves its file behind, but no process.
    if local is None or not local.addresses or not owner_of(directory):
        raise QuorateError(
            grpc.StatusCode.UNAVAILABLE,
            "NO_CLUSTER",
            f"no cluster is running in {directory}\n"
            f"Start one: {command_for('up', directory.absolute())}\n"
            "Or name another cluster: --data-dir DIR (a local one) or --address HOST:PORT",
        )
    return local


def owner_of(data_dir: Path) -> int:
    """Process id of the supervisor that runs a cluster there; 0 when nobody does.

    It holds the lock for as long as it lives; its pid alone could be another process's by now.
    Raises QuorateError when that cannot be found out.
    """
    path = data_dir / LOCK_FILE
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise QuorateError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "DATA_DIR_UNUSABLE",
            f"{path} cannot be read: {error.strerror}",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    else:
        return 0
    finally:
        os.close(lock)


def parse_addresses(text: str) -> tuple[str, ...]:
    """Split `host:port,host:port`; raises QuorateError (INVALID_ARGUMENT)."""
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    for one in addresses or ("",):
        try:
            split_address(one)
        except ValueError as error:
            raise invalid("address", str(error), value=one) from None
    return tuple(dict.fromkeys(addresses))
