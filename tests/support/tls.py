"""Certificates for tests, and how clusters of tests are locked down.

With `QUORATE_TEST_TLS=1` every cluster that tests start has mutual TLS between its processes, and
to etcd, and its schedulers and gateways ask callers for tokens: the certificate of the tests'
clients (`client:test`) lets them connect and says nothing of them, their token (of an admin) is
what lets them do anything. `Locks` is that, once for the whole run of a process. Clusters of
`quorate up` make their own: see `tests.support.local`. `tests.support.lock_guard` sees to it that
none is forgotten.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import http.client
import os
import shutil
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.security.credentials.tokens import create as create_token
from quorate.security.identity import Role
from quorate.security.tls.certs import CA_CERT, LOOPBACK, Authority, file_names
from quorate.security.tls.dialer import ClientTls, Dialer, Options
from quorate.security.tls.server import TlsSettings
from tools.gateway_http import https_context

ON = os.environ.get("QUORATE_TEST_TLS") == "1"
"""Whether clusters of tests have TLS and tokens."""
CLIENT = "client:test"
CALLER = "tests"
"""Whose token the tests' clients show."""
ETCD = "etcd:test"


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a leaf's files are, and those of the CA by which it verifies others."""

    cert_file: Path
    key_file: Path
    ca_file: Path

    @property
    def client(self) -> ClientTls:
        return ClientTls(str(self.ca_file), str(self.cert_file), str(self.key_file))

    @property
    def anonymous(self) -> ClientTls:
        """Verifies the server and shows nothing."""
        return ClientTls(str(self.ca_file))

    @property
    def flags(self) -> tuple[str, ...]:
        """For a server's command line."""
        return (
            f"--tls-cert-file={self.cert_file}",
            f"--tls-key-file={self.key_file}",
            f"--tls-ca-file={self.ca_file}",
        )

    def settings(self, client_auth: str = "require") -> TlsSettings:
        return TlsSettings(
            tls_cert_file=str(self.cert_file),
            tls_key_file=str(self.key_file),
            tls_ca_file=str(self.ca_file),
            tls_client_auth=client_auth,
        )


class TestAuthority:
    """A CA in a folder."""

    __test__ = False

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority.create(name, now=_now(), days=30)
        self.authority.write(folder)
        self.ca_file = folder / CA_CERT

    def leaf(
        self, subject: str, *, hosts: Sequence[str] = LOOPBACK, days: float = 1, folder: str = ""
    ) -> Leaf:
        """Issue one, over the former one of that subject; `days` below 0: expired."""
        where = self.folder / folder
        where.mkdir(exist_ok=True)
        cert, key = (where / name for name in file_names(subject))
        issued = self.authority.issue(subject, hosts=hosts, now=_now(), days=days)
        issued.write(cert, key)
        return Leaf(cert, key, self.ca_file)


@dataclass(frozen=True, slots=True)
class Locks:
    """What all clusters of a run share: a CA, and a token of an admin."""

    authority: TestAuthority
    tokens_file: Path
    token: str

    @classmethod
    def make(cls, folder: Path) -> Locks:
        authority = TestAuthority(folder)
        tokens = folder / "tokens"
        token = create_token(tokens, CALLER, Role.ADMIN, now=_now(), lasts=None)
        (folder / "token").write_text(token)
        return cls(authority, tokens, token)

    @property
    def token_file(self) -> Path:
        return self.authority.folder / "token"

    @functools.lru_cache(maxsize=256)  # noqa: B019 (as many as a run has processes, and it ends)
    def leaf(self, subject: str) -> Leaf:
        return self.authority.leaf(subject)


@functools.cache
def locks() -> Locks | None:
    """Those of this run; None when clusters are plaintext."""
    if not ON:
        return None
    folder = Path(tempfile.mkdtemp(prefix="quorate-test-ca-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Locks.make(folder)


def server_flags(role: str, name: str) -> tuple[str, ...]:
    """More flags for a `scheduler` or a `node`."""
    held = locks()
    if held is None:
        return ()
    leaf = held.leaf(f"{role}:{name}")
    flags = (*leaf.flags, *etcd_flags(f"{role}:{name}"))
    if role == "scheduler":
        return (*flags, "--auth=mtls,tokens", f"--auth-tokens-file={held.tokens_file}")
    return flags


def gateway_flags(leaf: Leaf | None = None) -> tuple[str, ...]:
    """More flags for a gateway: its certificate, `leaf` or as all clusters of tests, for callers
    and for schedulers, and that it asks for tokens."""
    held = locks()
    if leaf is None and held is not None:
        leaf = held.leaf("gateway:test")
    if leaf is None:
        return ()
    to_schedulers = (flag.replace("--tls-", "--scheduler-tls-") for flag in leaf.flags)
    return (*leaf.flags, *to_schedulers, "--auth=bearer")


def etcd_flags(subject: str = CLIENT) -> tuple[str, ...]:
    """More flags for a process: TLS to the etcd of tests."""
    held = locks()
    if held is None:
        return ()
    return tuple(flag.replace("--tls-", "--etcd-") for flag in held.leaf(subject).flags)


def etcd_options() -> dict[str, Any]:
    """More arguments for an `EtcdProcess`: clients and members need a certificate."""
    held = locks()
    if held is None:
        return {}
    leaf = held.leaf(ETCD)
    serves = tuple(
        flag
        for prefix in ("", "peer-")
        for flag in (
            f"--{prefix}cert-file={leaf.cert_file}",
            f"--{prefix}key-file={leaf.key_file}",
            f"--{prefix}trusted-ca-file={leaf.ca_file}",
            f"--{prefix}client-cert-auth",
        )
    )
    return {"tls": etcd_tls(), "peer_tls": True, "extra": serves}


def etcd_tls() -> EtcdTls | None:
    """For clients of tests' etcd."""
    held = locks()
    if held is None:
        return None
    leaf = held.leaf(CLIENT)
    return EtcdTls(str(leaf.ca_file), str(leaf.cert_file), str(leaf.key_file))


def open_etcd(*endpoints: str) -> EtcdClient:
    """A client of tests' etcd."""
    return EtcdClient(endpoints, tls=etcd_tls())


def etcd_environment() -> dict[str, str]:
    """For `quorate backup`, `etcd` and the like, and for etcdctl."""
    tls = etcd_tls()
    if tls is None:
        return {}
    return {
        "QUORATE_ETCD_CA_FILE": tls.ca_file,
        "QUORATE_ETCD_CERT_FILE": tls.cert_file,
        "QUORATE_ETCD_KEY_FILE": tls.key_file,
        "ETCDCTL_CACERT": tls.ca_file,
        "ETCDCTL_CERT": tls.cert_file,
        "ETCDCTL_KEY": tls.key_file,
    }


def client_tls() -> ClientTls | None:
    """For the SDK's `tls=`."""
    held = locks()
    return None if held is None else held.leaf(CLIENT).client


def client_token() -> str | None:
    """For the SDK's `token=`, and for HTTP."""
    held = locks()
    return None if held is None else held.token


def client_environment() -> dict[str, str]:
    """For a program that uses the SDK or the command line."""
    held = locks()
    if held is None:
        return {}
    leaf = held.leaf(CLIENT)
    return {
        "QUORATE_TLS_CA_FILE": str(leaf.ca_file),
        "QUORATE_TLS_CERT_FILE": str(leaf.cert_file),
        "QUORATE_TLS_KEY_FILE": str(leaf.key_file),
        "QUORATE_TOKEN_FILE": str(held.token_file),
    }


def client_headers() -> dict[str, str]:
    """For an HTTP request to a gateway."""
    token = client_token()
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def gateway_context() -> ssl.SSLContext | None:
    """For HTTP to the gateways of tests; None: they speak plaintext."""
    return https_context(client_tls())


def open_http(address: str, timeout: float = 20.0) -> http.client.HTTPConnection:
    """A connection to a gateway of tests."""
    context = gateway_context()
    if context is None:
        return http.client.HTTPConnection(address, timeout=timeout)
    return http.client.HTTPSConnection(address, timeout=timeout, context=context)


def _credentials(subject: str, *, token: bool) -> grpc.ChannelCredentials | None:
    held = locks()
    if held is None:
        return None
    pem = held.leaf(subject).client.files.read()
    credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.cert)
    if not token:
        return credentials
    return grpc.composite_channel_credentials(
        credentials, grpc.access_token_call_credentials(held.token)
    )


def open_aio(address: str, options: Options = (), *, token: bool = True) -> grpc.aio.Channel:
    """A channel of a test's own to a scheduler, for plain stubs; without `token`: to etcd."""
    credentials = _credentials(CLIENT, token=token)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def open_sync(address: str, options: Options = ()) -> grpc.Channel:
    """As `open_aio`, for threads."""
    credentials = _credentials(CLIENT, token=True)
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def open_as_scheduler(address: str) -> grpc.aio.Channel:
    """A channel to an agent, as a scheduler has it."""
    credentials = _credentials("scheduler:ghost", token=False)
    if credentials is None:
        return grpc.aio.insecure_channel(address)
    return grpc.aio.secure_channel(address, credentials)


def server_credentials(subject: str) -> grpc.ServerCredentials | None:
    """For a server of a test's own that demands certificates; None: plaintext."""
    held = locks()
    if held is None:
        return None
    pem = held.leaf(subject).client.files.read()
    return grpc.ssl_server_credentials([(pem.key, pem.cert)], pem.ca, require_client_auth=True)


class NoticingDialer(Dialer):
    """Plaintext; tells of each channel that is opened."""

    def __init__(self, opened: Callable[[str], object]) -> None:
        super().__init__(None)
        self._told = opened

    def open(self, address: str, options: Options = ()) -> grpc.aio.Channel:
        self._told(address)
        return super().open(address, options)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
