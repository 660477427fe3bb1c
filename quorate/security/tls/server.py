"""TLS and mutual TLS as a service's settings ask for it: where it listens, and where it dials.

One rule for files: they are read again when they change, without a restart. A server asks at every
new connection whether its files were replaced; `quorate.security.tls.dialer` is the client's side
of the rule. A connection that stands is left alone, and a set of files that cannot be used (half of
it replaced, unreadable for a moment) is logged while the former one stays.

Callers are verified by the CA; what their certificate's common name (`<role>:<name>`) allows is
decided elsewhere.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from typing import Any, Final

import grpc
import structlog
from pydantic import BaseModel, Field, model_validator

from quorate.security.tls.dialer import ClientTls, Dialer, Watched, open_channel
from quorate.security.tls.pem import Pem, PemFiles, TlsError

__all__ = [
    "ClientTls",
    "Dialer",
    "TlsError",
    "TlsSettings",
    "dialer_of",
    "open_channel",
    "server_credentials",
    "server_ssl_context",
]

log = structlog.get_logger(__name__)

REQUIRE: Final = "require"
REQUEST: Final = "request"
NONE: Final = "none"


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
        default="", description="CA certificates (PEM) that verify the other side"
    )
    tls_client_auth: str = Field(
        default=REQUIRE,
        pattern="^(require|none)$",
        description="require: callers need a certificate of the CA (mutual TLS); none: they do not",
    )

    @model_validator(mode="after")
    def _check_tls(self) -> TlsSettings:
        if not self.tls:
            for flag in ("tls-key-file", "tls-ca-file"):
                if getattr(self, flag.replace("-", "_")):
                    raise TlsError("tls-cert-file", f"is missing; --{flag} needs it")
            return self
        if not self.tls_ca_file and self.tls_client_auth == REQUIRE:
            raise TlsError(
                "tls-ca-file",
                "is missing; it verifies callers' certificates (or use --tls-client-auth none)",
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


def dialer_of(tls: ClientTls | None) -> Dialer:
    """A service's dialer: it logs as services do. Raises TlsFault."""
    return Dialer(tls, _report)


def _report(event: str, why: str) -> None:
    log.warning(event, why=why)


def server_credentials(settings: TlsSettings) -> grpc.ServerCredentials:
    """Credentials for `server.add_secure_port` that follow the settings' files.

    gRPC for Python can require callers' certificates or not ask for any, nothing between.
    Raises TlsFault.
    """
    watched = Watched(settings.tls_files, _report)

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


def server_ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """For an asyncio server (the gateway): follows the files, as `server_credentials` does.

    `request` verifies a caller's certificate when there is one. Raises TlsFault.
    """
    watched = Watched(settings.tls_files, _report)
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
