"""Certificates for tests, and how clusters of tests are locked down.

With `QUORATE_TEST_TLS=1` every cluster that tests start has mutual TLS between its processes, and
its schedulers also ask callers for tokens: the certificate of the tests' clients (`viewer:test`)
lets them connect and read, their token (of an admin) is what lets them change anything. `Locks` is
that, once for the whole run of a process.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import os
import shutil
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from quorate.security.certs import CA_CERT, LOOPBACK, Authority, file_names
from quorate.security.dialer import ClientTls, Dialer, Options
from quorate.security.identity import Role
from quorate.security.tls import TlsSettings
from quorate.security.tokens import create as create_token

ON = os.environ.get("QUORATE_TEST_TLS") == "1"
"""Whether clusters of tests have TLS and tokens."""
CLIENT = "viewer:test"


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
        token = create_token(tokens, "tests", Role.ADMIN, now=_now(), lasts=None)
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
    flags = held.leaf(f"{role}:{name}").flags
    if role == "scheduler":
        return (*flags, "--auth=mtls,tokens", f"--auth-tokens-file={held.tokens_file}")
    return flags


def gateway_flags(tls: ClientTls | None = None) -> tuple[str, ...]:
    """More flags for a gateway: TLS to the schedulers, by `tls` or as all clusters of tests."""
    held = locks()
    if tls is None and held is not None:
        tls = held.leaf("gateway:test").client
    if tls is None:
        return ()
    return (
        f"--scheduler-tls-ca-file={tls.ca_file}",
        f"--scheduler-tls-cert-file={tls.cert_file}",
        f"--scheduler-tls-key-file={tls.key_file}",
    )


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


def https_context(tls: ClientTls | None) -> ssl.SSLContext | None:
    """For `urlopen` of a local cluster's dashboard and REST API."""
    if tls is None:
        return None
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


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


def open_aio(address: str, options: Options = ()) -> grpc.aio.Channel:
    """A channel of a test's own to a scheduler, for plain stubs."""
    credentials = _credentials(CLIENT, token=True)
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
