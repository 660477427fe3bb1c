"""Settings that more than one process shares. Each service adds its own in its `config.py`.

Every setting is a flag (`--lease-ttl`), an environment variable (`QUORATE_LEASE_TTL`) and a
default; flags win. Bounds are checked here, once, with a sentence that names the setting.
"""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quorate.runtime.network.addresses import split_address


class EtcdSettings(BaseSettings):
    """How to reach etcd, and which cluster is meant."""

    model_config = SettingsConfigDict(
        env_prefix="QUORATE_", cli_kebab_case=True, cli_implicit_flags=True, extra="forbid"
    )

    etcd: str = Field(
        "127.0.0.1:2379", description="etcd endpoints, host:port or unix:/path, comma-separated"
    )
    etcd_user: str = Field("", description="etcd user name; empty for none")
    etcd_password_file: str = Field("", description="file that holds the etcd user's password")
    etcd_ca_file: str = Field("", description="CA certificate for etcd; TLS is used when set")
    etcd_cert_file: str = Field("", description="client certificate for etcd")
    etcd_key_file: str = Field("", description="key of the client certificate")
    etcd_max_txn_ops: int = Field(
        128, ge=8, le=100_000, description="etcd's --max-txn-ops (its default is 128)"
    )
    cluster: str = Field(
        "default", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="the cluster's name"
    )

    @field_validator("etcd")
    @classmethod
    def _endpoints(cls, value: str) -> str:
        for endpoint in value.split(","):
            if not endpoint.strip().startswith("unix:/"):
                split_address(endpoint.strip())
        return value

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, one string each."""
        return [endpoint.strip() for endpoint in self.etcd.split(",")]

    @property
    def prefix(self) -> bytes:
        """Where the cluster's keys are."""
        return f"/quorate/{self.cluster}/".encode()
