"""How long certificates are still valid, each one of each file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from quorate.doctor.finding import Finding, failure, ok, warning

SOON: Final = dt.timedelta(days=14)
_MOST_BYTES: Final = 4 << 20


def check_file(path: str, now: dt.datetime) -> list[Finding]:
    """The certificates of a PEM file at `now` (aware)."""
    from cryptography import x509  # slow to import, and needed by few

    subject = f"certificate {path}"
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES)
        certificates = x509.load_pem_x509_certificates(data)
    except OSError as error:
        return [
            failure(subject, f"cannot be read: {error.strerror}", "check the path and its rights")
        ]
    except ValueError as error:
        return [failure(subject, f"is no PEM certificate: {error}", "name a file of certificates")]
    return [
        _judge(subject, one.subject.rfc4514_string(), one.not_valid_before_utc,
               one.not_valid_after_utc, now)
        for one in certificates
    ]  # fmt: skip


def _judge(
    subject: str, name: str, begin: dt.datetime, end: dt.datetime, now: dt.datetime
) -> Finding:
    renew = "renew it: processes read the new file without a restart"
    when = f"{end:%Y-%m-%d %H:%M} UTC"
    if now > end:
        return failure(subject, f"{name} expired on {when}", renew)
    if now < begin:
        return failure(
            subject, f"{name} is not valid before {begin:%Y-%m-%d %H:%M} UTC", "is the clock right?"
        )
    if end - now < SOON:
        return warning(subject, f"{name} expires on {when}, in {(end - now).days} days", renew)
    return ok(subject, f"{name} is valid until {when}")
