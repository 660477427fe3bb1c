"""Heads as they are passed on: what the proxy adds, and what it says about the client. Pure.

A request gets `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`, and an `X-Request-Id`. What the
client itself said in those is dropped, unless its address is trusted to tell (another proxy in
front); then `-For` is appended to and the rest is kept. `CDN-Loop` (RFC 8586) is appended to: by it
a gateway knows what it has sent to a service before. Headers that end at this hop were taken out
by `wire`; the framing is written anew here.
"""

from __future__ import annotations

from gateway.proxy.http1.heads import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from gateway.proxy.http1.problems import Rejection

_FROM_PROXIES = (b"x-forwarded-port", b"x-real-ip", b"forwarded")


def forwarded(
    head: RequestHead, *, peer: bytes, proto: bytes, prefix: bytes, trusted: bool
) -> bytes:
    """The X-Forwarded-* lines, each with its line end.

    Args:
        peer: the client's address.
        prefix: what was taken off the path's front; may be empty.
        trusted: whether to believe what the client's headers say.
    """
    stated = head.forwarded
    if stated is None or not trusted:
        lines = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\n" % (peer, proto)
        if head.host:
            lines += b"x-forwarded-host: " + head.host + b"\r\n"
        if prefix:
            lines += b"x-forwarded-prefix: " + prefix + b"\r\n"
        return lines
    before = stated.get(b"x-forwarded-for")
    chain = peer if not before else before + b", " + peer
    outer = stated.get(b"x-forwarded-prefix", b"").rstrip(b"/")
    out = [
        b"x-forwarded-for: " + chain,
        b"x-forwarded-proto: " + stated.get(b"x-forwarded-proto", proto),
    ]
    if host := stated.get(b"x-forwarded-host", head.host):
        out.append(b"x-forwarded-host: " + host)
    if outer or prefix:
        out.append(b"x-forwarded-prefix: " + outer + prefix)
    out += [name + b": " + stated[name] for name in _FROM_PROXIES if name in stated]
    return b"\r\n".join(out) + b"\r\n"


def passed(head: RequestHead, gateway: bytes, service: bytes) -> bytes:
    """The CDN-Loop line, with its line end: whom the request has come through, and us.

    The service is a parameter of our member: an instance may well call another service through the
    gateway that it was called by, headers and all; that is no loop.

    Args:
        gateway: a token that no other gateway has.

    Raises:
        Refusal: 508: this gateway has sent the request to this service before.
    """
    member = b"%b;s=%b" % (gateway, service)
    before = head.passed
    if not before:
        return b"cdn-loop: " + member + b"\r\n"
    if member in (one.strip(b" \t") for one in before.split(b",")):
        raise Rejection(
            508,
            "LOOP_DETECTED",
            "an instance of the service sent the request back to the gateway",
            metadata={"service": service.decode()},
        )
    return b"cdn-loop: " + before + b", " + member + b"\r\n"


def request_bytes(
    head: RequestHead, *, target: bytes, authority: bytes, about: bytes, request_id: bytes
) -> bytes:
    """The head to send to an instance, complete.

    Args:
        target: path and query for the instance.
        authority: the instance's own, for a client that named no host.
        about: the lines of `forwarded` and `passed`.
    """
    length = head.length
    framing = b""
    if length == CHUNKED:
        framing = b"transfer-encoding: chunked\r\n"
    elif length or head.method in (b"POST", b"PUT", b"PATCH"):
        framing = b"content-length: %d\r\n" % length
    if head.upgrade:
        framing += b"connection: upgrade\r\nupgrade: " + head.upgrade + b"\r\n"
    if head.expects:
        framing += b"expect: 100-continue\r\n"
    lines = head.lines
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b%b%b%bx-request-id: %b\r\n\r\n" % (
        head.method,
        target,
        head.host or authority,
        b"\r\n".join(lines),
        b"\r\n" if lines else b"",
        framing,
        about,
        request_id,
    )


def response_bytes(head: ResponseHead, *, minor: int, keep_alive: bool) -> bytes:
    """The head to send to the client, complete.

    A body that goes on until the instance closes is sent to HTTP/1.1 clients in chunks, so that
    they can tell its end from a broken connection; HTTP/1.0 clients get any body of unknown length
    until the close.

    Args:
        minor: the client's version.
        keep_alive: whether this connection goes on. Must be False when the client could not tell
            the body's end otherwise.
    """
    length = head.length
    if length in (CHUNKED, UNTIL_CLOSE):
        framing = b"transfer-encoding: chunked\r\n" if minor else b""
    elif head.bodiless:
        framing = b""
    else:
        framing = b"content-length: %d\r\n" % length
    if head.status == 101:
        framing = b"connection: upgrade\r\nupgrade: " + head.upgrade + b"\r\n"
    elif not keep_alive:
        framing += b"connection: close\r\n"
    elif not minor:
        framing += b"connection: keep-alive\r\n"
    lines = head.lines
    return b"%b\r\n%b%b%b\r\n" % (
        head.status_line,
        b"\r\n".join(lines),
        b"\r\n" if lines else b"",
        framing,
    )
