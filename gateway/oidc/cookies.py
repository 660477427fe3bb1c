"""Cookies that only gateways can read: encrypted and authenticated (AES-256-GCM), in parts.

The key is made of the client secret (HKDF, RFC 5869), so every gateway of a cluster reads what
another one wrote, and a new secret ends all sessions. A cookie is bound to its name: what was
sealed for a sign-in under way is no session.

A browser keeps about 4,096 bytes of a cookie: a longer value is cut into at most `MOST_PARTS`,
`name`, `name.1`, and so on.

Attributes (RFC 6265bis): always HttpOnly; Secure and the prefix `__Host-` (below a sub-path
`__Secure-`, and its path) unless the gateway is seen at http, which is allowed on loopback only.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MOST_PARTS: Final = 5
_PART: Final = 3800
_NONCE: Final = 12
_INFO: Final = b"quorate gateway cookies v1"


class TooLarge(ValueError):
    """What was to be sealed does not fit into `MOST_PARTS` cookies."""


class Cookies:
    """Makes and reads the cookies of one gateway.

    Args:
        secret: the client secret.
        public_url: where browsers see the gateway.
    """

    def __init__(self, secret: str, public_url: str) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=_INFO).derive(secret.encode())
        self._cipher = AESGCM(key)
        parts = urlsplit(public_url)
        path = parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        prefix = ("__Secure-" if path else "__Host-") if self._secure else ""
        self._path = path or "/"
        self._prefix = f"{prefix}quorate-"

    def sealed(self, name: str, value: dict[str, Any], *, age: int, same_site: str) -> list[str]:
        """`Set-Cookie` headers for a value, which the browser forgets after `age` seconds.

        Raises:
            TooLarge: it does not fit.
        """
        full = self._prefix + name
        nonce = os.urandom(_NONCE)
        plain = json.dumps(value, separators=(",", ":")).encode()
        text = urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, full.encode())).decode()
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        if len(parts) > MOST_PARTS:
            raise TooLarge(f"{len(text)} bytes; at most {MOST_PARTS * _PART} fit into cookies")
        made = [self._set(full, n, part, age, same_site) for n, part in enumerate(parts)]
        # A longer value that was there before.
        stale = [self._set(full, n, "", 0, same_site) for n in range(len(parts), MOST_PARTS)]
        return made + stale

    def cleared(self, name: str, same_site: str) -> list[str]:
        """`Set-Cookie` headers that delete it."""
        full = self._prefix + name
        return [self._set(full, number, "", 0, same_site) for number in range(MOST_PARTS)]

    def opened(self, name: str, header: str) -> dict[str, Any] | None:
        """The value in a `Cookie` header; None without one, and of one that nobody sealed."""
        full = self._prefix + name
        if full not in header:
            return None
        try:
            found = SimpleCookie(header)
        except CookieError:
            return None
        parts = []
        for number in range(MOST_PARTS):
            part = found.get(_part_name(full, number))
            if part is None:
                break
            parts.append(part.value)
        try:
            data = urlsafe_b64decode("".join(parts))
            plain = self._cipher.decrypt(data[:_NONCE], data[_NONCE:], full.encode())
            value: dict[str, Any] = json.loads(plain)
        except (InvalidTag, ValueError):
            return None
        return value

    def _set(self, full: str, number: int, value: str, age: int, same_site: str) -> str:
        secure = "; Secure" if self._secure else ""
        return (
            f"{_part_name(full, number)}={value}; Path={self._path}; Max-Age={age}; HttpOnly; "
            f"SameSite={same_site}{secure}"
        )


def _part_name(full: str, number: int) -> str:
    return f"{full}.{number}" if number else full
