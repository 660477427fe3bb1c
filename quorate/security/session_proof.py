"""How a leader shows an agent that it is the one that etcd names.

Its election key holds 32 random bytes, which only those can read who may read etcd. The proof is an
HMAC by them of the session's epoch and the agent's instance: good for that one process and epoch,
so that whoever listens in a dead agent's place learns nothing to open sessions elsewhere with.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from quorate.runtime.ids import Epoch

_PURPOSE: Final = b"quorate.v1.NodeAgent/Session\0"


def proof_of(key: bytes, epoch: Epoch, instance: str) -> bytes:
    """The proof for one agent process. `epoch` fits into 64 bits."""
    said = _PURPOSE + epoch.to_bytes(8, "big", signed=True) + instance.encode()
    return hmac.new(key, said, hashlib.sha256).digest()


def is_proof(proof: bytes, key: bytes, epoch: Epoch, instance: str) -> bool:
    """Whether it is that proof; in constant time."""
    return hmac.compare_digest(proof, proof_of(key, epoch, instance))
