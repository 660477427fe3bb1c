"""Names in a call's metadata that say whose call it is; `quorate.security.guard` reads them."""

from __future__ import annotations

from typing import Final

# `Bearer <token>`.
AUTHORIZATION: Final = "authorization"
# Says that a call is somebody else's: the certificate of the connection does not count.
ON_BEHALF: Final = "quorate-on-behalf"
# As schedulers mark calls that they pass on.
FORWARDED: Final = "quorate-forwarded"
# Who calls, as a scheduler authenticated it; counts only from a `scheduler:` certificate, or, of a
# certificate that a gateway saw, from a `gateway:` one where schedulers trust gateways.
PASSED_ON: Final = "quorate-caller"
# Where a call came from, as the scheduler saw it that passes it on; for the audit log.
PASSED_ON_PEER: Final = "quorate-peer"
