"""The PEM files of one end of a TLS connection: read together, checked together.

Nothing is kept here but paths. Files are replaced under a running process (by cert-manager, by a
renewal script), one after the other, so a set is only used when its key matches its certificate;
`PemFiles.stamp` says cheaply whether to read again. A set that cannot be used is a `TlsError`:
fatal when a process starts, and a reason to go on with the former set when it runs.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from quorate.runtime.errors import QuorateError

# `cryptography` is imported where it is used: the SDK without TLS does not wait for it.
if TYPE_CHECKING:
    from cryptography import x509

# A chain or a bundle of CAs is some KiB; a disk image that was named by mistake is refused.
_MOST_BYTES = 4 << 20

Stamp = tuple[tuple[int, int, int], ...]


class TlsError(QuorateError, ValueError):
    """A certificate, key or CA file that cannot be used. `flag` names the setting, no dashes."""

    def __init__(self, flag: str, message: str) -> None:
        super().__init__(
            grpc.StatusCode.INVALID_ARGUMENT, "TLS_UNUSABLE", f"{flag}: {message}", field=flag
        )
        self.flag = flag


@dataclass(frozen=True, slots=True)
class Pem:
    """What the files held: PEM text; empty for a file that is not named."""

    cert: bytes
    """The leaf first, then the rest of its chain."""
    key: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class PemFiles:
    """Paths of one set. An empty path names no file; certificate and key come in pairs.

    `flags` is how the settings are called in messages: `tls` for `--tls-cert-file` and so on.
    """

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    flags: str = "tls"

    def check(self, now: dt.datetime) -> None:
        """Refuse what could never work. Raises TlsFault.

        `now` (aware): a certificate that is over, or not yet valid for a day and more (clocks
        differ), is refused too.
        """
        pem = self.read()
        if not pem.cert:
            return
        leaf = _certificates(pem.cert, self._flag("cert"), self.cert_file)[0]
        if leaf.not_valid_after_utc < now:
            raise TlsError(
                self._flag("cert"),
                f"the certificate in {self.cert_file} expired on "
                f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            )
        if leaf.not_valid_before_utc > now + dt.timedelta(days=1):
            raise TlsError(
                self._flag("cert"),
                f"the certificate in {self.cert_file} is not valid before "
                f"{leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            )

    def read(self) -> Pem:
        """The files' contents. Raises TlsFault unless all can be read and belong together."""
        for one, other in (("cert", "key"), ("key", "cert")):
            if self._path(one) and not self._path(other):
                raise TlsError(self._flag(other), f"is missing; --{self._flag(one)} needs it")
        pem = Pem(self._bytes("cert"), self._bytes("key"), self._bytes("ca"))
        if pem.ca:
            _certificates(pem.ca, self._flag("ca"), self.ca_file)
        if pem.cert:
            self._check_pair(pem)
        return pem

    def stamp(self) -> Stamp:
        """Differs from a former one when any file was replaced or written; follows links."""
        found = []
        for path in (self.cert_file, self.key_file, self.ca_file):
            try:
                status = os.stat(path) if path else None
            except OSError:
                status = None
            found.append(
                (0, 0, 0) if status is None else (status.st_mtime_ns, status.st_ino, status.st_size)
            )
        return tuple(found)

    def _check_pair(self, pem: Pem) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization

        leaf = _certificates(pem.cert, self._flag("cert"), self.cert_file)[0]
        try:
            key = serialization.load_pem_private_key(pem.key, password=None)
        except TypeError:
            raise TlsError(
                self._flag("key"),
                f"the key in {self.key_file} is encrypted; store it without a passphrase",
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise TlsError(
                self._flag("key"), f"{self.key_file} contains no private key in PEM form"
            ) from None
        if _public(key.public_key()) != _public(leaf.public_key()):
            raise TlsError(
                self._flag("key"),
                f"the key in {self.key_file} does not belong to the certificate in "
                f"{self.cert_file}",
            )

    def _bytes(self, name: str) -> bytes:
        path = self._path(name)
        if not path:
            return b""
        try:
            with Path(path).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise TlsError(
                self._flag(name), f"cannot read {path}: {error.strerror or error}"
            ) from None
        if len(data) > _MOST_BYTES:
            raise TlsError(self._flag(name), f"{path} is larger than {_MOST_BYTES >> 20} MiB")
        return data

    def _path(self, name: str) -> str:
        return {"cert": self.cert_file, "key": self.key_file, "ca": self.ca_file}[name]

    def _flag(self, name: str) -> str:
        return f"{self.flags}-{name}-file"


def _certificates(data: bytes, flag: str, path: str) -> list[x509.Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise TlsError(flag, f"{path} contains no certificate in PEM form") from None


def _public(key: object) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
