"""The flags of authentication: what each needs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.auth.own_token import OwnToken
from gateway.config import GatewaySettings
from quorate.security.guard import Guard
from quorate.security.settings import AuthSettings, CertificatesOnly
from scheduler.config import SchedulerSettings
from tests.support.tls import TestAuthority

JWT: dict[str, Any] = {"auth_jwks": "j", "auth_jwt_issuer": "i", "auth_jwt_audience": "a"}


def scheduler(**settings: Any) -> SchedulerSettings:
    return SchedulerSettings(**settings)


def gateway(**settings: Any) -> GatewaySettings:
    return GatewaySettings(**settings)


def test_without_tls_nobody_is_asked():
    assert not AuthSettings().auth_ways
    assert not scheduler().auth_ways


def test_client_certificates_are_identities_unless_told_otherwise(tmp_path: Path):
    leaf = TestAuthority(tmp_path).leaf("scheduler:s1")
    files: dict[str, Any] = {
        "tls_cert_file": str(leaf.cert_file),
        "tls_key_file": str(leaf.key_file),
        "tls_ca_file": str(leaf.ca_file),
    }
    assert scheduler(**files).auth_ways == {"mtls"}
    assert scheduler(**files, auth="none").auth_ways == frozenset()
    assert scheduler(**files, tls_client_auth="none").auth_ways == frozenset()
    assert CertificatesOnly().auth_ways == {"mtls"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth": "password"}, "auth"),
        ({"auth": "none,tokens"}, "auth"),
        ({"auth": "mtls"}, "auth: mtls needs --tls-cert-file"),
        ({"auth": "tokens"}, "auth-tokens-file: is missing; --auth tokens needs it"),
        ({"auth_tokens_file": "t"}, "auth-tokens-file: has no effect without --auth tokens"),
        ({"auth": "jwt"}, "auth-jwks: is missing"),
        ({"auth": "jwt", **JWT, "auth_jwt_issuer": ""}, "auth-jwt-issuer: is missing"),
        ({"auth": "jwt", **JWT, "auth_jwt_audience": ""}, "auth-jwt-audience: is missing"),
        ({"auth_jwks": "j"}, "auth-jwks: has no effect"),
        ({"auth": "jwt", **JWT, "auth_jwt_algorithms": "none"}, "'none' is not one of"),
        ({"auth": "jwt", **JWT, "auth_jwt_algorithms": "RS256,x"}, "'x' is not one of"),
        (
            {
                "auth": "jwt",
                **JWT,
                "auth_jwks": "https://x/y",
                "auth_jwt_algorithms": "HS256",
            },
            "their keys are secret",
        ),
        ({"auth_jwt_leeway": 301}, "auth_jwt_leeway"),
        ({"auth_jwt_leeway": -1}, "auth_jwt_leeway"),
        ({"auth_jwt_role_claim": ""}, "auth_jwt_role_claim"),
        ({"auth_jwt_queues_claim": "x" * 257}, "auth_jwt_queues_claim"),
        ({"auth_rate": -1}, "auth_rate"),
        ({"auth_rate": 1_000_001}, "auth_rate"),
        ({"auth_streams": -1}, "auth_streams"),
        ({"auth_streams": 100_001}, "auth_streams"),
    ],
)
def test_what_cannot_work_is_refused_by_name(settings: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        AuthSettings(**settings)


def test_an_address_that_others_reach_needs_tls_and_authentication(tmp_path: Path):
    tokens: dict[str, Any] = {"auth": "tokens", "auth_tokens_file": "t"}
    with pytest.raises(ValidationError, match=r"set TLS \(--tls-cert-file\), or --insecure"):
        scheduler(listen="0.0.0.0:0", **tokens)
    leaf = TestAuthority(tmp_path).leaf("scheduler:s1")
    files: dict[str, Any] = {
        "tls_cert_file": str(leaf.cert_file),
        "tls_key_file": str(leaf.key_file),
        "tls_ca_file": str(leaf.ca_file),
    }
    with pytest.raises(ValidationError, match="set authentication, or --insecure"):
        scheduler(listen="0.0.0.0:0", **files, auth="none")
    scheduler(listen="0.0.0.0:0", **files)
    scheduler(listen="0.0.0.0:0", **files, tls_client_auth="none", **tokens)
    with pytest.raises(ValidationError, match="set authentication, or --insecure"):
        gateway(listen="0.0.0.0:0", **files)
    gateway(listen="0.0.0.0:0", **files, auth="bearer")


def test_files_that_cannot_be_used_are_named_by_their_flag(tmp_path: Path):
    tokens = AuthSettings(auth="tokens", auth_tokens_file=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"auth-tokens-file: cannot read .*none"):
        Guard(tokens, {})
    jwks = AuthSettings(auth="jwt", **{**JWT, "auth_jwks": str(tmp_path / "none")})
    with pytest.raises(ValueError, match=r"auth-jwks: cannot read .*none"):
        Guard(jwks, {})


def test_a_gateways_own_token_is_read_again(tmp_path: Path):
    clock = [0.0]
    path = tmp_path / "token"
    with pytest.raises(ValueError, match="token-file: cannot read"):
        OwnToken(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="contains no token"):
        OwnToken(path)
    path.write_text("one\n")
    own = OwnToken(path, monotonic=lambda: clock[0])
    assert own() == "one"
    path.write_text("two\n")
    clock[0] += 1
    assert own() == "two"
    path.unlink()
    clock[0] += 1
    assert own() == "two"
