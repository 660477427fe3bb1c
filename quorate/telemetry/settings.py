"""What processes share in settings: where health and metrics are served, where spans are sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from quorate.runtime.network.addresses import split_address


class HealthSettings(BaseModel):
    """Mixed into each process's settings."""

    health_listen: str = Field(
        default="",
        description="host:port for /livez, /readyz and /metrics (plain HTTP); empty: none",
    )

    @field_validator("health_listen")
    @classmethod
    def _check_health_listen(cls, value: str) -> str:
        if value:
            split_address(value, least_port=0)
        return value


class TraceSettings(BaseModel):
    """Mixed into the settings of processes that make spans."""

    otlp_endpoint: str = Field(
        default="",
        description="URL of the collector for spans (OTLP over HTTP), such as "
        "http://collector:4318; empty: no spans",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_otlp_endpoint(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"{value!r} is not a URL such as http://collector:4318")
        return value
