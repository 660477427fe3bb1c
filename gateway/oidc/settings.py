"""The settings of sign-in: which provider, as which of its clients, and where browsers see us."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator

from quorate.security.exposure import is_loopback

_MOST_SECRET: Final = 4096
_LEAST_SECRET: Final = 16


class OidcSettings(BaseModel):
    """Sign-in is off without an issuer."""

    oidc_issuer: str = Field(
        default="",
        description="OpenID Connect provider for sign-in at the dashboard: its https URL, as in "
        "the `iss` of its tokens; empty: no sign-in",
    )
    oidc_client_id: str = Field(
        default="", description="client id of the gateway at the provider (--oidc-issuer)"
    )
    oidc_client_secret_file: str = Field(
        default="",
        description="file with the client secret, at least 16 characters; sessions are encrypted "
        "with it, so all gateways of a cluster need the same",
    )
    oidc_scopes: str = Field(
        default="openid profile email",
        description="scopes to ask the provider for, separated by spaces; add offline_access if "
        "it gives refresh tokens only then",
    )
    oidc_session: float = Field(
        default=43_200.0,
        ge=60,
        le=2_592_000,
        description="longest time in seconds from a sign-in until the next one is needed",
    )
    public_url: str = Field(
        default="",
        description="where browsers see the gateway, such as https://quorate.example.com; needed "
        "for --oidc-issuer, whose client must allow <public-url>/auth/callback",
    )

    @model_validator(mode="after")
    def _check_sign_in(self) -> OidcSettings:
        if not self.oidc_issuer:
            return self
        for flag, value in (
            ("oidc-client-id", self.oidc_client_id),
            ("oidc-client-secret-file", self.oidc_client_secret_file),
            ("public-url", self.public_url),
        ):
            if not value:
                raise ValueError(f"{flag}: is missing; --oidc-issuer needs it")
        check_url("oidc-issuer", self.oidc_issuer)
        check_url("public-url", self.public_url)
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("oidc-scopes: must contain openid")
        if getattr(self, "service_paths", False):
            raise ValueError(
                "service-paths: cannot be used with --oidc-issuer, since services would get "
                "the cookies of signed-in users; give services hosts of their own"
            )
        path = urlsplit(self.public_url).path.rstrip("/")
        if path != getattr(self, "root_path", ""):
            raise ValueError(f"public-url: its path {path!r} is not --root-path")
        read_secret(self.oidc_client_secret_file)
        return self


def check_url(flag: str, url: str, *, query: bool = False) -> None:
    """Raise ValueError unless it is an https URL, or http on loopback, without user or fragment.

    Args:
        query: whether it may have a query, as a provider's endpoints may (RFC 6749, section 3.1).
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    extra = parts.fragment or parts.username or parts.password or (parts.query and not query)
    if (parts.scheme != "https" and not plain) or not parts.hostname or extra:
        raise ValueError(f"{flag}: {url!r} is not an https URL such as https://id.example.com")


def read_secret(path: str) -> str:
    """The client secret. Raises ValueError."""
    try:
        with Path(path).open() as file:
            secret = file.read(_MOST_SECRET + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"oidc-client-secret-file: cannot read {path}: {error}") from None
    if not _LEAST_SECRET <= len(secret) <= _MOST_SECRET or not secret.isprintable():
        raise ValueError(
            f"oidc-client-secret-file: {path} must contain {_LEAST_SECRET} to {_MOST_SECRET} "
            "printable characters"
        )
    return secret
