"""Certificates for tests: one CA for the whole run of a process, leaves as they are asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from quorate.security.certs import CA_CERT, LOOPBACK, Authority, file_names
from quorate.security.dialer import ClientTls, Dialer, Options
from quorate.security.tls import TlsSettings


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a leaf's files are, and those of the CA by which it verifies others."""

    cert_file: Path
    key_file: Path
    ca_file: Path

    @property
    def client(self) -> ClientTls:
        return ClientTls(str(self.ca_file), str(self.cert_file), str(self.key_file))

    @property
    def anonymous(self) -> ClientTls:
        """Verifies the server and shows nothing."""
        return ClientTls(str(self.ca_file))

    @property
    def flags(self) -> tuple[str, ...]:
        """For a server's command line."""
        return (
            f"--tls-cert-file={self.cert_file}",
            f"--tls-key-file={self.key_file}",
            f"--tls-ca-file={self.ca_file}",
        )

    def settings(self, client_auth: str = "require") -> TlsSettings:
        return TlsSettings(
            tls_cert_file=str(self.cert_file),
            tls_key_file=str(self.key_file),
            tls_ca_file=str(self.ca_file),
            tls_client_auth=client_auth,
        )


class TestAuthority:
    """A CA in a folder."""

    __test__ = False

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority.create(name, now=_now(), days=30)
        self.authority.write(folder)
        self.ca_file = folder / CA_CERT

    def leaf(
        self, subject: str, *, hosts: Sequence[str] = LOOPBACK, days: float = 1, folder: str = ""
    ) -> Leaf:
        """Issue one, over the former one of that subject; `days` below 0: expired."""
        where = self.folder / folder
        where.mkdir(exist_ok=True)
        cert, key = (where / name for name in file_names(subject))
        issued = self.authority.issue(subject, hosts=hosts, now=_now(), days=days)
        issued.write(cert, key)
        return Leaf(cert, key, self.ca_file)


class NoticingDialer(Dialer):
    """Plaintext; tells of each channel that is opened."""

    def __init__(self, opened: Callable[[str], object]) -> None:
        super().__init__(None)
        self._told = opened

    def open(self, address: str, options: Options = ()) -> grpc.aio.Channel:
        self._told(address)
        return super().open(address, options)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
