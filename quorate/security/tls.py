"""TLS and mutual TLS on gRPC links and on the gateway's HTTP side.

One rule for files: they are read again when they change, without a restart. A server asks at every
new connection whether its files were replaced; a client reads them whenever it opens a channel, and
an owner of long-lived channels asks `Dialer.is_stale` when a call failed, to open a new one. A
connection that stands is left alone: certificates are about who may connect. A set that cannot be
used (half of it replaced, unreadable for a moment) is logged and the former one stays.

Servers are verified by name: the host of the dialled address must be among the certificate's
subject alternative names. Callers are verified by the CA; what their certificate's common name
(`<role>:<name>`) allows is `quorate.security.identity`'s business.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
import structlog
from pydantic import BaseModel, Field, model_validator

from quorate.security.pem import Pem, PemFiles, Stamp, TlsFault

__all__ = [
    "ClientTls",
    "Dialer",
    "TlsFault",
    "TlsSettings",
    "open_channel",
    "server_credentials",
    "server_ssl_context",
]

log = structlog.get_logger(__name__)

Options = Sequence[tuple[str, Any]]

REQUIRE: Final = "require"
REQUEST: Final = "request"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a client speaks TLS: paths of PEM files.

    * `ca_file`: the CAs that servers' certificates may come from; gRPC's public ones when empty.
    * `cert_file`, `key_file`: what the client shows of itself (mutual TLS); both or neither.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def files(self) -> PemFiles:
        """The set of files."""
        return PemFiles(self.cert_file, self.key_file, self.ca_file)


class TlsSettings(BaseModel):
    """The settings of a server's TLS, mixed into the settings of each service.

    List it before the base that has the `model_config`: `class S(TlsSettings, EtcdSettings)`.
    Constructing it refuses (one sentence that names the flag) what could never work.
    """

    tls_cert_file: str = Field(
        default="", description="certificate (PEM, with its chain) to show; TLS is used when set"
    )
    tls_key_file: str = Field(default="", description="private key of the certificate (PEM)")
    tls_ca_file: str = Field(
        default="", description="CA certificates (PEM) by which the other side is verified"
    )
    tls_client_auth: str = Field(
        default=REQUIRE,
        pattern="^(require|none)$",
        description="require: callers show a certificate of the CA (mutual TLS); none: they do not",
    )

    @model_validator(mode="after")
    def _check_tls(self) -> TlsSettings:
        if not self.tls:
            for flag in ("tls-key-file", "tls-ca-file"):
                if getattr(self, flag.replace("-", "_")):
                    raise TlsFault("tls-cert-file", f"missing: --{flag} is nothing without it")
            return self
        if not self.tls_ca_file and self.tls_client_auth == REQUIRE:
            raise TlsFault(
                "tls-ca-file",
                "missing: callers' certificates are verified by it (or --tls-client-auth none)",
            )
        self.tls_files.check(dt.datetime.now(dt.UTC))
        return self

    @property
    def tls(self) -> bool:
        """Whether TLS is used."""
        return bool(self.tls_cert_file)

    @property
    def mutual_tls(self) -> bool:
        """Whether every caller has shown a certificate of the CA."""
        return self.tls and self.tls_client_auth == REQUIRE

    @property
    def tls_files(self) -> PemFiles:
        """The server's files."""
        return PemFiles(self.tls_cert_file, self.tls_key_file, self.tls_ca_file)

    @property
    def client_tls(self) -> ClientTls | None:
        """For dialling the cluster's other processes with the same certificate; None: plaintext."""
        if not self.tls:
            return None
        return ClientTls(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)


class _Watched:
    """A set of files as last read; thread-safe, since gRPC asks from threads of its own."""

    def __init__(self, files: PemFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        # Before reading: a file that changes meanwhile is read again next time.
        self._stamp = files.stamp()
        self._refused: Stamp = ()
        self.pem = files.read()

    def changed(self) -> Pem | None:
        """The new contents when the files were replaced by a set that can be used, else None."""
        with self._lock:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return None
            try:
                self.pem = self._files.read()
            except TlsFault as fault:
                if stamp != self._refused:
                    self._refused = stamp
                    log.warning("tls.kept", why=fault.message)
                return None
            self._stamp = stamp
            log.info("tls.reloaded", cert_file=self._files.cert_file)
            return self.pem

    @property
    def stamp(self) -> Stamp:
        """Of the set that is in use."""
        return self._stamp


def server_credentials(settings: TlsSettings) -> grpc.ServerCredentials:
    """Credentials for `server.add_secure_port` that follow the settings' files.

    gRPC for Python can require callers' certificates or not ask for any, nothing between.
    Raises TlsFault.
    """
    watched = _Watched(settings.tls_files)

    # Called by gRPC at each new connection, in one of its threads; None: nothing new.
    # The stubs do not know that it may say so.
    def fetch() -> Any:
        pem = watched.changed()
        return None if pem is None else _configuration(pem)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(watched.pem),
        fetch,
        require_client_authentication=settings.tls_client_auth == REQUIRE,
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.cert)], pem.ca or None)


class Dialer:
    """Opens channels with the files as they are at that moment. Thread-safe; owns no channel.

    Raises TlsFault when made with files that cannot be used; later the former ones stay in use.
    """

    def __init__(self, tls: ClientTls | None) -> None:
        self.tls = tls
        self._watched = None if tls is None else _Watched(tls.files)
        self._opened: weakref.WeakKeyDictionary[object, Stamp] = weakref.WeakKeyDictionary()

    def open(self, address: str, options: Options = ()) -> grpc.aio.Channel:
        """A channel of the running event loop to `host:port`, verified by that host."""
        if self._watched is None:
            return grpc.aio.insecure_channel(address, options=options)
        credentials = self._credentials(self._watched)
        channel = grpc.aio.secure_channel(address, credentials, options=options)
        self._opened[channel] = self._watched.stamp
        return channel

    def open_sync(self, address: str, options: Options = ()) -> grpc.Channel:
        """As `open`, for threads."""
        if self._watched is None:
            return grpc.insecure_channel(address, options=options)
        credentials = self._credentials(self._watched)
        channel = grpc.secure_channel(address, credentials, options=options)
        self._opened[channel] = self._watched.stamp
        return channel

    def is_stale(self, channel: object) -> bool:
        """Whether the files were replaced since the channel was opened (three `stat`s)."""
        if self._watched is None:
            return False
        self._watched.changed()
        return self._opened.get(channel) != self._watched.stamp

    @staticmethod
    def _credentials(watched: _Watched) -> grpc.ChannelCredentials:
        watched.changed()
        pem = watched.pem
        return grpc.ssl_channel_credentials(pem.ca or None, pem.key or None, pem.cert or None)


def open_channel(address: str, tls: ClientTls | None, options: Options = ()) -> grpc.aio.Channel:
    """A channel for one purpose; who opens many keeps a `Dialer`. Raises TlsFault."""
    return Dialer(tls).open(address, options)


def server_ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """For an asyncio server (the gateway): follows the files, as `server_credentials` does.

    `request` verifies a caller's certificate when there is one. Raises TlsFault.
    """
    watched = _Watched(settings.tls_files)
    current = _context(settings, watched.pem)

    # Runs at each handshake, with or without a name, before the certificate is sent.
    def choose(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        nonlocal current
        pem = watched.changed()
        if pem is not None:
            current = _context(settings, pem)
        if current is not first:
            connection.context = current

    current.sni_callback = choose
    return current


def _context(settings: TlsSettings, pem: Pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # The module loads from files only: one in memory, with the bytes that were checked, whatever
    # became of the settings' files since.
    with open(os.memfd_create("tls"), "wb") as file:
        file.write(pem.cert + b"\n" + pem.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    if pem.ca and settings.tls_client_auth != NONE:
        context.load_verify_locations(cadata=pem.ca.decode("ascii", "replace"))
        context.verify_mode = (
            ssl.CERT_REQUIRED if settings.tls_client_auth == REQUIRE else ssl.CERT_OPTIONAL
        )
    return context
