"""JWTs: which hold, and where their keys come from."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from quorate.runtime.errors import QuorateError
from quorate.security.credentials.jwks import KeyFileError, KeySource, parse
from quorate.security.credentials.jwt import MOST_CACHED, Verifier
from quorate.security.credentials.jwt_terms import KINDS, Refused
from quorate.security.identity import How, Role
from quorate.security.settings import MOST_MAPPED, roles_of

ISSUER, AUDIENCE = "https://id.example.com", "quorate"
SECRET = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: Mapping[str, Any] = {"HS256": SECRET, "RS256": RSA, "ES256": EC, "EdDSA": ED}
PUBLIC: Mapping[str, dict[str, Any]] = {
    "HS256": {"kty": "oct", "k": jwt.utils.base64url_encode(SECRET).decode()},
    "RS256": json.loads(RSAAlgorithm.to_jwk(RSA.public_key())),
    "ES256": json.loads(ECAlgorithm.to_jwk(EC.public_key())),
    "EdDSA": json.loads(OKPAlgorithm.to_jwk(ED.public_key())),
}


def jwks(*algorithms: str, **more: Any) -> str:
    keys = [{**PUBLIC[name], "kid": name, "use": "sig", **more} for name in algorithms]
    return json.dumps({"keys": keys})


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "role": "viewer", "exp": now + 60}
    return {name: value for name, value in {**base, **more}.items() if value is not None}


def sign(algorithm: str = "ES256", *, kid: str | None = None, **more: Any) -> str:
    headers = {"kid": algorithm if kid is None else kid}
    return jwt.encode(claims(**more), PRIVATE[algorithm], algorithm=algorithm, headers=headers)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks(*PUBLIC))
    return path


def verifier(where: Path | str, *, monotonic: Any = time.monotonic, **options: Any) -> Verifier:
    options.setdefault("algorithms", tuple(PUBLIC))
    keys = KeySource(str(where), monotonic=monotonic)
    return Verifier(keys, issuer=ISSUER, audience=AUDIENCE, **options)


@pytest.mark.parametrize("algorithm", sorted(PUBLIC))
async def test_a_good_token_is_its_subjects(file: Path, algorithm: str):
    caller = await verifier(file).verify(sign(algorithm, queues=["mail*"]))
    assert (caller.name, caller.role, caller.how) == ("alice", Role.VIEWER, How.JWT)
    assert caller.patterns == ("mail*",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, '"exp"'),
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "audience|aud"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": None}, '"iss"'),
        ({"sub": None}, '"sub"'),
        ({"sub": "a b"}, "name: 'a b'"),
        ({"nbf": 4102444800}, "cannot be verified"),
        ({"role": None}, "'role' is not a role"),
        ({"role": "king"}, "'role' is not a role"),
        ({"role": ["admin"]}, "'role' is not a role"),
        ({"role": "scheduler"}, "'role' is not a role"),
        ({"role": "node"}, "'role' is not a role"),
        ({"queues": "mail"}, "queues: must be a list"),
        ({"queues": []}, "queues: must be a list"),
        ({"queues": [1]}, "queues: 1 is not a pattern"),
    ],
)
async def test_a_claim_that_is_wrong_is_refused(file: Path, change: dict[str, Any], words: str):
    with pytest.raises(Refused, match=words):
        await verifier(file).verify(sign(**change))


async def test_another_claim_may_name_the_caller(file: Path):
    named = verifier(file, name_claim="email")
    assert (await named.verify(sign(email="alice@example.com"))).name == "alice@example.com"
    with pytest.raises(Refused, match="name: None"):
        await named.verify(sign())


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["dev", "quorate-admins"], Role.ADMIN),
        ("dev", Role.SUBMITTER),
        (["cn=ops,dc=x", "other"], Role.OPERATOR),
    ],
)
async def test_the_first_mapped_group_that_a_caller_is_in_is_the_role(
    file: Path, groups: object, role: Role
):
    roles = {"quorate-admins": Role.ADMIN, "cn=ops,dc=x": Role.OPERATOR, "dev": Role.SUBMITTER}
    mapped = verifier(file, role_claim="groups", roles=roles)
    assert (await mapped.verify(sign(groups=groups))).role is role


@pytest.mark.parametrize("groups", [None, [], ["admin"], "admin", [["dev"]], {"dev": 1}, 1])
async def test_no_mapped_group_no_role(file: Path, groups: object):
    """A group that is called like a role is none."""
    mapped = verifier(file, role_claim="groups", roles={"dev": Role.SUBMITTER})
    with pytest.raises(Refused, match="nor mapped to one"):
        await mapped.verify(sign(groups=groups))


def test_roles_of_groups_are_read_or_refused():
    assert roles_of("cn=ops=operator, dev=submitter") == {
        "cn=ops": Role.OPERATOR,
        "dev": Role.SUBMITTER,
    }
    for text, words in (
        ("dev", "of the form value=role"),
        ("=admin", "of the form value=role"),
        ("dev=king", "'king' is not one of admin"),
        ("dev=scheduler", "'scheduler' is not one of"),
        (",".join(f"g{n}=viewer" for n in range(MOST_MAPPED + 1)), "at most 1000 may be"),
    ):
        with pytest.raises(ValueError, match=words):
            roles_of(text)


async def test_an_algorithm_that_is_not_allowed_is_refused(file: Path):
    with pytest.raises(Refused, match="algorithm is not allowed"):
        await verifier(file, algorithms=("RS256",)).verify(sign("ES256"))
    none = jwt.encode(claims(), "", algorithm="none", headers={"kid": "ES256"})
    with pytest.raises(Refused, match="algorithm is not allowed"):
        await verifier(file).verify(none)
    assert "none" not in KINDS


async def test_a_key_is_used_for_its_own_kind_of_algorithm_alone(file: Path):
    """A token that says HS256 and names a public key, which everybody knows."""
    mixed = jwt.encode(claims(), SECRET, algorithm="HS256", headers={"kid": "RS256"})
    with pytest.raises(Refused, match="unknown key"):
        await verifier(file).verify(mixed)
    file.write_text(jwks("RS256", alg="RS512"))
    with pytest.raises(Refused, match="unknown key"):
        await verifier(file).verify(sign("RS256"))


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b.c", "..", "\x00", "é" * 10, "a" * 9000, sign()[:-5], sign() + "a", "e30.e30."],
)
async def test_what_is_no_token_is_refused(file: Path, token: str):
    with pytest.raises(Refused):
        await verifier(file).verify(token)


async def test_expiry_counts_for_tokens_that_were_verified_before(file: Path):
    clock = [time.time()]
    verify = verifier(file, leeway=5.0, now=lambda: clock[0]).verify
    token = sign()
    assert (await verify(token)).expires == pytest.approx(clock[0] + 65, abs=2)
    clock[0] += 66
    with pytest.raises(Refused, match="expired"):
        await verify(token)


async def test_a_key_that_is_taken_out_ends_its_tokens(file: Path):
    clock = [0.0]
    verify = verifier(file, monotonic=lambda: clock[0]).verify
    token = sign("ES256")
    await verify(token)
    file.write_text(jwks("RS256"))
    clock[0] += 1
    with pytest.raises(Refused, match="unknown key"):
        await verify(token)
    # One that cannot be used changes nothing.
    file.write_text("{")
    clock[0] += 1
    assert (await verify(sign("RS256"))).name == "alice"


async def test_the_memory_of_verified_tokens_is_bounded(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    assert MOST_CACHED == 10_000
    monkeypatch.setattr("quorate.security.credentials.jwt.MOST_CACHED", 3)
    held = verifier(file)
    for number in range(5):
        await held.verify(sign("HS256", sub=f"u{number}"))
    assert len(held._known) == 3


async def test_claims_may_have_other_names(file: Path):
    held = verifier(file, role_claim="https://x/role", queues_claim="https://x/queues")
    more: dict[str, Any] = {"role": None, "https://x/role": "operator", "https://x/queues": ["a"]}
    caller = await held.verify(sign(**more))
    assert (caller.role, caller.patterns) == (Role.OPERATOR, ("a",))


def test_a_jwks_that_cannot_be_used_is_refused(tmp_path: Path):
    for content, words in (
        (None, "cannot read"),
        ("{", "not a JWKS"),
        ("[]", "not a JWKS"),
        ('{"keys": []}', "no key"),
        ('{"keys": [{"kty": "??"}]}', "no key"),
        (jwks("RS256", use="enc"), "no key"),
        (json.dumps({"keys": [{}] * 101}), "at most 100"),
        (" " * ((1 << 20) + 1), "larger than 1 MiB"),
    ):
        path = tmp_path / "jwks"
        if content is not None:
            path.write_text(content)
        with pytest.raises(KeyFileError, match=words):
            KeySource(str(path))


def test_secrets_are_not_taken_from_urls():
    assert len(parse(jwks("HS256", "RS256").encode(), secret=True)) == 2
    assert len(parse(jwks("HS256", "RS256").encode(), secret=False)) == 1


@pytest.mark.parametrize("url", ["http://id.example.com/jwks", "ftp://x/y", "file:///etc/passwd"])
def test_keys_come_over_https_alone(url: str):
    with pytest.raises(KeyFileError, match="not an https URL"):
        KeySource(url)


class Provider:
    """An identity provider's JWKS at a loopback URL."""

    def __init__(self) -> None:
        self.body = jwks("ES256")
        self.status = 200
        self.location = ""
        self.asked = 0


@contextmanager
def serving() -> Iterator[tuple[Provider, str]]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            self.send_response(provider.status)
            if provider.location:
                self.send_header("Location", provider.location)
            self.end_headers()
            self.wfile.write(provider.body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield provider, f"http://127.0.0.1:{server.server_port}/jwks"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_url_is_asked_once_and_again_for_a_key_that_is_not_known():
    clock = [0.0]
    with serving() as (provider, url):
        verify = verifier(url, monotonic=lambda: clock[0]).verify
        assert (await verify(sign("ES256"))).name == "alice"
        assert (await verify(sign("ES256", sub="bob"))).name == "bob"
        assert provider.asked == 1
        # The keys were rotated: asked again, but not more often than every ten seconds.
        provider.body = jwks("RS256")
        for _ in range(3):
            with pytest.raises(Refused):
                await verify(sign("RS256"))
        assert provider.asked == 1
        clock[0] += 10
        assert (await verify(sign("RS256"))).name == "alice"
        with pytest.raises(Refused):
            await verify(sign("ES256"))
        assert provider.asked == 2
        # And every five minutes, though all keys are known.
        clock[0] += 301
        await verify(sign("RS256", sub="carol"))
        assert provider.asked == 3


async def test_keys_stand_for_an_hour_while_the_url_does_not_answer():
    clock = [0.0]
    with serving() as (provider, url):
        verify = verifier(url, monotonic=lambda: clock[0]).verify
        await verify(sign("ES256"))
        provider.status = 500
        clock[0] += 3599
        assert (await verify(sign("ES256", sub="bob"))).name == "bob"
        clock[0] += 10
        with pytest.raises(QuorateError, match="cannot be fetched") as told:
            await verify(sign("ES256", sub="carol"))
        assert told.value.code is grpc.StatusCode.UNAVAILABLE


async def test_a_redirect_is_not_followed():
    with serving() as (elsewhere, target), serving() as (provider, url):
        provider.status, provider.location = 302, target
        with pytest.raises(QuorateError, match="cannot be fetched"):
            await verifier(url).verify(sign("ES256"))
        assert (provider.asked, elsewhere.asked) == (1, 0)
