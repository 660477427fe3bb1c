"""Whether new tasks may name their large payloads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.blobs.names import NAME_WITHIN
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.state import State
from scheduler.core.values import TaskSpec

BLOB_EXPIRED: Final = "BLOB_EXPIRED"


def refuse_old_blobs(state: State, specs: Sequence[TaskSpec]) -> Rejection | None:
    """The first payload that may be deleted before its task is on record, or was already.

    The sweep deletes what no task names and is much older than what this accepts; both decide by
    the same state, the leader's.
    """
    for spec in specs:
        blob = spec.blob
        if blob is not None and not state.blobs.may_name(blob, state.last_instant):
            return Rejection(
                ErrorKind.INVALID,
                BLOB_EXPIRED,
                f"the payload {blob.name} was uploaded more than {NAME_WITHIN:.0f} s ago, or its "
                "uploader's clock is wrong, and no task on record names it: upload it again",
                "blob",
                blob.name,
                "spec.payload_blob",
            )
    return None
