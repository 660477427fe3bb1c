"""What a sign-in at a provider ends with: tokens, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class SignInRefused(Exception):
    """A sign-in that does not hold: one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in brought. `claims` are those of the ID token."""

    id_token: str
    refresh_token: str
    claims: dict[str, Any]
