"""What a client needs to speak to a cluster. Found by `discovery`, used by `calls` and `acalls`."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.client.transport.bearer import Bearer, Metadata
from quorate.security.tls.dialer import ClientTls


@dataclass(frozen=True, slots=True)
class Access:
    """Where a cluster is, and how to speak to it."""

    addresses: tuple[str, ...]
    """Of schedulers, at least one."""
    tls: ClientTls | None = None
    """None: plaintext."""
    bearer: Bearer | None = None
    """None: no token is sent."""

    @property
    def metadata(self) -> Metadata | None:
        """For one call: the token as it is now."""
        return None if self.bearer is None else self.bearer.metadata()
