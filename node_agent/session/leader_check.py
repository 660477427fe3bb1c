"""Whether a session is opened by the leader that etcd names: nobody else's epoch is taken.

A stranger's hello with a great epoch would make this agent refuse every real leader from then on.
So before an epoch is believed, the election in etcd is read, linearizably: the first candidate
leads, its key's `create_revision` with the cluster's generation is the epoch, and the secret in the
key is what the hello's proof was made with (`quorate.security.session_proof`). Leaders of an
earlier version have no secret there: then the epoch alone is compared.

What was read is kept for the same epoch: a leader that dials again while etcd is silent is known.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from quorate.etcd.api import Etcd, EtcdError, Range, prefix_end
from quorate.etcd.generation import FIRST_GENERATION, epoch_of, generation_in
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import precondition, unavailable
from quorate.runtime.ids import Epoch
from quorate.security.session_proof import is_proof

# Seconds; a leader waits two for the answer to its hello.
_PATIENCE: Final = 1.5


class LeaderCheck:
    """Asks etcd who leads.

    Args:
        prefix: the cluster's.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        election = prefix + b"election/scheduler/"
        self._reads = (Range(election, prefix_end(election)), Range(prefix + b"generation"))
        self._epoch: Epoch | None = None
        self._key = b""

    async def __call__(self, epoch: Epoch, proof: bytes, instance: str) -> None:
        """Return when the leader of `epoch` shows this `instance` that it is the leader.

        Raises QuorateError: LEADER_NOT_NAMED, or UNAVAILABLE when etcd does not answer.
        """
        if epoch != self._epoch:
            named = await self._named()
            if named is None or named[0] != epoch:
                raise precondition(
                    "LEADER_NOT_NAMED", f"etcd has no leader of epoch {epoch}", epoch=epoch
                )
            self._epoch, self._key = named
        if self._key and not is_proof(proof, self._key, epoch, instance):
            raise precondition(
                "LEADER_NOT_NAMED", "the proof is not that of the leader in etcd", epoch=epoch
            )

    async def _named(self) -> tuple[Epoch, bytes] | None:
        """Epoch and secret of the leader."""
        try:
            found = await self._etcd.txn((), self._reads, timeout=_PATIENCE)
        except EtcdError as error:
            raise unavailable(
                "LEADER_UNKNOWN", f"the leader cannot be read from etcd: {error}"
            ) from error
        candidates, generations = (one.kvs for one in found.ranges)
        if not candidates:
            return None
        leader = min(candidates, key=lambda kv: kv.create_revision)
        generation = generation_in(generations[0].value) if generations else FIRST_GENERATION
        try:
            record = CandidateRecord.FromString(leader.value)
        except DecodeError:
            # Put there by hand: no scheduler has that epoch.
            return None
        return epoch_of(generation, leader.create_revision), record.session_key
