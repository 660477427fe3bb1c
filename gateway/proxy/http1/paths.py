"""A request's target, normalised once (RFC 3986 section 6.2.2), and the service it names. Pure.

Everything after this sees one spelling: percent-encoded unreserved characters are decoded, others
stay encoded with upper-case digits (so `%2F` is never a separator), dot segments are resolved. A
path that would leave the service's root, or that has a NUL, is refused. The query is passed on as
it came.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.proxy.http1.problems import Rejection, malformed

SERVICES: Final = b"/services/"

_ENCODED: Final = re.compile(rb"%(..)?", re.DOTALL)
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_NAME: Final = re.compile(rb"[a-z0-9][a-z0-9._-]{0,63}")
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)(.*)", re.DOTALL)


class Target(NamedTuple):
    """A request target in its parts. `authority` is of an absolute-form target, else None."""

    path: bytes
    query: bytes
    authority: bytes | None


class ServicePath(NamedTuple):
    """A path below `/services/`: the service's name and what the instance is asked for.

    An empty `path` means the root without its slash.
    """

    name: bytes
    path: bytes


def split_target(target: bytes) -> Target:
    """The parts of a target, not normalised; `query` has its `?`.

    Raises Refusal for what is neither a path nor an http address (`*` is a path here).
    """
    authority = None
    if target[0] != 47 and target != b"*":
        found = _ABSOLUTE.fullmatch(target)
        if found is None or not found[1] or b"@" in found[1]:
            raise malformed("the request target is neither a path nor an address", "MALFORMED_PATH")
        authority, target = found[1], found[2]
        if not target or target[:1] == b"?":
            target = b"/" + target
    if b"#" in target:
        raise malformed("the request target has a fragment", "MALFORMED_PATH")
    path, mark, query = target.partition(b"?")
    return Target(path, mark + query, authority)


def decode(path: bytes) -> bytes:
    """`path` with its percent-encodings in normal form. Raises Refusal."""
    if b"\\" in path:
        raise malformed("the path has a backslash", "MALFORMED_PATH")
    return _ENCODED.sub(_decode_one, path) if b"%" in path else path


def _decode_one(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None or not _HEX.issuperset(digits):
        raise malformed("the path has a % that encodes nothing", "MALFORMED_PATH")
    value = int(digits, 16)
    if value == 0:
        raise malformed("the path has a NUL", "MALFORMED_PATH")
    return bytes((value,)) if value in _UNRESERVED else b"%" + digits.upper()


def resolve(path: bytes) -> bytes:
    """`path`, which begins with a slash, without dot segments and with one slash at its start.

    Raises Refusal when it leaves the root.
    """
    if b"/." in path:
        kept: list[bytes] = []
        segments = path[1:].split(b"/")
        for segment in segments:
            if segment == b"..":
                if not kept:
                    raise Rejection(400, "PATH_TRAVERSAL", "the path leaves the service's root")
                kept.pop()
            elif segment != b".":
                kept.append(segment)
        if segments[-1] in (b".", b".."):
            kept.append(b"")
        path = b"/" + b"/".join(kept)
    if path[:2] == b"//":
        # `//host/...` would be another host's address to whoever resolves it.
        path = b"/" + path.lstrip(b"/")
    return path


def service_path(path: bytes, root: bytes = b"") -> ServicePath | None:
    """What a decoded path asks of which service; None when it is not below `/services/`.

    Args:
        root: the path under which the gateway is shown; paths with and without it are served.

    Raises:
        Refusal: it leaves the service's root, or names no service.
    """
    if not path.startswith(SERVICES):
        if not root or not path.startswith(root + SERVICES):
            return None
        path = path[len(root) :]
    name, slash, rest = path[len(SERVICES) :].partition(b"/")
    if not name and not slash:
        return None
    if name in (b".", b".."):
        raise Rejection(400, "PATH_TRAVERSAL", "the path leaves the root of the services")
    if not _NAME.fullmatch(name):
        raise Rejection(404, "SERVICE_NOT_FOUND", "the path does not name a service")
    return ServicePath(name, resolve(slash + rest) if slash else b"")
