"""Until when the certificates of a process are valid: read from its files, again when replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from quorate.telemetry.families import gauges

_MOST_BYTES: Final = 1 << 20
# The settings that name certificates, and what these are for.
_PURPOSES: Final = {
    "tls_cert_file": "server",
    "tls_ca_file": "ca",
    "etcd_cert_file": "etcd_client",
    "etcd_ca_file": "etcd_ca",
    "scheduler_tls_cert_file": "scheduler_client",
    "scheduler_tls_ca_file": "scheduler_ca",
}


class CertificateMetrics:
    """A collector of the expiry of certificates.

    Args:
        settings: of the process; its PEM files are found by their names. Of a file with several
            certificates the one that expires first counts.
    """

    def __init__(self, settings: object) -> None:
        self._files = [
            (purpose, path)
            for name, purpose in _PURPOSES.items()
            if (path := getattr(settings, name, ""))
        ]
        # By path: when it was changed and what it said then. One entry a file.
        self._known: dict[str, tuple[tuple[int, int], float]] = {}

    def collect(self) -> Iterator[Metric]:
        """See Collector. A file that cannot be read says 0: it will be missed when it is needed."""
        yield gauges(
            "quorate_certificate_expiry_timestamp_seconds",
            "When a certificate of this process expires, in Unix time.",
            ("purpose",),
            self.expiries(),
        )

    def expiries(self) -> dict[str, float]:
        """Until when each certificate is valid, in Unix time, by purpose; 0.0: it is unreadable."""
        return {purpose: self._expiry(path) for purpose, path in self._files}

    def _expiry(self, path: str) -> float:
        try:
            status = os.stat(path)
            stamp = (status.st_mtime_ns, status.st_ino)
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                known = self._known[path] = stamp, _read(path)
            return known[1]
        except (OSError, ValueError):
            self._known.pop(path, None)
            return 0.0


def _read(path: str) -> float:
    from cryptography import x509  # slow to import, and not needed without TLS

    with open(path, "rb") as file:
        found = x509.load_pem_x509_certificates(file.read(_MOST_BYTES))
    return min(one.not_valid_after_utc.timestamp() for one in found)
