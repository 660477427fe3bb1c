"""The settings of authentication, mixed into the settings of a server.

`--auth` names the ways in which a caller may prove who it is, `none` lets everybody in. Each way's
settings are refused without it and demanded with it: a flag that has no effect is a mistake.
A server that demands client certificates takes them for identities unless told otherwise.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field, field_validator, model_validator

from quorate.security.credentials.jwt_terms import DEFAULT_ALGORITHMS, KINDS
from quorate.security.identity import CERTIFICATE_ONLY, Role

AUTO: Final = "auto"
NONE: Final = "none"
MTLS: Final = "mtls"
TOKENS: Final = "tokens"
JWT: Final = "jwt"
MOST_MAPPED: Final = 1_000
# Roles that a claim may be mapped to.
FOR_TOKENS: Final = tuple(role for role in Role if role not in CERTIFICATE_ONLY)


class AuthSettings(BaseModel):
    """List it before the base that has the `model_config`, as `TlsSettings`."""

    auth: str = Field(
        default=AUTO,
        pattern=rf"^({AUTO}|{NONE}|({MTLS}|{TOKENS}|{JWT})(,({MTLS}|{TOKENS}|{JWT})){{0,2}})$",
        description="how callers authenticate: mtls, tokens, jwt (comma-separated); none; or "
        "auto: mtls where client certificates are required, else none",
    )
    auth_tokens_file: str = Field(
        default="", description="hashed API tokens, as `quorate tokens create` writes them"
    )
    auth_jwks: str = Field(
        default="", description="keys that sign JWTs: a JWKS file, or its https URL"
    )
    auth_jwt_issuer: str = Field(default="", description="required `iss` of JWTs")
    auth_jwt_audience: str = Field(default="", description="required `aud` of JWTs")
    auth_jwt_algorithms: str = Field(
        default=",".join(DEFAULT_ALGORITHMS),
        description=f"algorithms that may sign, comma-separated, of {', '.join(KINDS)}",
    )
    auth_jwt_leeway: float = Field(
        default=30.0,
        ge=0,
        le=300,
        description="seconds that the clock of the JWT issuer may differ",
    )
    auth_jwt_role_claim: str = Field(
        default="role", min_length=1, max_length=256, description="claim that names the role"
    )
    auth_jwt_name_claim: str = Field(
        default="sub",
        min_length=1,
        max_length=256,
        description="claim that names the caller, as in the audit log and quotas; its values must "
        "be unique, and users must not be able to choose them",
    )
    auth_jwt_roles: str = Field(
        default="",
        description="values of the role claim and what they mean, such as "
        "quorate-admins=admin,dev=submitter; the claim may be a list, such as groups: the first of "
        "these that it has counts. Empty: the claim is a role",
    )
    auth_jwt_queues_claim: str = Field(
        default="queues",
        min_length=1,
        max_length=256,
        description="claim that lists patterns of queues",
    )
    auth_trust_gateways: bool = Field(
        default=False,
        description="believe gateways (certificates `gateway:<name>`) whose certificate an AMQP "
        "client has shown them (EXTERNAL); needs mtls",
    )
    auth_rate: float = Field(
        default=5_000,
        ge=0,
        le=1_000_000,
        description="maximum calls per second of one authenticated caller; 0: no limit",
    )
    auth_streams: int = Field(
        default=512,
        ge=0,
        le=100_000,
        description="maximum open streams of one authenticated caller; 0: no limit",
    )

    @field_validator("auth_jwt_algorithms")
    @classmethod
    def _check_algorithms(cls, value: str) -> str:
        for algorithm in value.split(","):
            if algorithm not in KINDS:
                raise ValueError(
                    f"auth-jwt-algorithms: {algorithm!r} is not one of {', '.join(KINDS)}"
                )
        return value

    @field_validator("auth_jwt_roles")
    @classmethod
    def _check_roles(cls, value: str) -> str:
        roles_of(value)
        return value

    @model_validator(mode="after")
    def _check_auth(self) -> AuthSettings:
        ways = self.auth_ways
        needs = (
            (TOKENS, "auth-tokens-file", self.auth_tokens_file),
            (JWT, "auth-jwks", self.auth_jwks),
            (JWT, "auth-jwt-issuer", self.auth_jwt_issuer),
            (JWT, "auth-jwt-audience", self.auth_jwt_audience),
        )
        for way, flag, value in needs:
            if way in ways and not value:
                raise ValueError(f"{flag}: is missing; --auth {way} needs it")
            if value and way not in ways:
                raise ValueError(f"{flag}: has no effect without --auth {way}")
        if MTLS in ways and not getattr(self, "mutual_tls", False):
            raise ValueError(
                "auth: mtls needs --tls-cert-file and --tls-ca-file, and --tls-client-auth require"
            )
        if self.auth_trust_gateways and MTLS not in ways:
            raise ValueError("auth-trust-gateways: has no effect without --auth mtls")
        from_url = "://" in self.auth_jwks
        if from_url and any(a.startswith("HS") for a in self.jwt_algorithms):
            raise ValueError(
                "auth-jwt-algorithms: HS256, HS384 and HS512 need a JWKS file, since their keys "
                "are secret"
            )
        return self

    @property
    def jwt_roles(self) -> dict[str, Role]:
        """What values of the role claim mean, the first that fits counts; empty: they are roles."""
        return roles_of(self.auth_jwt_roles)

    @property
    def auth_ways(self) -> frozenset[str]:
        """The ways that are on; empty when authentication is off."""
        if self.auth == AUTO:
            return frozenset((MTLS,)) if getattr(self, "mutual_tls", False) else frozenset()
        return frozenset(self.auth.split(",")) - {NONE}

    @property
    def jwt_algorithms(self) -> tuple[str, ...]:
        """The algorithms, one string each."""
        return tuple(self.auth_jwt_algorithms.split(","))


def roles_of(text: str) -> dict[str, Role]:
    """`value=role` pairs, separated by commas. Raises ValueError."""
    roles: dict[str, Role] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        # A value may contain `=`, as distinguished names do; a role does not.
        value, equals, role = pair.rpartition("=")
        if not equals or not value:
            raise ValueError(f"auth-jwt-roles: {pair!r} is not of the form value=role")
        if role not in FOR_TOKENS:
            raise ValueError(f"auth-jwt-roles: {role!r} is not one of {', '.join(FOR_TOKENS)}")
        roles.setdefault(value, Role(role))
    if len(roles) > MOST_MAPPED:
        raise ValueError(f"auth-jwt-roles: has {len(roles)} values; at most {MOST_MAPPED} may be")
    return roles


class CertificatesOnly(AuthSettings):
    """Of a server that only the cluster's own processes call, by mutual TLS: a node agent."""

    mutual_tls: bool = True


__all__ = ["AUTO", "JWT", "MTLS", "NONE", "TOKENS", "AuthSettings", "CertificatesOnly"]
