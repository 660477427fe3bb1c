"""HTTP/1.1 heads, read strictly (RFC 9112). Pure.

One reader decides what a request is, before anything else sees it: where two readers of the same
bytes could disagree (request smuggling), the request is refused instead of repaired. Refused are:
Content-Length beside Transfer-Encoding, more than one of either, any transfer coding but
`chunked`, folded lines, bare CR or LF, whitespace before a colon, control characters, empty or
odd names, more than one Host, HTTP/0.9 and HTTP/2 prefaces, CONNECT.

Lines that mean nothing to a proxy are kept as the bytes they came in: passing a request on is
joining them. Hop-by-hop ones (RFC 9110 section 7.6.1) are taken out here, as are those that
`Connection` names; `X-Forwarded-*` ones are kept apart, under any spelling that a CGI-style server
would take for them (`X_Forwarded_For`).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.proxy.http1.header_names import REQUEST, RESPONSE
from gateway.proxy.http1.problems import Rejection, malformed, method_refused

# Bytes of a request's or an answer's head, its lines included; of a target for a service; lines.
MAX_HEAD: Final = 65_536
MAX_TARGET: Final = 8_192
MAX_LINES: Final = 128

# `length` of a message: its body is chunked, or goes on until the connection ends.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])
_VISIBLE: Final = bytes(range(33, 127))
_METHOD: Final = re.compile(rb"[A-Z][A-Z-]{0,31}")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
# A reg-name, IPv4 or bracketed IPv6 address, with or without a port.
_HOST: Final = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])( .*)?")


_PLAIN_CONNECTION: Final = frozenset((b"keep-alive", b"close", b"upgrade", b""))
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")


class RequestHead:
    """A request's head.

    Attributes:
        method, target: as on the request line.
        minor: of the version: 0 or 1.
        lines: headers to pass on, each as it came.
        host: the Host header; empty when an HTTP/1.0 client sent none.
        length: bytes of the body; CHUNKED.
        keep_alive: the client will send more on this connection.
        upgrade: lower-case protocol of an upgrade that may be passed on; empty for none.
        expects: the client waits for 100 (Continue).
        forwarded: X-Forwarded-* and their like as the client sent them, by lower-case name.
        request_id: the client's X-Request-Id, if it is a sane one.
        passed: whom it has come through, as CDN-Loop says (RFC 8586); empty for nobody.
        service_worker: a browser asks for the script of a service worker.
    """

    __slots__ = (
        "expects",
        "forwarded",
        "host",
        "keep_alive",
        "length",
        "lines",
        "method",
        "minor",
        "passed",
        "request_id",
        "service_worker",
        "target",
        "upgrade",
    )

    method: bytes
    target: bytes
    minor: int
    lines: list[bytes]
    host: bytes
    length: int
    keep_alive: bool
    upgrade: bytes
    expects: bool
    forwarded: dict[bytes, bytes] | None
    request_id: bytes
    passed: bytes
    service_worker: bool


class ResponseHead:
    """An answer's head.

    Attributes:
        status_line: without its line end; the version is ours.
        length: bytes of the body; CHUNKED; UNTIL_CLOSE.
        bodiless: none can follow, whatever a Content-Length among `lines` says.
        origin_wide: headers that are for the whole origin, not among `lines`.
    """

    __slots__ = (
        "bodiless",
        "keep_alive",
        "length",
        "lines",
        "origin_wide",
        "status",
        "status_line",
        "upgrade",
    )

    status: int
    status_line: bytes
    lines: list[bytes]
    origin_wide: list[bytes]
    length: int
    bodiless: bool
    keep_alive: bool
    upgrade: bytes


def parse_request(head: bytes) -> RequestHead:
    """The head of a request, without the empty line that ends it.

    Raises:
        Refusal: 400, 405, 417, 431 or 505.
    """
    rows = head.split(b"\r\n")
    first = rows[0].split(b" ")
    if len(first) != 3:
        raise malformed("the request line is not: method, target, version")
    found = RequestHead()
    method, target, version = first
    if version == b"HTTP/1.1":
        found.minor = 1
    elif version == b"HTTP/1.0":
        found.minor = 0
    elif _VERSION.fullmatch(version):
        raise Rejection(505, "UNSUPPORTED_VERSION", "only HTTP/1.1 and HTTP/1.0 are supported")
    else:
        raise malformed("the request line is not: method, target, version")
    if not _METHOD.fullmatch(method):
        raise malformed("the method is not upper-case letters")
    if method == b"CONNECT":
        raise method_refused("CONNECT")
    if not target or target.translate(None, _VISIBLE):
        raise malformed("the request target has bytes that must be percent-encoded")
    if len(rows) > MAX_LINES:
        raise Rejection(
            431,
            "TOO_MANY_HEADERS",
            f"more than {MAX_LINES} header lines",
            metadata={"limit": str(MAX_LINES)},
        )
    found.method, found.target = method, target
    found.keep_alive = found.minor == 1
    found.upgrade = found.host = found.request_id = found.passed = b""
    found.expects = found.service_worker = False
    found.forwarded = None
    lines: list[bytes] = []
    host: bytes | None = None
    length: bytes | None = None
    coding: bytes | None = None
    connection = upgrade = b""
    # Bare CR or LF, NUL and other control characters: nothing but text between the line ends.
    if len(head.translate(None, _TEXT)) != 2 * (len(rows) - 1):
        raise malformed("a header has control characters")
    for row in rows[1:]:
        name, colon, value = row.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise malformed("a header line is not: name, colon, value")
        kind = REQUEST.get(name.lower())
        if kind is None:
            lines.append(row)
            continue
        value = value.strip(b" \t")
        if kind == b"host":
            if host is not None:
                raise malformed("more than one Host")
            host = value
        elif kind == b"connection":
            connection = connection + b"," + value if connection else value
        elif kind == b"content-length":
            if length is not None:
                raise malformed("more than one Content-Length")
            length = value
        elif kind == b"transfer-encoding":
            if coding is not None:
                raise malformed("more than one Transfer-Encoding")
            coding = value
        elif kind == b"upgrade":
            upgrade = upgrade + b"," + value if upgrade else value
        elif kind == b"expect":
            if value.lower() != b"100-continue":
                raise Rejection(
                    417, "UNKNOWN_EXPECTATION", "only 100-continue is supported in Expect"
                )
            found.expects = found.minor == 1
        elif kind == b"x-request-id":
            if _REQUEST_ID.fullmatch(value):
                found.request_id = value
        elif kind == b"service-worker":
            found.service_worker = True
            lines.append(row)
        elif kind == b"cdn-loop":
            found.passed = found.passed + b", " + value if found.passed else value
        elif kind != b"drop":
            if found.forwarded is None:
                found.forwarded = {}
            before = found.forwarded.get(kind)
            found.forwarded[kind] = value if before is None else before + b", " + value
    found.lines = lines
    _take_host(found, host)
    found.length = _request_length(found.minor, length, coding)
    if connection:
        _take_connection(found, connection.lower(), upgrade.lower())
    return found


def _take_host(found: RequestHead, host: bytes | None) -> None:
    if host is None:
        if found.minor == 1:
            raise malformed("HTTP/1.1 needs a Host")
        return
    if len(host) > 255 or not _HOST.fullmatch(host):
        raise malformed("the Host is not a host")
    found.host = host


def _request_length(minor: int, length: bytes | None, coding: bytes | None) -> int:
    if coding is not None:
        if length is not None:
            raise malformed("Content-Length beside Transfer-Encoding")
        if minor == 0:
            raise malformed("Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise Rejection(400, "MALFORMED_HTTP", "only the transfer coding chunked is supported")
        return CHUNKED
    if length is None:
        return 0
    if not _DIGITS.fullmatch(length):
        raise malformed("Content-Length is not a number")
    return int(length)


def _take_connection(found: RequestHead, connection: bytes, upgrade: bytes) -> None:
    named = {token.strip(b" \t") for token in connection.split(b",")}
    if b"close" in named:
        found.keep_alive = False
    elif found.minor == 0 and b"keep-alive" in named:
        found.keep_alive = True
    # Only WebSocket: an upgrade to h2c would hide later requests from this reader.
    if (
        b"upgrade" in named
        and upgrade == b"websocket"
        and found.method == b"GET"
        and found.length == 0
        and found.minor == 1
    ):
        found.upgrade = upgrade
    if not named <= _PLAIN_CONNECTION:
        found.lines = _without(found.lines, named)


def _without(lines: list[bytes], names: set[bytes]) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def without_empty_lines(data: bytes) -> bytes:
    """`data` without the empty lines that it begins with (RFC 9112 section 2.2)."""
    size = len(data) - len(data.lstrip(b"\r\n"))
    # Up to a CR or LF that stands alone, which is no line's end.
    for odd, kept in ((b"\r\r", 0), (b"\n\n", 1)):
        found = data.find(odd, 0, size)
        if found >= 0:
            size = found + kept
    return data[size - size % 2 :]


def check_unfinished(data: bytes, scanned: int) -> None:
    """Raise Rejection for a beginning that no head can have; `scanned` bytes were seen before."""
    if len(data) > MAX_HEAD:
        raise Rejection(
            431,
            "HEAD_TOO_LARGE",
            f"the request's line and headers are larger than {MAX_HEAD} bytes",
            metadata={"limit": str(MAX_HEAD)},
        )
    if has_bare_lf(data, scanned):
        raise malformed("a line of the head ends with a bare LF")


def has_bare_lf(data: bytes, start: int) -> bool:
    """Whether an LF behind `start` stands without its CR: no head will ever end there."""
    return data.count(b"\n", start) != data.count(b"\r\n", max(0, start - 1))


class Garbage(Exception):
    """An instance's answer that is not HTTP/1.x, or that two readers could read differently."""


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """The head of an answer to a `method` request, without the empty line. Raises Garbage."""
    rows = head.split(b"\r\n")
    match = _STATUS.fullmatch(rows[0])
    if match is None:
        raise Garbage("the status line is not one of HTTP/1.x")
    if len(rows) > MAX_LINES:
        raise Garbage("too many header lines")
    if len(head.translate(None, _TEXT)) != 2 * (len(rows) - 1):
        raise Garbage("a header has control characters")
    found = ResponseHead()
    found.status = status = int(match[2])
    found.status_line = b"HTTP/1.1" + rows[0][8:]
    found.keep_alive = match[1] == b"1"
    found.upgrade = b""
    found.origin_wide = []
    lines: list[bytes] = []
    length: bytes | None = None
    coding: bytes | None = None
    connection = b""
    for row in rows[1:]:
        name, colon, value = row.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise Garbage("a header line is not: name, colon, value")
        kind = RESPONSE.get(name.lower())
        if kind is None:
            lines.append(row)
            continue
        value = value.strip(b" \t")
        if kind == b"content-length":
            if length is not None and length != value:
                raise Garbage("more than one Content-Length")
            length = value
        elif kind == b"transfer-encoding":
            if coding is not None:
                raise Garbage("more than one Transfer-Encoding")
            coding = value.lower()
        elif kind == b"connection":
            connection = connection + b"," + value if connection else value
        elif kind == b"upgrade":
            found.upgrade = value.lower()
        elif kind == b"origin":
            found.origin_wide.append(row)
    found.lines = lines
    if connection:
        named = {token.strip(b" \t") for token in connection.lower().split(b",")}
        if b"close" in named:
            found.keep_alive = False
        elif b"keep-alive" in named:
            found.keep_alive = True
        if not named <= _PLAIN_CONNECTION:
            found.lines = _without(lines, named)
    if length is not None and not _DIGITS.fullmatch(length):
        raise Garbage("Content-Length is not a number")
    found.bodiless = method == b"HEAD" or status < 200 or status in (204, 304)
    if found.bodiless:
        # Here Content-Length is that of a body which does not come (RFC 9110 section 8.6).
        found.length = 0
        if length is not None and status >= 200 and status != 204:
            found.lines.append(b"content-length: " + length)
    elif coding is not None:
        if length is not None:
            raise Garbage("Content-Length beside Transfer-Encoding")
        if coding != b"chunked" or match[1] == b"0":
            raise Garbage("a transfer coding that is not chunked")
        found.length = CHUNKED
    elif length is not None:
        found.length = int(length)
    else:
        found.length = UNTIL_CLOSE
        found.keep_alive = False
    return found


def header_of(lines: list[bytes], name: bytes) -> bytes | None:
    """The first header of this lower-case name among `lines`."""
    for line in lines:
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip(b" \t")
    return None


def cookie_of(lines: list[bytes], name: bytes) -> bytes | None:
    """The value of a cookie among the Cookie headers."""
    for line in lines:
        header, _, value = line.partition(b":")
        if header.lower() != b"cookie":
            continue
        for pair in value.split(b";"):
            key, _, found = pair.partition(b"=")
            if key.strip() == name:
                return found.strip()
    return None
