"""The keys that sign JWTs: a JWKS (RFC 7517) from a file or a URL, kept for a while.

A file is read again when it changes. A URL is asked again every five minutes, and at once, but at
most every ten seconds, when a token names a key that is not known: that is how a rotation shows.
While a URL does not answer, the keys it gave stand for an hour; then tokens are refused, since a
key that was withdrawn would stand for ever otherwise.

`KeySource` owns the keys; one fetch at a time, in a thread. Secret keys (HS256 and its like) are
taken from files only: whatever a URL serves, others can read.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, NoReturn, cast
from urllib.parse import urlsplit

import jwt
import structlog

from quorate.runtime.errors import unavailable
from quorate.security.exposure import is_loopback

log = structlog.get_logger(__name__)

MOST_KEYS: Final = 100
_MOST_BYTES: Final = 1 << 20
# Seconds.
_FRESH: Final = 300.0
_STALE: Final = 3600.0
_PAUSE: Final = 10.0
_LOOK: Final = 1.0
_FETCH: Final = 5.0


class KeyFileError(ValueError):
    """A JWKS that cannot be used: one sentence."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. `kind` is its `kty`; `algorithm` is the only one it is for, empty if not said."""

    key: Any
    kind: str
    algorithm: str


class Keys:
    """The keys of one JWKS."""

    def __init__(self, keys: Mapping[str, SigningKey]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None) -> SigningKey | None:
        """The key of this id; without an id, the only one there is."""
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)


class KeySource:
    """Where the keys come from.

    Args:
        where: a path, or an https URL (http on loopback).
        monotonic: seconds.

    Raises:
        KeyFault: a file that cannot be used. A URL is asked when the first token comes.
    """

    def __init__(self, where: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.where = where
        self._url = "://" in where
        self._monotonic = monotonic
        self._fetching = asyncio.Lock()
        # Grows with each change: what was verified by former keys is verified again.
        self.generation = 0
        self._fetched = self._tried = float("-inf")
        self._stamp: tuple[int, ...] = ()
        self._keys = Keys({})
        if self._url:
            _check_url(where)
        else:
            self._stamp = self._status()
            self._keys = parse(_read(where), secret=True)
            self._tried = monotonic()

    def look(self) -> None:
        """Take up a file that changed. Cheap: looks once a second at most."""
        now = self._monotonic()
        if self._url or now - self._tried < _LOOK:
            return
        self._tried = now
        stamp = self._status()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(parse(_read(self.where), secret=True))
        except KeyFileError as failure:
            log.error("jwks_unusable", why=str(failure))

    async def key(self, kid: str | None) -> SigningKey | None:
        """The key of this id; None when there is none. Raises UNAVAILABLE `JWKS_UNAVAILABLE`."""
        if self._url:
            age = self._monotonic() - self._fetched
            if age > _FRESH or self._keys.find(kid) is None:
                await self._fetch()
        return self._keys.find(kid)

    async def _fetch(self) -> None:
        async with self._fetching:
            now = self._monotonic()
            if now - self._tried >= _PAUSE:
                self._tried = now
                try:
                    data = await asyncio.to_thread(_download, self.where)
                    self._take(parse(data, secret=False))
                    self._fetched = now
                    return
                except KeyFileError as failure:
                    log.error("jwks_unusable", why=str(failure))
        if now - self._fetched > _STALE:
            raise unavailable("JWKS_UNAVAILABLE", "the keys that sign tokens cannot be fetched")

    def _take(self, keys: Keys) -> None:
        self._keys = keys
        self.generation += 1

    def _status(self) -> tuple[int, ...]:
        try:
            status = Path(self.where).stat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_ino, status.st_size)


def parse(data: bytes, *, secret: bool) -> Keys:
    """The keys of a JWKS; keys of kinds that are not known are left out. Raises KeyFault."""
    try:
        said = json.loads(data)["keys"]
        listed = [cast("dict[str, Any]", one) for one in said if isinstance(one, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeyFileError("is not a JWKS: an object with a list of `keys`") from None
    if len(listed) > MOST_KEYS:
        raise KeyFileError(f"has {len(listed)} keys; at most {MOST_KEYS} may be")
    keys: dict[str, SigningKey] = {}
    for one in listed:
        if one.get("use", "sig") != "sig":
            continue
        if one.get("kty") == "oct" and not secret:
            log.warning("jwks_secret_ignored", kid=str(one.get("kid")))
            continue
        try:
            kid = str(one.get("kid", f"#{len(keys)}"))
            key = jwt.PyJWK(one)
            keys[kid] = SigningKey(key.key, str(one["kty"]), str(one.get("alg", "")))
        except jwt.PyJWTError as error:
            log.warning("jwks_key_ignored", kid=str(one.get("kid")), why=str(error))
    if not keys:
        raise KeyFileError("has no key that signs")
    return Keys(keys)


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    return _bounded(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > _MOST_BYTES:
        raise KeyFileError(f"is larger than {_MOST_BYTES >> 20} MiB")
    return data


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if (parts.scheme != "https" and not plain) or not parts.hostname:
        raise KeyFileError(f"{url!r} is not an https URL")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever can redirect could name keys of its own, over http too."""

    def redirect_request(self, *args: Any) -> NoReturn:
        raise KeyFileError("redirects; name the final URL")


def _download(url: str) -> bytes:
    """Runs in a thread. Raises KeyFault."""
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with opener.open(request, timeout=_FETCH) as answer:
            return _bounded(cast("bytes", answer.read(_MOST_BYTES + 1)))
    except (OSError, HTTPException, urllib.error.URLError) as error:
        raise KeyFileError(f"{url} cannot be fetched: {error}") from None
