"""Bearer JWTs (RFC 7519) from an identity provider: whose they are, if they hold.

What is demanded follows RFC 8725: the algorithm is one of those configured (never `none`) and fits
the kind of the key that the token names; issuer, audience and expiry are there and right. The role
and the queues come from two claims, whose names are configured, since providers demand prefixes:

    {"iss": "https://id.example.com", "aud": "quorate", "exp": 1767225600, "sub": "alice",
     "role": "submitter", "queues": ["mail*"]}

Without the claim for queues a caller is bound to none. Roles of the cluster's own processes
(`node`, `scheduler`) are not given to tokens.

`Verifier` remembers what it verified until it expires, at most `MOST_CACHED` tokens, and forgets
all of it when the keys change.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import jwt

from quorate.security.credentials.jwks import KeySource
from quorate.security.credentials.jwt_terms import DEFAULT_ALGORITHMS, KINDS, Refused
from quorate.security.identity import (
    CERTIFICATE_ONLY,
    EVERYTHING,
    Caller,
    How,
    Role,
    check_name,
    check_patterns,
)

MOST_CACHED: Final = 10_000
MOST_BYTES: Final = 8192


class Verifier:
    """Verifies the JWTs of one issuer for one audience.

    Args:
        keys: of the issuer.
        issuer, audience: what `iss` must be, and `aud` must contain.
        algorithms: that are allowed; each must be in `KINDS`.
        leeway: seconds that clocks may differ.
        role_claim, queues_claim, name_claim: names of the claims.
        roles: what values of the role claim mean: the first that the claim is, or has as a list,
            counts. Without any the claim is a role.
        now: seconds since 1970.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str] = DEFAULT_ALGORITHMS,
        leeway: float = 30.0,
        role_claim: str = "role",
        queues_claim: str = "queues",
        roles: Mapping[str, Role] | None = None,
        name_claim: str = "sub",
        now: Callable[[], float] = time.time,
    ) -> None:
        # Empty ones would let PyJWT leave the check out.
        assert issuer
        assert audience
        assert algorithms
        assert set(algorithms) <= KINDS.keys()
        self.keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._leeway = leeway
        self._role_claim = role_claim
        self._queues_claim = queues_claim
        self._roles = roles or {}
        self._name_claim = name_claim
        self._now = now
        self._known: OrderedDict[bytes, Caller] = OrderedDict()
        self._generation = keys.generation

    async def verify(self, token: str) -> Caller:
        """Whose token this is. Raises Refused, and QuorateError when keys cannot be fetched."""
        self.keys.look()
        if self._generation != self.keys.generation:
            self._generation = self.keys.generation
            self._known.clear()
        if len(token) > MOST_BYTES:
            raise Refused("TOKEN_INVALID", f"the token is longer than {MOST_BYTES} bytes")
        digest = blake2b(token.encode(errors="replace"), digest_size=16).digest()
        caller = self._known.get(digest)
        if caller is None:
            caller = await self._check(token)
            if len(self._known) >= MOST_CACHED:
                self._known.popitem(last=False)
            self._known[digest] = caller
        elif caller.expires <= self._now():
            del self._known[digest]
            raise _expired()
        return caller

    async def _check(self, token: str) -> Caller:
        return self._caller(await self.claims(token))

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that holds, whatever its role. Raises as `verify`."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in self._algorithms:
                raise Refused("TOKEN_INVALID", "the token's algorithm is not allowed")
            key = await self.keys.key(kid)
            if key is None or key.kind != KINDS[algorithm] or key.algorithm not in ("", algorithm):
                raise Refused("TOKEN_INVALID", "the token is signed by an unknown key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except jwt.InvalidAudienceError:
            raise Refused("TOKEN_INVALID", "the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise Refused("TOKEN_INVALID", "the token is from another issuer") from None
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            # What was wrong with a signature is nobody's business; a missing claim is.
            missing = isinstance(error, jwt.MissingRequiredClaimError)
            why = str(error) if missing else "it cannot be verified"
            raise Refused("TOKEN_INVALID", f"the token is not valid: {why}") from None
        return claims

    def _role(self, claim: Any) -> Any:
        if not self._roles:
            return claim
        has = {one for one in (claim if isinstance(claim, list) else [claim]) if type(one) is str}
        return next((role for value, role in self._roles.items() if value in has), None)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        role = self._role(claims.get(self._role_claim))
        if role not in list(Role) or role in CERTIFICATE_ONLY:
            raise Refused(
                "TOKEN_WITHOUT_ROLE",
                f"the token's claim {self._role_claim!r} is not a role that tokens may have "
                "(admin, operator, submitter, viewer)"
                + (", nor mapped to one (--auth-jwt-roles)" if self._roles else ""),
            )
        try:
            name = check_name(claims.get(self._name_claim))
            patterns = check_patterns(claims.get(self._queues_claim, EVERYTHING))
        except ValueError as error:
            raise Refused("TOKEN_INVALID", f"the token's claims: {error}") from None
        return Caller(name, Role(role), How.JWT, patterns, float(claims["exp"]) + self._leeway)


def _expired() -> Refused:
    return Refused("TOKEN_EXPIRED", "the token has expired")
