"""How many calls a gRPC server of Quorate lets wait until its event loop takes them.

gRPC's own bounds are 1,000, from which on it sheds calls at random, and 3,000: a burst of one
client reaches them. What is shed is answered CANCELLED with no word of why (gRPC 1.85). A call that
waits is its headers and no more; its message is read when it is taken.
"""

from __future__ import annotations

from typing import Final

# As many as callers that a leader lets wait for room in its journal.
MAX_PENDING: Final = 10_000
PENDING_OPTIONS: Final = (
    ("grpc.server.max_pending_requests", MAX_PENDING),
    ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING),
)
