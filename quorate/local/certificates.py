"""Certificates of a local cluster with TLS: `certs/` below the data dir.

Made at the first start, kept for the next ones, and made anew when they are about to expire. Each
process has its own. For whoever uses the cluster from this machine there is `admin-local`, or,
where tokens say who calls, `client-local`, which names no role: it opens the connection alone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from quorate.runtime.errors import precondition
from quorate.security.tls.certs import CA_CERT, CA_DAYS, LOOPBACK, Authority, file_names
from quorate.security.tls.dialer import ClientTls
from quorate.security.tls.pem import TlsError

ADMIN = "admin:local"
CLIENT = "client:local"
# What looks after etcd from this machine: the supervisor, `quorate etcd`, `backup`, `doctor`.
OPERATOR = "operator:local"
ETCD = "etcd:etcd"
_DAYS = 825
_RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are."""

    folder: Path

    def prepare(self, subjects: list[str], now: dt.datetime) -> None:
        """Have a usable certificate for each `<role>:<name>`.

        Raises QuorateError when the folder or the CA in it cannot be used.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (self.folder / CA_CERT).exists():
                authority = Authority.load(self.folder)
            else:
                authority = Authority.create("quorate local CA", now=now, days=CA_DAYS)
                authority.write(self.folder)
            for subject in subjects:
                self._renew(authority, subject, now)
        except TlsError as failure:
            raise precondition("CERTIFICATES_UNUSABLE", failure.message) from failure
        except OSError as error:
            raise precondition(
                "CERTIFICATES_UNUSABLE", f"{self.folder} cannot be used: {error.strerror}"
            ) from error

    def flags(self, subject: str, prefix: str = "tls") -> list[str]:
        """A process's flags for its files."""
        tls = self.of(subject)
        return [
            *(f"--{prefix}-ca-file", tls.ca_file),
            *(f"--{prefix}-cert-file", tls.cert_file),
            *(f"--{prefix}-key-file", tls.key_file),
        ]

    @property
    def etcd_flags(self) -> tuple[str, ...]:
        """etcd's flags for serving clients, and members, that have a certificate of this CA."""
        tls = self.of(ETCD)
        return tuple(
            flag
            for prefix in ("", "peer-")
            for flag in (
                f"--{prefix}cert-file={tls.cert_file}",
                f"--{prefix}key-file={tls.key_file}",
                f"--{prefix}trusted-ca-file={tls.ca_file}",
                f"--{prefix}client-cert-auth",
            )
        )

    def of(self, subject: str) -> ClientTls:
        """The files of one of them."""
        cert, key = file_names(subject)
        return ClientTls(
            str(self.folder / CA_CERT), str(self.folder / cert), str(self.folder / key)
        )

    def _renew(self, authority: Authority, subject: str, now: dt.datetime) -> None:
        cert_file, key_file = (self.folder / name for name in file_names(subject))
        if cert_file.exists() and key_file.exists():
            leaf = x509.load_pem_x509_certificate(cert_file.read_bytes())
            left = leaf.not_valid_after_utc - now
            if authority.has_issued(leaf) and left > dt.timedelta(days=_RENEW_DAYS):
                return
        hosts = () if subject in (ADMIN, CLIENT, OPERATOR) else LOOPBACK
        authority.issue(subject, hosts=hosts, now=now, days=_DAYS).write(cert_file, key_file)
