"""Resume tokens of topic `tasks`: the cluster's own token, and the revision it came with. Pure.

The cluster's token is good at any scheduler and for any filter; the revision lets a gateway see
whether a client is ahead of what it knows itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate.runtime.errors import QuorateError, invalid

_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Token:
    """A place in the log. `revision` 0: not known."""

    revision: int
    upstream: str

    def __str__(self) -> str:
        return f"{self.revision}~{self.upstream}"


def read_token(text: str) -> Token:
    """The place that a client resumes from. Raises QuorateError."""
    revision, tilde, upstream = text.partition("~")
    if (
        not tilde
        or not upstream
        or len(text) > _LONGEST
        or not (revision.isascii() and revision.isdigit() and len(revision) < 20)
        or not (upstream.isascii() and upstream.isprintable())
    ):
        raise bad_token()
    return Token(int(revision), upstream)


def bad_token() -> QuorateError:
    """INVALID_ARGUMENT for a token that nobody gave out."""
    return invalid("resume", "is not a token of this topic; subscribe without it")
