"""The setting that all processes share: where health and metrics are served."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator


class HealthSettings(BaseModel):
    """Mixed into each process's settings."""

    health_listen: str = Field(
        "",
        description="host:port to serve /livez, /readyz and /metrics on, in plain HTTP; "
        "nothing is served when empty",
    )

    @field_validator("health_listen")
    @classmethod
    def _check_health_listen(cls, value: str) -> str:
        if value:
            parse_listen(value)
        return value


def parse_listen(text: str) -> tuple[str, int]:
    """Host (without brackets) and port (0 picks one) of `host:port`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not host or not 0 <= number <= 65_535:
        raise ValueError(f"{text!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), number
