"""The scheduler's settings: flags, `QUORATE_*` environment variables, defaults."""

from __future__ import annotations

import socket

from pydantic import Field, field_validator, model_validator

from quorate.blobs.settings import BlobSettings
from quorate.runtime.config import EtcdSettings
from quorate.runtime.network.addresses import split_address
from quorate.runtime.network.keepalive import TIME, TIMEOUT
from quorate.security.exposure import refuse_exposed
from quorate.security.same_user import SameUserSettings
from quorate.security.settings import AuthSettings
from quorate.security.tls.server import TlsSettings
from quorate.telemetry.channelz import ChannelzSettings
from quorate.telemetry.settings import HealthSettings, TraceSettings


class SchedulerSettings(
    TlsSettings,
    AuthSettings,
    SameUserSettings,
    EtcdSettings,
    BlobSettings,
    HealthSettings,
    TraceSettings,
    ChannelzSettings,
):
    """One scheduler process."""

    name: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$",
        description="this process's name, for people",
    )
    listen: str = Field("127.0.0.1:7480", description="host:port to listen on; port 0: a free one")
    advertise: str = Field(
        "",
        description="host:port under which others reach this process; empty: the address it "
        "listens on",
    )
    insecure: bool = Field(
        False,
        description="listen on an address that is not loopback without TLS and authentication",
    )
    lease_ttl: int = Field(
        2, ge=2, le=60, description="seconds until a standby replaces a silent leader"
    )
    unreachable_after: float = Field(
        10.0, gt=0, le=3600, description="seconds until a node without a session is lost"
    )
    max_live_tasks: int = Field(
        2_000_000, ge=1, le=20_000_000, description="maximum number of tasks that are not finished"
    )
    max_payload_kib: int = Field(
        256, ge=1, le=1024, description="maximum size of one task's specification, in KiB"
    )
    max_message_kib: int = Field(
        1024, ge=1, le=16_384, description="maximum size of one message's body, in KiB"
    )
    max_blob_mib: int = Field(
        1024,
        ge=1,
        le=1 << 20,
        description="maximum size of one large value in the blob store, in MiB",
    )
    spec_cache_mib: int = Field(
        128, ge=0, le=65_536, description="memory for specifications of tasks, in MiB"
    )
    etcd_quota_mib: int = Field(
        2048, ge=16, le=65_536, description="etcd's --quota-backend-bytes, in MiB"
    )
    quota_live_tasks: int = Field(
        0,
        ge=0,
        le=20_000_000,
        description="maximum unfinished tasks of one authenticated caller; 0: half of "
        "--max-live-tasks",
    )
    quota_stored_mib: int = Field(
        0,
        ge=0,
        le=65_536,
        description="maximum bytes on record of one authenticated caller, in MiB; 0: half of "
        "--etcd-quota-mib",
    )
    quota_blob_mib: int = Field(
        102_400,
        ge=0,
        le=1 << 40,
        description="maximum bytes of large values in the blob store of one authenticated caller, "
        "in MiB; 0: no limit",
    )
    quota_watches: int = Field(
        256, ge=1, le=100_000, description="maximum open watches of one authenticated caller"
    )
    quota_waits: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="maximum open WaitTask calls of one authenticated caller",
    )
    audit_keep: int = Field(
        10_000, ge=0, le=1_000_000, description="maximum entries of the audit log; 0: no audit log"
    )
    audit_keep_for: float = Field(
        90 * 86_400.0,
        ge=60,
        le=3650 * 86_400.0,
        description="seconds that an entry of the audit log stays",
    )
    reserve_after: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="seconds that a task with resources waits until a node keeps its room for it;"
        " 0: never",
    )
    keepalive: float = Field(
        TIME,
        ge=1,
        le=7200,
        description="seconds without a sign of life after which the connection of a caller is "
        "pinged",
    )
    keepalive_timeout: float = Field(
        TIMEOUT,
        ge=1,
        le=600,
        description="seconds after such a ping until the connection is closed: consumers on it are "
        "lost 10 s later, and others get their messages",
    )
    etcd_wait: float = Field(
        10.0, ge=0, le=3600, description="seconds to wait for etcd when starting"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        split_address(value, least_port=0)
        return value

    @model_validator(mode="after")
    def _refuse_exposed(self) -> SchedulerSettings:
        host, _ = split_address(self.listen, least_port=0)
        refuse_exposed(host, tls=self.tls, auth=bool(self.auth_ways), insecure=self.insecure)
        return self
