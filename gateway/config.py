"""The gateway's settings: flags, `QUORATE_GATEWAY_*` environment variables, defaults.

The prefix is its own, so that a gateway can share an environment with a scheduler, whose
`QUORATE_LISTEN` is another address.
"""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.http.hosts import Names, check_names, is_address, names_of, normal
from gateway.oidc.settings import OidcSettings
from quorate.runtime.network.addresses import split_address
from quorate.security.exposure import is_loopback, refuse_exposed
from quorate.security.same_user import SameUserSettings
from quorate.security.tls.server import REQUEST, ClientTls, TlsError, TlsSettings
from quorate.telemetry.settings import HealthSettings

_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_SUB_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class GatewaySettings(TlsSettings, SameUserSettings, BaseSettings, HealthSettings, OidcSettings):
    """One gateway process."""

    model_config = SettingsConfigDict(
        env_prefix="QUORATE_GATEWAY_", cli_kebab_case=True, cli_implicit_flags=True, extra="forbid"
    )

    listen: str = Field(
        default="127.0.0.1:7470", description="host:port to listen on; port 0: a free one"
    )
    amqp: str = Field(
        default="",
        description="host:port to listen on for clients of AMQP 0-9-1 (RabbitMQ's use 5672, with "
        "TLS 5671); empty: not at all",
    )
    amqp_management: str = Field(
        default="",
        description="host:port to listen on for programs that read RabbitMQ's management API, "
        "such as KEDA and Flower (RabbitMQ's is 15672, with TLS 15671); empty: not at all",
    )
    schedulers: str = Field(
        default="127.0.0.1:7480",
        description="schedulers of the cluster, host:port, comma-separated",
    )
    cluster: str = Field(
        default="default",
        pattern="^[a-z0-9][a-z0-9._-]{0,63}$",
        description="name of the cluster, for the label of the gateway's metrics",
    )
    scheduler_tls_ca_file: str = Field(
        default="",
        description="CA certificates (PEM) for the schedulers; TLS to them is used when set",
    )
    scheduler_tls_cert_file: str = Field(
        default="", description="certificate (PEM) to show to the schedulers (mutual TLS)"
    )
    scheduler_tls_key_file: str = Field(
        default="", description="private key of --scheduler-tls-cert-file (PEM)"
    )
    auth: str = Field(
        default="none",
        pattern="^(none|bearer)$",
        description="bearer: API requests need a token, which schedulers check; none: "
        "requests without a token are anonymous",
    )
    token_file: str = Field(
        default="",
        description="file with a token of the role `gateway`, for the gateway's own calls where "
        "it shows schedulers no certificate",
    )
    tls_client_auth: str = Field(
        default=REQUEST,
        pattern="^(require|request|none)$",
        description="certificates of HTTP clients: required (require), verified when a client"
        " sends one (request), or not requested (none)",
    )
    insecure: bool = Field(
        default=False,
        description="listen on an address that is not loopback without TLS and authentication",
    )
    root_path: str = Field(
        default="",
        description="path of the gateway behind a reverse proxy, such as /quorate",
    )
    labels: str = Field(
        default="",
        description="labels of this gateway, such as zone=a; services may prefer instances "
        "with the same label",
    )
    trust_forwarded: bool = Field(
        default=False,
        description="trust X-Forwarded-*; only behind a proxy that all requests pass",
    )
    cors_origins: str = Field(
        default="",
        description="origins whose pages may call, comma-separated; `*` for all; none when empty",
    )
    hosts: str = Field(
        default="",
        description="host names of the gateway, comma-separated; IP addresses, localhost and "
        "this machine's name always count. `*`: any name, the default beyond "
        "loopback. Services' own hosts (proxy.hosts) work where names are given, "
        "or on loopback",
    )
    service_domain: str = Field(
        default="",
        description="domain of services: each service has the host NAME.<domain>, beside "
        "NAME.localhost",
    )
    service_paths: bool = Field(
        default=False,
        description="serve services at /services/NAME/ too, on the dashboard's origin: pages "
        "of services can then act as the user of the dashboard",
    )
    max_body_kib: int = Field(
        default=24_576, ge=1, le=262_144, description="maximum size of a request body, in KiB"
    )
    max_buffered_mib: int = Field(
        default=256,
        ge=1,
        le=65_536,
        description="maximum size of all request bodies in memory, in MiB",
    )
    max_connections: int = Field(
        default=2048,
        ge=2,
        le=1_000_000,
        description="maximum open connections, and maximum requests at the same time",
    )
    max_streams: int = Field(
        default=1024, ge=1, le=1_000_000, description="maximum open streamed answers"
    )
    default_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="deadline in seconds of a request that names none"
    )
    max_timeout: float = Field(
        default=3700.0,
        gt=0,
        le=86_400,
        description="maximum deadline of a request, in seconds",
    )
    head_timeout: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="seconds for a request's line and headers to arrive",
    )
    read_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="seconds to wait for the rest of a request"
    )
    write_timeout: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="seconds until a client that does not read is dropped",
    )
    half_closed_timeout: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="seconds without data of the answer after which a client that has closed "
        "its side of the connection is dropped",
    )
    keepalive: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        description="seconds of silence after which a stream sends a keepalive",
    )
    grace: int = Field(
        default=10, ge=0, le=3600, description="seconds that requests get to finish after SIGTERM"
    )
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator("schedulers")
    @classmethod
    def _check_schedulers(cls, value: str) -> str:
        for address in value.split(","):
            split_address(address.strip())
        return value

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        split_address(value, least_port=0)
        return value

    @field_validator("amqp", "amqp_management")
    @classmethod
    def _check_amqp(cls, value: str) -> str:
        if value:
            split_address(value, least_port=0)
        return value

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, value: str) -> str:
        for label in filter(None, value.split(",")):
            name, equals, _ = label.partition("=")
            if not equals or not name.strip():
                raise ValueError(f"{label!r} is not of the form name=value")
        return value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if not _SUB_PATH.fullmatch(path) or any(s in (".", "..") for s in path.split("/")):
            raise ValueError(f"{value!r} is not a path such as /quorate")
        return path

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        check_names(value)
        return value

    @field_validator("service_domain")
    @classmethod
    def _check_domain(cls, value: str) -> str:
        domain = normal(value)
        if value and (not _DOMAIN.fullmatch(domain) or is_address(domain)):
            raise ValueError(f"{value!r} is not a domain such as apps.example.com")
        return domain

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in filter(None, (part.strip() for part in value.split(","))):
            if origin == "*":
                continue
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise ValueError(f"{origin!r} is not an origin such as https://host")
        return value

    @model_validator(mode="after")
    def _refuse_exposed(self) -> GatewaySettings:
        hosts = [self.host]
        for door in filter(None, (self.amqp, self.amqp_management)):
            hosts.append(split_address(door, least_port=0)[0])
        for host in hosts:
            refuse_exposed(
                host,
                tls=self.tls,
                auth=self.mutual_tls or self.auth == "bearer",
                insecure=self.insecure,
            )
        return self

    @model_validator(mode="after")
    def _check_scheduler_tls(self) -> GatewaySettings:
        if self.scheduler_tls is not None:
            self.scheduler_tls.files.check(dt.datetime.now(dt.UTC))
        elif self.scheduler_tls_cert_file or self.scheduler_tls_key_file:
            raise TlsError("scheduler-tls-ca-file", "is missing; TLS to the schedulers needs it")
        return self

    @property
    def scheduler_tls(self) -> ClientTls | None:
        """TLS to the schedulers; None: plaintext."""
        if not self.scheduler_tls_ca_file:
            return None
        return ClientTls(
            self.scheduler_tls_ca_file,
            self.scheduler_tls_cert_file,
            self.scheduler_tls_key_file,
            flags="scheduler-tls",
        )

    @property
    def label_map(self) -> dict[str, str]:
        """The labels by name."""
        pairs = (label.partition("=") for label in self.labels.split(",") if label)
        return {name.strip(): value.strip() for name, _, value in pairs}

    @property
    def host(self) -> str:
        """Where it listens, without the port."""
        return split_address(self.listen, least_port=0)[0]

    @property
    def host_names(self) -> Names:
        """Whose Host headers are answered."""
        return names_of(self.hosts, loopback=is_loopback(self.host))

    @property
    def addresses(self) -> list[str]:
        """The schedulers' addresses, one string each."""
        return [address.strip() for address in self.schedulers.split(",")]

    @property
    def origins(self) -> list[str]:
        """The origins that may call, one string each."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
