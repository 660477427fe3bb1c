"""What is said of JWTs where none is verified: loading what verifies them takes its time."""

from __future__ import annotations

from typing import Final

# Which kind of key each algorithm needs: an HMAC must not be checked with a public key as secret.
KINDS: Final = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), "oct"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
DEFAULT_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")


class Refused(Exception):
    """A token that does not hold: an UPPER_SNAKE reason, and a sentence for its caller."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
