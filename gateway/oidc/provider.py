"""The OpenID Connect provider: what it says of itself, and the calls to it.

Authorization code flow (OpenID Connect Core 1.0, section 3.1) with PKCE (RFC 7636), state and
nonce; Authlib makes the requests. ID tokens are verified as schedulers verify them: by the
provider's keys, which are fetched anew when a token names an unknown one, with issuer, audience and
expiry.

What the provider says of itself is kept for an hour. Its addresses are https, or http on loopback:
a description that names others is refused as a whole.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from gateway.oidc.settings import OidcSettings, check_url, read_secret
from gateway.oidc.tokens import SignInRefused, Tokens
from quorate.runtime.errors import QuorateError, unavailable
from quorate.security.credentials.jwks import KeySource
from quorate.security.credentials.jwt import Verifier
from quorate.security.credentials.jwt_terms import Refused

log = structlog.get_logger(__name__)

_FRESH: Final = 3600.0
_PAUSE: Final = 5.0
_TIMEOUT: Final = 10.0
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Described:
    authorization: str
    token: str
    end_session: str
    revocation: str
    method: str
    verifier: Verifier


class Provider:
    """One provider, as one of its clients. Lives in one event loop.

    Args:
        settings: with an issuer.
        monotonic: seconds.
    """

    def __init__(
        self, settings: OidcSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._secret = read_secret(settings.oidc_client_secret_file)
        self._scopes = settings.oidc_scopes
        self._redirect = settings.public_url.rstrip("/") + "/auth/callback"
        self._monotonic = monotonic
        self._asking = asyncio.Lock()
        self._described: _Described | None = None
        self._at = self._tried = float("-inf")

    async def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where the browser signs in. Raises UNAVAILABLE `OIDC_UNAVAILABLE`."""
        known = await self._known()
        async with self._client(known) as client:
            url, _ = client.create_authorization_url(
                known.authorization, state=state, nonce=nonce, code_verifier=verifier
            )
        return cast("str", url)

    async def exchange(self, code: str, nonce: str, verifier: str) -> Tokens:
        """The tokens for a code.

        Raises:
            SignInRefused: by the provider, or its ID token does not hold.
            QuorateError: UNAVAILABLE `OIDC_UNAVAILABLE`.
        """
        known = await self._known()
        answer = await self._fetch(known, "fetch_token", code=code, code_verifier=verifier)
        tokens = await self._tokens(known, answer, "")
        if not hmac.compare_digest(str(tokens.claims.get("nonce", "")).encode(), nonce.encode()):
            raise SignInRefused("the provider's answer belongs to another sign-in")
        return tokens

    async def renew(self, refresh_token: str, subject: str) -> Tokens:
        """New tokens of the same user. Raises as `exchange`."""
        known = await self._known()
        answer = await self._fetch(known, "refresh_token", refresh_token=refresh_token)
        tokens = await self._tokens(known, answer, refresh_token)
        if tokens.claims["sub"] != subject:
            raise SignInRefused("the provider renewed the session of another user")
        return tokens

    async def end_session_url(self, back: str) -> str:
        """Where the browser ends its session at the provider; empty if it has no such address.

        The client is named by its id (OpenID Connect RP-Initiated Logout 1.0, section 2), not by
        the ID token as a hint: pages never see tokens.
        """
        known = await self._known()
        if not known.end_session:
            return ""
        query = {"client_id": self._client_id, "post_logout_redirect_uri": back}
        return str(httpx2.URL(known.end_session).copy_merge_params(query))

    async def revoke(self, refresh_token: str) -> None:
        """Make the refresh token worthless, as far as the provider can. Raises nothing of it."""
        try:
            known = await self._known()
            if known.revocation and refresh_token:
                async with self._client(known) as client:
                    await client.revoke_token(known.revocation, refresh_token, "refresh_token")
        except (QuorateError, httpx2.HTTPError, AuthlibBaseError) as error:
            log.warning("oidc_revocation_failed", why=str(error))

    # -- what it says of itself

    async def _known(self) -> _Described:
        async with self._asking:
            now = self._monotonic()
            if self._described is not None and now - self._at < _FRESH:
                return self._described
            if now - self._tried >= _PAUSE:
                self._tried = now
                try:
                    self._described, self._at = await self._describe(), now
                except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
                    log.error("oidc_discovery_failed", issuer=self._issuer, why=str(error))
            if self._described is None:
                raise unavailable("OIDC_UNAVAILABLE", "the identity provider cannot be reached")
            return self._described

    async def _describe(self) -> _Described:
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        async with httpx2.AsyncClient(timeout=_TIMEOUT) as client:
            answer = await client.get(url)
        answer.raise_for_status()
        if len(answer.content) > _MOST_BYTES:
            raise ValueError("the description is larger than 1 MiB")
        said = answer.json()
        if said["issuer"] != self._issuer:
            raise ValueError(f"it calls itself {said['issuer']!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            check_url(name, said[name], query=True)
        for name in ("end_session_endpoint", "revocation_endpoint"):
            if said.get(name):
                check_url(name, said[name], query=True)
        methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        former = self._described
        # Its cache of keys is kept unless they are elsewhere now.
        keys = KeySource(said["jwks_uri"])
        return _Described(
            said["authorization_endpoint"],
            said["token_endpoint"],
            said.get("end_session_endpoint") or "",
            said.get("revocation_endpoint") or "",
            "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post",
            former.verifier
            if former is not None and former.verifier.keys.where == keys.where
            else Verifier(keys, issuer=self._issuer, audience=self._client_id),
        )

    # -- tokens

    def _client(self, known: _Described) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._client_id,
            self._secret,
            token_endpoint_auth_method=known.method,
            scope=self._scopes,
            redirect_uri=self._redirect,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
        )

    async def _fetch(self, known: _Described, how: str, **what: str) -> dict[str, Any]:
        try:
            async with self._client(known) as client:
                answer: dict[str, Any] = await getattr(client, how)(known.token, **what)
        except (AuthlibBaseError, ValueError) as error:
            log.warning("oidc_refused", why=str(error))
            raise SignInRefused("the provider refused the sign-in; sign in again") from error
        except httpx2.HTTPError as error:
            log.error("oidc_unreachable", why=str(error))
            raise unavailable(
                "OIDC_UNAVAILABLE", "the identity provider cannot be reached"
            ) from error
        return answer

    async def _tokens(self, known: _Described, answer: dict[str, Any], refresh: str) -> Tokens:
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise SignInRefused("the provider sent no ID token")
        try:
            claims = await known.verifier.claims(id_token)
        except Refused as refused:
            log.warning("oidc_token_refused", why=str(refused))
            raise SignInRefused(f"the provider's ID token: {refused}") from refused
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            raise SignInRefused("the provider's ID token is for several clients")
        if claims.get("azp", self._client_id) != self._client_id:
            raise SignInRefused("the provider's ID token was made for another client")
        return Tokens(id_token, str(answer.get("refresh_token") or refresh), claims)
