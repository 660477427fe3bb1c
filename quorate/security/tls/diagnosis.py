"""Why a TLS connection is not made, in a sentence for a person.

gRPC tells a caller no more than that the handshake failed, and of a refusal by the server only
that the socket was closed. `why_not` makes the handshake once more with the interpreter's own
`ssl` module, which knows the reasons, and sends nothing over it. It is for the moment in which a
caller gives up: a few milliseconds, bounded by `timeout`; whatever goes wrong is an empty answer.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from quorate.runtime.network.addresses import split_address
from quorate.security.tls.dialer import ClientTls
from quorate.security.tls.pem import TlsError

# What a server's alert means for the caller (RFC 8446, section 6.2), by words of OpenSSL's reason.
_ALERTS: Final = (
    ("CERTIFICATE_REQUIRED", "asks for a client certificate, and none was shown"),
    ("UNKNOWN_CA", "does not know the CA of the client certificate that was shown"),
    ("CERTIFICATE_EXPIRED", "says that the client certificate that was shown has expired"),
    ("CERTIFICATE_UNKNOWN", "refuses the client certificate that was shown"),
    ("BAD_CERTIFICATE", "refuses the client certificate that was shown"),
    ("HANDSHAKE_FAILURE", "asks for a client certificate, and none was shown"),
)
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF")


def why_not(address: str, tls: ClientTls | None, *, timeout: float = 2.0) -> str:
    """Why `host:port` cannot be spoken to, as far as TLS is the reason; empty when it is not.

    Blocks for up to about twice `timeout` seconds.
    """
    try:
        host, port = split_address(address)
        if tls is None:
            return _speaks_tls(host, port, address, timeout)
        return _rejection(host, port, address, tls, timeout)
    except TlsError as failure:
        return failure.message
    except (OSError, ValueError):
        return ""


def why_none(addresses: Sequence[str], tls: ClientTls | None) -> str:
    """As `why_not`, of the first address for which TLS is the reason; looks at three at most."""
    for address in addresses[:3]:
        if why := why_not(address, tls, timeout=1.0):
            return why
    return ""


def _rejection(host: str, port: int, address: str, tls: ClientTls, timeout: float) -> str:
    context = _context(tls)
    with socket.create_connection((host, port), timeout) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=host) as connection:
                # Of a client certificate the server speaks only after the handshake: one that is
                # content sends its HTTP/2 settings, a gRPC server that is not just hangs up.
                return "" if connection.recv(1) else _hung_up(address, tls)
        except ssl.SSLCertVerificationError as error:
            return f"the certificate of {address} is not accepted: {_verdict(error)}"
        except ssl.SSLError as error:
            reason = str(error.reason or "")
            for word, meaning in _ALERTS:
                if word in reason:
                    return f"{address} {meaning}"
            if any(word in reason for word in _NO_TLS):
                return f"{address} does not speak TLS"
            return f"no TLS with {address}: {reason or error}"
        except ConnectionResetError:
            return _hung_up(address, tls)


def _hung_up(address: str, tls: ClientTls) -> str:
    if not tls.cert_file:
        return f"{address} hung up: it asks for a client certificate, say --tls-cert-file"
    tls.files.check(dt.datetime.now(dt.UTC))
    return (
        f"{address} hung up: it does not accept the client certificate in {tls.cert_file} "
        "(is it from a CA that the server knows?)"
    )


def _verdict(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    if "local issuer" in said or "self-signed" in said or "self signed" in said:
        return f"{said} (it is not from a CA of --tls-ca-file)"
    return said


def _speaks_tls(host: str, port: int, address: str, timeout: float) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Nothing is sent and nothing believed: it only matters that the other side answers with TLS.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, port), timeout) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=host):
                pass
        except ssl.SSLError as error:
            if not any(word in str(error.reason or "") for word, _ in _ALERTS):
                return ""
    return f"{address} speaks TLS: say --tls-ca-file (and --tls-cert-file, --tls-key-file)"


def _context(tls: ClientTls) -> ssl.SSLContext:
    tls.files.read()
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    context.set_alpn_protocols(["h2"])
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context
