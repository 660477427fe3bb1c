"""Static API tokens: a file of hashes, made by `quorate tokens create`, read again when it changes.

A token is `qrt_<id>_<secret>`: the id (public) finds its line, the secret is 256 random bits. The
file has one JSON object a line:

    {"id": "..", "name": "mailer", "role": "submitter", "queues": ["mail*"],
     "sha256": "<hex of the secret's hash>", "created": "2026-..Z", "expires": "2027-..Z" or null}

**Why a plain SHA-256 is enough.** Slow, salted hashes (bcrypt, argon2) protect secrets that people
choose: a thief of the file would try the likely ones. There are no likely ones among 2^256, so that
whoever holds a hash is no nearer to its token however fast the hash is, and a salt would tell apart
what is never the same. A slow hash would cost every call instead. Hashes are compared in constant
time.

`TokenFile` owns what was read. A file that cannot be used when the process starts is refused. Later
the former tokens stay in force while it is there and cannot be used; when it is gone, no token is
known. The log says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import structlog

from quorate.security.credentials.file_changes import append, changing, replace
from quorate.security.identity import (
    CERTIFICATE_ONLY,
    EVERYTHING,
    Caller,
    How,
    Role,
    check_name,
    check_patterns,
)

log = structlog.get_logger(__name__)

PREFIX: Final = "qrt_"
MOST_TOKENS: Final = 10_000
_MOST_BYTES: Final = 8 << 20
# Most seconds between two looks at the file: a token that is taken out is refused that soon.
LOOK: Final = 1.0
_SECRET_BYTES: Final = 32

_token = re.compile(r"qrt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_digest = re.compile(r"[0-9a-f]{64}")


class TokenFileError(ValueError):
    """A tokens file that cannot be used: one sentence, with path and line."""


class TokenGone(TokenFileError):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: whose token it is, without the token."""

    id: str
    caller: Caller
    digest: bytes


class TokenFile:
    """The tokens of one file.

    Args:
        path: of the file.
        monotonic: seconds, for when to look again.
    """

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._stamp = _stamp(path)
        self._entries = read(path)
        self._looked = monotonic()
        self.generation = 0
        """Grows whenever other tokens are in force."""

    def find(self, token: str) -> Caller | None:
        """Whose token this is, expired or not; None when it is nobody's."""
        found = _token.fullmatch(token)
        if found is None:
            return None
        # A token just made is good at once; one that was taken out is refused within LOOK.
        if found[1] not in self._entries or self._monotonic() - self._looked >= LOOK:
            self.look()
        entry = self._entries.get(found[1])
        digest = _hash(found[2])
        # An unknown id costs a comparison too.
        same = hmac.compare_digest(entry.digest if entry else bytes(32), digest)
        return entry.caller if entry is not None and same else None

    def caller(self, identifier: str) -> Caller | None:
        """Whose the token with this id is, as of the last look; None when there is none."""
        entry = self._entries.get(identifier)
        return None if entry is None else entry.caller

    def look(self) -> None:
        """Read the file again if it changed."""
        self._looked = self._monotonic()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._entries = read(self._path)
        except TokenGone as failure:
            # Whoever deletes it means all of them; a slip of the pen in it does not.
            self._entries = {}
            self.generation += 1
            log.error("tokens_missing", why=str(failure))
        except TokenFileError as failure:
            log.error("tokens_file_unusable", why=str(failure))
        else:
            self.generation += 1
            log.info("tokens_reloaded", path=str(self._path), tokens=len(self._entries))


def id_of(token: str) -> str:
    """The id in a token, whether it is known or not; empty when it is no API token."""
    found = _token.fullmatch(token)
    return found[1] if found else ""


def read(path: Path) -> dict[str, Entry]:
    """The tokens of a file by id. Raises TokenFault."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        lines = data.decode().splitlines()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TokenGone(f"cannot read {path}: {error.strerror}") from None
    except OSError as error:
        raise TokenFileError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenFileError(f"{path} is not UTF-8") from None
    if len(data) > _MOST_BYTES:
        raise TokenFileError(f"{path} is larger than {_MOST_BYTES >> 20} MiB")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = _entry(json.loads(line))
            if entry.id in entries:
                raise ValueError(f"id: {entry.id} occurs twice")
        except (ValueError, RecursionError) as error:
            raise TokenFileError(f"{path}, line {number}: {error}") from None
        entries[entry.id] = entry
    if len(entries) > MOST_TOKENS:
        raise TokenFileError(f"{path} has {len(entries)} tokens; at most {MOST_TOKENS} may be")
    return entries


def create(
    path: Path,
    name: str,
    role: Role,
    queues: Sequence[str] = EVERYTHING,
    *,
    now: dt.datetime,
    lasts: dt.timedelta | None,
) -> str:
    """Append a new token's hash to the file, made when it is not there; the token.

    Nothing keeps the token: it cannot be shown again. Raises ValueError, TokenFileError.
    """
    if role in CERTIFICATE_ONLY:
        raise ValueError(f"role: a {role} authenticates by a certificate, not by a token")
    identifier = secrets.token_hex(8)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    line = json.dumps(
        {
            "id": identifier,
            "name": check_name(name),
            "role": role,
            "queues": check_patterns(queues),
            "sha256": _hash(secret).hex(),
            "created": _text(now),
            "expires": None if lasts is None else _text(now + lasts),
        }
    )
    path = Path(os.path.realpath(path))
    try:
        with changing(path, make=True) as file:
            if len(read(path)) >= MOST_TOKENS:
                raise TokenFileError(f"{path} has {MOST_TOKENS} tokens, the most there may be")
            size = os.fstat(file).st_size
            whole = not size or os.pread(file, 1, size - 1) == b"\n"
            append(file, path, f"{'' if whole else chr(10)}{line}\n".encode())
    except OSError as error:
        raise TokenFileError(f"cannot write {path}: {error.strerror}") from None
    return f"{PREFIX}{identifier}_{secret}"


def revoke(path: Path, which: str) -> int:
    """Take out the tokens with this id or name; how many there were. Raises TokenFault."""
    path = Path(os.path.realpath(path))
    try:
        with changing(path):
            gone = {one.id for one in read(path).values() if which in (one.id, one.caller.name)}
            if gone:
                replace(path, "".join(_without(gone, path.read_text())).encode())
    except FileNotFoundError as error:
        raise TokenGone(f"cannot read {path}: {error.strerror}") from None
    except OSError as error:
        raise TokenFileError(f"cannot write {path}: {error.strerror}") from None
    return len(gone)


def _without(gone: set[str], text: str) -> Iterator[str]:
    """The lines, comments too, but for those of some tokens."""
    for line in text.splitlines(keepends=True):
        is_token = line.strip() and not line.lstrip().startswith("#")
        if not is_token or json.loads(line)["id"] not in gone:
            yield line


def _entry(said: Any) -> Entry:
    """Raises ValueError."""
    if not isinstance(said, dict):
        raise ValueError("is not a JSON object")
    for field in ("id", "name", "role", "queues", "sha256"):
        if field not in said:
            raise ValueError(f"{field}: is missing")
    if not isinstance(said["id"], str) or not re.fullmatch(r"[0-9a-f]{16}", said["id"]):
        raise ValueError("id: is not 16 hexadecimal digits")
    if said["role"] not in list(Role) or said["role"] in CERTIFICATE_ONLY:
        raise ValueError(f"role: {said['role']!r} is not a role that tokens can have")
    if not isinstance(said["sha256"], str) or not _digest.fullmatch(said["sha256"]):
        raise ValueError("sha256: is not 64 hexadecimal digits")
    expires = said.get("expires")
    caller = Caller(
        check_name(said["name"]),
        Role(said["role"]),
        How.TOKEN,
        check_patterns(said["queues"]),
        inf if expires is None else _instant(expires),
    )
    return Entry(said["id"], caller, bytes.fromhex(said["sha256"]))


def _instant(text: object) -> float:
    try:
        instant = dt.datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"expires: {text!r} is not a time such as 2027-01-31T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError(f"expires: {text!r} names no time zone (Z for UTC)")
    return instant.timestamp()


def _text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _stamp(path: Path) -> tuple[int, int, int]:
    """Differs from a former one when the file was replaced or written; follows links."""
    try:
        status = os.stat(path)
    except OSError as error:
        return (0, 0, -(error.errno or 1))
    return (status.st_mtime_ns, status.st_ino, status.st_size)
