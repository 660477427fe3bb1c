"""Lets calls in: who calls is found out, and may call this RPC, before anything else happens.

`Guard.admit` decides about one call by its metadata and its connection:

| the call brings | the caller is |
|---|---|
| `quorate-caller` from a `scheduler:` certificate | whom that scheduler authenticated |
| `authorization: Bearer ...` | the token's, whatever certificate was shown; a bad one is refused |
| `quorate-caller` from a `gateway:` certificate, if trusted | whose certificate the gateway saw |
| `quorate-on-behalf`, but no token | nobody: who passes calls on is not taken for their caller |
| nothing of it | the certificate's (`<role>:<name>`) |

`GuardInterceptor` asks it for every call of a `grpc.aio` server that is not public. It goes into
the server only where authentication is on: without it nothing is in the way of a call. The queue a
request names is `permissions.check_request`'s, behind the parser.

A stream ends with UNAUTHENTICATED `TOKEN_EXPIRED` when its caller's token expires, and with
`TOKEN_REVOKED` when its API token is taken out of the file, or is another caller's by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from quorate.runtime.errors import QuorateError, abort
from quorate.runtime.quotas import UNLIMITED
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.security import identity
from quorate.security.credentials.jwt_terms import Refused
from quorate.security.credentials.streams import TokenStreams
from quorate.security.credentials.tokens import PREFIX, TokenFile, TokenFileError, id_of
from quorate.security.identity import Caller, How, Role, from_common_name, set_caller
from quorate.security.limits import CallerLimits, CallLimits, kind_of
from quorate.security.metadata import AUTHORIZATION, FORWARDED, ON_BEHALF, PASSED_ON
from quorate.security.permissions import Rule, check_request, check_role
from quorate.security.settings import JWT, MTLS, TOKENS, AuthSettings

if TYPE_CHECKING:
    from quorate.security.credentials.jwt import Verifier

log = structlog.get_logger(__name__)

_OWN_ROLES: Final = frozenset((*identity.CERTIFICATE_ONLY, Role.GATEWAY))
COMMON_NAME: Final = "x509_common_name"
# Lines a second about refused calls.
_LOGGED: Final = 10.0


class Guard:
    """Decides who may call what.

    Args:
        settings: with at least one way on.
        rules: of every RPC, by path.
        limits: of callers; those of `settings` when left out.

    Raises:
        ValueError: a file that cannot be used, in one sentence that names the flag.
    """

    def __init__(
        self,
        settings: AuthSettings,
        rules: Mapping[str, Rule],
        *,
        limits: CallerLimits | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        ways = settings.auth_ways
        assert ways, "no guard without authentication"
        self._rules = rules
        self._now = now
        self._monotonic = monotonic
        self._certificates = MTLS in ways
        self._trusts_gateways = settings.auth_trust_gateways
        self._tokens: TokenFile | None = None
        self._jwt: Verifier | None = None
        self._accepted = ", ".join(
            word
            for way, word in (
                (MTLS, "a client certificate <role>:<name>"),
                (TOKENS, "an API token"),
                (JWT, "a JWT"),
            )
            if way in ways
        )
        if TOKENS in ways:
            try:
                self._tokens = TokenFile(Path(settings.auth_tokens_file), monotonic=monotonic)
            except TokenFileError as failure:
                raise ValueError(f"auth-tokens-file: {failure}") from None
        if JWT in ways:
            # Slow to import, and needed by few.
            from quorate.security.credentials.jwks import KeyFileError, KeySource
            from quorate.security.credentials.jwt import Verifier

            try:
                keys = KeySource(settings.auth_jwks, monotonic=monotonic)
            except KeyFileError as failure:
                raise ValueError(f"auth-jwks: {failure}") from None
            self._jwt = Verifier(
                keys,
                issuer=settings.auth_jwt_issuer,
                audience=settings.auth_jwt_audience,
                algorithms=settings.jwt_algorithms,
                leeway=settings.auth_jwt_leeway,
                role_claim=settings.auth_jwt_role_claim,
                queues_claim=settings.auth_jwt_queues_claim,
                roles=settings.jwt_roles,
                name_claim=settings.auth_jwt_name_claim,
                now=now,
            )
        self.streams = TokenStreams(self._tokens) if self._tokens is not None else None
        if limits is None:
            fixed = CallLimits(settings.auth_rate or UNLIMITED, settings.auth_streams or UNLIMITED)
            limits = CallerLimits(lambda name: fixed, monotonic=monotonic)
        self.limits = limits
        self._lines = TokenBucket(_LOGGED, _LOGGED, monotonic())

    def public(self, path: str) -> bool:
        """Whether anybody may call."""
        rule = self._rules.get(path)
        return rule is not None and rule.public

    async def admit(self, path: str, context: Any) -> Caller:
        """Who calls, if it may call this RPC. Raises UNAUTHENTICATED, PERMISSION_DENIED."""
        try:
            caller = await self._authenticate(context)
            rule = self._rules.get(path)
            check_role(rule, caller, path)
            if rule is not None and rule.names_nothing:
                # No need to read the request; and services of gRPC's own do not.
                check_request(rule, caller, None, _no_task)
        except QuorateError as error:
            if not self._lines.take(self._monotonic()):
                log.warning(
                    "auth_refused",
                    method=path,
                    reason=error.reason,
                    caller=error.metadata.get("caller", ""),
                    peer=context.peer(),
                )
            raise
        return caller

    def left(self, caller: Caller) -> float | None:
        """Seconds until the caller's credential expires; None: it does not."""
        return max(0.0, caller.expires - self._now()) if isfinite(caller.expires) else None

    def watch(self, until: asyncio.Timeout, caller: Caller, context: Any) -> None:
        """Have the timeout of a stream expire when its API token is taken out.

        One that a scheduler passed on is that scheduler's to watch: its file says whose it is.
        """
        if self.streams is None or caller.how is not How.TOKEN:
            return
        said = dict(context.invocation_metadata() or ())
        if PASSED_ON not in said or not _is_scheduler(self._certified(context)):
            token = said[AUTHORIZATION].strip().partition(" ")[2].strip()
            self.streams.add(until, id_of(token), caller)

    def unwatch(self, until: asyncio.Timeout) -> None:
        """The stream has ended."""
        if self.streams is not None:
            self.streams.remove(until)

    def ended(self, caller: Caller) -> QuorateError:
        """Why a stream is ended before its time."""
        if caller.expires <= self._now():
            return _unauthenticated("TOKEN_EXPIRED", "the token has expired")
        return _unauthenticated("TOKEN_REVOKED", "the token was taken out, or changed")

    async def _authenticate(self, context: Any) -> Caller:
        said: dict[str, str] = {}
        for key, value in context.invocation_metadata() or ():
            if key in (AUTHORIZATION, PASSED_ON, ON_BEHALF, FORWARDED):
                if key in said:
                    raise _unauthenticated("CREDENTIALS_TWICE", f"{key} is there twice")
                said[key] = value
        certified = self._certified(context)
        if PASSED_ON in said and _is_scheduler(certified):
            try:
                return self._current(identity.decode(said[PASSED_ON]))
            except ValueError as error:
                raise _unauthenticated("MALFORMED_CALLER", str(error)) from None
        if AUTHORIZATION in said:
            return self._current(await self._bearer(said[AUTHORIZATION]))
        if PASSED_ON in said and self._trusts_gateways and _is(certified, Role.GATEWAY):
            return _shown(said[PASSED_ON])
        if certified is None or ON_BEHALF in said or FORWARDED in said:
            raise _unauthenticated("CREDENTIALS_MISSING", f"show {self._accepted}")
        return certified

    def _certified(self, context: Any) -> Caller | None:
        """The caller that the connection's certificate names."""
        if not self._certificates:
            return None
        shown = context.auth_context().get(COMMON_NAME)
        return from_common_name(shown[0].decode(errors="replace")) if shown else None

    async def _bearer(self, value: str) -> Caller:
        scheme, _, token = value.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("TOKEN_INVALID", "authorization: must be `Bearer <token>`")
        if token.startswith(PREFIX):
            if self._tokens is not None:
                caller = self._tokens.find(token)
                if caller is not None:
                    return caller
        elif self._jwt is not None:
            try:
                return await self._jwt.verify(token)
            except Refused as refused:
                raise _unauthenticated(refused.reason, str(refused)) from None
        raise _unauthenticated("TOKEN_INVALID", "the token is not known here")

    def _current(self, caller: Caller) -> Caller:
        if caller.expires <= self._now():
            raise _unauthenticated("TOKEN_EXPIRED", "the token has expired")
        return caller


class GuardInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Has every call that is not public admitted, and its caller set and counted."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # By path: as many as the server has methods.
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """See grpc.aio.ServerInterceptor."""
        path = handler_call_details.method
        handler = await continuation(handler_call_details)
        # A method that is not served is UNIMPLEMENTED to everybody.
        if handler is None or self._guard.public(path):
            return handler
        known = self._wrapped.get(path)
        if known is None or known[0] is not handler:
            known = self._wrapped[path] = (handler, self._wrap(path, handler))
        return known[1]

    def _wrap(self, path: str, handler: Any) -> Any:
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            behavior = self._streamed(path, inner)
        else:
            inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            behavior = self._unary(path, inner)
        return make(behavior, handler.request_deserializer, handler.response_serializer)

    def _unary(self, path: str, inner: Any) -> Any:
        guard = self._guard
        kind = kind_of(path, streams=False)

        async def serve(request: Any, context: Any) -> Any:
            try:
                caller = await guard.admit(path, context)
                try:
                    end = guard.limits.begin(caller, kind)
                except QuorateError:
                    await guard.limits.hold_back(caller)
                    raise
            except QuorateError as error:
                await abort(context, error)
            set_caller(caller)
            if end is None:
                return await inner(request, context)
            try:
                return await inner(request, context)
            finally:
                end()

        return serve

    def _streamed(self, path: str, inner: Any) -> Any:
        guard = self._guard
        kind = kind_of(path, streams=True)

        async def serve(request: Any, context: Any) -> None:
            try:
                caller = await guard.admit(path, context)
                try:
                    end = guard.limits.begin(caller, kind)
                except QuorateError:
                    await guard.limits.hold_back(caller)
                    raise
            except QuorateError as error:
                await abort(context, error)
            set_caller(caller)
            try:
                async with asyncio.timeout(guard.left(caller)) as until:
                    guard.watch(until, caller, context)
                    answers = inner(request, context)
                    if hasattr(answers, "__aiter__"):
                        async for answer in answers:
                            await context.write(answer)
                    else:
                        await answers
            except TimeoutError:
                if not until.expired():
                    raise
                await abort(context, guard.ended(caller))
            finally:
                guard.unwatch(until)
                if end is not None:
                    end()

        return serve


def _is_scheduler(certified: Caller | None) -> bool:
    return _is(certified, Role.SCHEDULER)


def _is(certified: Caller | None, role: Role) -> bool:
    return certified is not None and certified.role is role


def _shown(text: str) -> Caller:
    """Whose certificate a gateway saw: people's and programs', not those of the cluster's own
    processes."""
    try:
        caller = identity.decode(text)
    except ValueError as error:
        raise _unauthenticated("MALFORMED_CALLER", str(error)) from None
    if caller.how is not How.CERTIFICATE or caller.role in _OWN_ROLES:
        raise _unauthenticated("MALFORMED_CALLER", f"a gateway does not pass on {caller}")
    return caller


def _no_task(task: str) -> None:
    raise AssertionError(task)


def _unauthenticated(reason: str, message: str) -> QuorateError:
    return QuorateError(grpc.StatusCode.UNAUTHENTICATED, reason, message)
