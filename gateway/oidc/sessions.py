"""Sessions of signed-in browsers: what is in the cookie, and for how long it holds.

    sign-in under way   cookie `sign-in`   state, nonce, PKCE verifier, where to go on; 10 minutes
    session             cookie `session`   ID token, refresh token, when the user signed in

Gateways keep no list: any of them serves any session, also after a restart. A session ends when its
ID token expires and cannot be renewed, and `--oidc-session` after the sign-in at the latest. The ID
token is what schedulers see: they judge it with each call, as they judge any other JWT.

Renewal: a provider may accept a refresh token only once, and a page sends many requests at a time.
Requests with the same refresh token share one renewal, and its outcome for `_SHARED` seconds, until
the browser has the new cookie. Memory: `_MOST_SHARED` outcomes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.oidc.cookies import Cookies, TooLarge
from gateway.oidc.tokens import SignInRefused, Tokens
from quorate.runtime.errors import QuorateError

if TYPE_CHECKING:
    # It loads Authlib and httpx2.
    from gateway.oidc.provider import Provider

log = structlog.get_logger(__name__)

SESSION: Final = "session"
SIGN_IN: Final = "sign-in"
# The callback comes from the provider's page: with Strict the browser would leave the cookie out.
_SIGN_IN_SITE: Final = "Lax"
_SESSION_SITE: Final = "Strict"
_SIGN_IN_AGE: Final = 600
# Renewed so many seconds before the ID token expires.
_EARLY: Final = 60.0
_SHARED: Final = 60.0
_MOST_SHARED: Final = 1_000
_MOST_NAME: Final = 256
# Of `Sessions.outcomes`.
OUTCOMES: Final = ("signed_in", "refused", "renewed", "not_renewed", "signed_out")


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user. Instants are seconds since 1970."""

    id_token: str
    refresh_token: str
    subject: str
    name: str
    expires: float
    """Of the ID token."""
    ends: float
    """Of the session, whatever is renewed."""


class Sessions:
    """Begins, reads, renews and ends sessions. Lives in one event loop.

    Args:
        longest: seconds from a sign-in to the end of its session.
        now: seconds since 1970.
    """

    def __init__(
        self,
        cookies: Cookies,
        provider: Provider,
        longest: float,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cookies = cookies
        self._provider = provider
        self._longest = longest
        self._now = now
        # How often each of OUTCOMES happened.
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        # By digest of the refresh token; the oldest first.
        self._renewals: OrderedDict[bytes, tuple[float, asyncio.Task[Session | None]]] = (
            OrderedDict()
        )

    # -- signing in

    async def begin(self, path: str) -> tuple[str, list[str]]:
        """Where the browser signs in, and its cookies. Raises UNAVAILABLE.

        Args:
            path: where it goes on; anything but a path of the gateway is taken as `/`.
        """
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)
        url = await self._provider.authorization_url(state, nonce, verifier)
        value = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "next": local_path(path),
            "until": self._now() + _SIGN_IN_AGE,
        }
        return url, self._cookies.sealed(SIGN_IN, value, age=_SIGN_IN_AGE, same_site=_SIGN_IN_SITE)

    async def complete(self, header: str, state: str, code: str) -> tuple[str, list[str]]:
        """Where the browser goes on after its callback, and its cookies.

        Args:
            header: of its cookies.

        Raises:
            SignInRefused: it did not begin here, or the provider refuses.
            QuorateError: UNAVAILABLE.
        """
        try:
            return await self._complete(header, state, code)
        except SignInRefused:
            self.outcomes["refused"] += 1
            raise

    async def _complete(self, header: str, state: str, code: str) -> tuple[str, list[str]]:
        value = self._cookies.opened(SIGN_IN, header)
        if value is None or value["until"] < self._now():
            raise SignInRefused("this browser began no sign-in in the last ten minutes")
        if not secrets.compare_digest(value["state"].encode(), state.encode()):
            raise SignInRefused("the answer belongs to another sign-in")
        tokens = await self._provider.exchange(code, value["nonce"], value["verifier"])
        session = self._session(tokens, self._now() + self._longest)
        cookies = [*self._set(session), *self.abandon()]
        log.info("signed_in", subject=session.subject, user=session.name)
        self.outcomes["signed_in"] += 1
        return value["next"], cookies

    def abandon(self) -> list[str]:
        """Cookies that forget a sign-in under way."""
        return self._cookies.cleared(SIGN_IN, _SIGN_IN_SITE)

    # -- signed in

    def of(self, header: str) -> Session | None:
        """The session in a `Cookie` header; None without one, and when it is over."""
        value = self._cookies.opened(SESSION, header)
        if value is None:
            return None
        session = Session(**value)
        return session if session.ends > self._now() else None

    def holds(self, session: Session) -> bool:
        """Whether its ID token is good for now."""
        return session.expires > self._now()

    async def current(self, header: str) -> tuple[Session | None, list[str]]:
        """The session in a `Cookie` header, renewed if it is time to; and cookies to set."""
        session = self.of(header)
        if session is None:
            return None, self.end() if self._cookies.opened(SESSION, header) is not None else []
        if session.expires - self._now() > _EARLY:
            return session, []
        renewed = await self._renewed(session) if session.refresh_token else None
        if renewed is not None:
            return renewed, self._set(renewed)
        # While the provider is away, what is left of the ID token is used up.
        return (session, []) if self.holds(session) else (None, self.end())

    def end(self) -> list[str]:
        """Cookies that forget the session."""
        return self._cookies.cleared(SESSION, _SESSION_SITE)

    async def sign_out(self, session: Session, back: str) -> str:
        """Where the browser ends its session at the provider, as far as known; empty: nowhere."""
        self.outcomes["signed_out"] += 1
        log.info("signed_out", subject=session.subject, user=session.name)
        await self._provider.revoke(session.refresh_token)
        try:
            return await self._provider.end_session_url(back)
        except QuorateError:
            return ""

    # -- renewal

    async def _renewed(self, session: Session) -> Session | None:
        key = blake2b(session.refresh_token.encode(), digest_size=16).digest()
        now = self._now()
        while self._renewals:
            oldest, (until, task) = next(iter(self._renewals.items()))
            if until > now and len(self._renewals) < _MOST_SHARED:
                break
            del self._renewals[oldest]
        shared = self._renewals.get(key)
        if shared is None:
            task = asyncio.create_task(self._renew(session), name="renew session")
            self._renewals[key] = now + _SHARED, task
        else:
            task = shared[1]
        # Who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _renew(self, session: Session) -> Session | None:
        try:
            tokens = await self._provider.renew(session.refresh_token, session.subject)
            self.outcomes["renewed"] += 1
            return self._session(tokens, session.ends)
        except (SignInRefused, QuorateError) as error:
            self.outcomes["not_renewed"] += 1
            log.warning("session_not_renewed", subject=session.subject, why=str(error))
            return None

    def _session(self, tokens: Tokens, ends: float) -> Session:
        claims = tokens.claims
        return Session(
            tokens.id_token,
            tokens.refresh_token,
            str(claims["sub"]),
            _name_of(claims),
            float(claims["exp"]),
            ends,
        )

    def _set(self, session: Session) -> list[str]:
        value = {name: getattr(session, name) for name in Session.__slots__}
        age = max(int(session.ends - self._now()), 1)
        try:
            return self._cookies.sealed(SESSION, value, age=age, same_site=_SESSION_SITE)
        except TooLarge as error:
            log.error("session_too_large", subject=session.subject, why=str(error))
            raise SignInRefused(
                "the provider's tokens are too large for cookies; let it send fewer groups"
            ) from error


def local_path(path: str) -> str:
    """`path` if a browser stays on the gateway with it, else `/`: no redirect to other sites.

    Browsers take `\\` for `/` and leave out tabs and line breaks, so `/\\evil` is another host.
    """
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= 1024
    if not plain or not path.startswith("/") or path.startswith("//"):
        return "/"
    return path


def _name_of(claims: dict[str, Any]) -> str:
    for claim in ("name", "preferred_username", "email", "sub"):
        if isinstance(claims.get(claim), str) and claims[claim]:
            return str(claims[claim])[:_MOST_NAME]
    return ""
