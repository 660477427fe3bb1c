"""A certificate authority of one's own, for development and for clusters that have no other.

Makes keys and certificates as values; `write` puts them into files (keys with mode 0600). The
convention by which Quorate knows a process or person is the subject's common name,
`<role>:<name>`, as in `scheduler:s1`, `node:n1`, `gateway:g1` or `admin:alice`. Every leaf may be
shown by a server and by a client: a scheduler is both.

The authority's key is as good as every role: keep it away from the machines of the cluster.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorate.runtime.errors import invalid
from quorate.security.tls.pem import TlsError

CA_CERT = "ca.crt"
CA_KEY = "ca.key"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

# A common name holds 64 characters (RFC 5280, upper bounds).
# `node:agent-*` is etcd's user of all nodes whose names begin so.
_SUBJECT = re.compile(r"[a-z]{1,16}:[A-Za-z0-9][A-Za-z0-9._@-]{0,46}|node:[A-Za-z0-9._-]{1,46}\*")
_DNS = re.compile(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9_-]{1,63}")
# Clocks of a cluster's machines differ a little.
# How long a CA made by `quorate certs init` is valid.
CA_DAYS = 3_650
_SKEW = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both PEM."""

    cert: bytes
    key: bytes

    def write(self, cert_file: Path, key_file: Path) -> None:
        """Put both into files, each replaced as a whole; the key is readable by its owner only."""
        _replace(key_file, self.key, 0o600)
        _replace(cert_file, self.cert, 0o644)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: signs leaf certificates."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str, *, now: dt.datetime, days: int) -> Authority:
        """A new one, valid for `days` from `now` (aware)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            _builder(subject, subject, key, now, days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The one that `write` left in a folder. Raises TlsFault."""
        try:
            cert = x509.load_pem_x509_certificate((folder / CA_CERT).read_bytes())
            key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
        except OSError as error:
            raise TlsError("dir", f"no CA in {folder}: {error.strerror}") from None
        except (ValueError, TypeError) as error:
            raise TlsError("dir", f"the CA in {folder} cannot be used: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TlsError("dir", f"the CA in {folder} is not one that 'quorate certs' made")
        return cls(cert, key)

    @property
    def issued(self) -> Issued:
        """Its own certificate and key."""
        return Issued(_cert_pem(self.cert), _key_pem(self.key))

    def has_issued(self, leaf: x509.Certificate) -> bool:
        """Whether it signed this certificate; one of the same name may be another."""
        try:
            leaf.verify_directly_issued_by(self.cert)
        except (ValueError, InvalidSignature):
            return False
        return True

    def write(self, folder: Path) -> None:
        """Leave certificate and key in a folder."""
        self.issued.write(folder / CA_CERT, folder / CA_KEY)

    def issue(self, subject: str, *, hosts: Sequence[str], now: dt.datetime, days: float) -> Issued:
        """A leaf for `<role>:<name>`.

        Args:
            subject: the common name.
            hosts: names and addresses under which it is dialled; empty for one that only dials.
            now: aware; valid from ten minutes before.
            days: valid until so many days after `now`, at most as long as the CA.

        Raises QuorateError (INVALID_ARGUMENT).
        """
        if not _SUBJECT.fullmatch(subject):
            raise invalid(
                "subject", f"{subject!r} is not role:name of letters, digits, . _ @ -, up to 64"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = self.cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if hosts:
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(
                _name(subject), self.cert.subject, key, now, days, self.cert.not_valid_after_utc
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value),
                critical=False,
            )
        )
        if hosts:
            names = [_alternative(host) for host in dict.fromkeys(hosts)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Issued(_cert_pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key))


def file_names(subject: str) -> tuple[str, str]:
    """How the files of a leaf are called: `node:n1` is in `node-n1.crt` and `node-n1.key`."""
    stem = subject.replace(":", "-").replace("*", "all")
    return f"{stem}.crt", f"{stem}.key"


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    days: float,
    latest: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    end = now + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - _SKEW)
        .not_valid_after(end if latest is None else min(end, latest))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    if len(host) > 253 or not _DNS.fullmatch(host):
        raise invalid("host", f"{host!r} is neither a DNS name nor an IP address")
    return x509.DNSName(host)


def _cert_pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Write beside and move over: a reader sees the old file or the new one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    # With its mode from the first moment, whatever the umask.
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(file, "wb") as out:
        os.fchmod(file, mode)
        out.write(data)
    scratch.replace(path)
