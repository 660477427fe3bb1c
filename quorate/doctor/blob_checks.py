"""Does the cluster have a blob store, and do all nodes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from quorate.blobs.names import COUNTER
from quorate.blobs.urls import PACKAGES
from quorate.doctor.finding import Finding, note, ok, warning
from quorate.v1 import cluster_pb2, node_pb2

_SUBJECT = "blob store"
# Names in one sentence.
_NAMED = 8


def check_blob_nodes(cluster: cluster_pb2.Cluster, nodes: Sequence[node_pb2.Node]) -> list[Finding]:
    """Whether schedulers and nodes agree that there is one."""
    having = [node.name for node in nodes if node.capacity.counters.get(COUNTER)]
    lacking = sorted({node.name for node in nodes}.difference(having))
    advice = "set the same --blob-url on all schedulers and nodes"
    if not cluster.blob_url:
        if having:
            return [warning(_SUBJECT, "nodes have one, and the leading scheduler has none", advice)]
        text = "none: arguments and results above 256 KiB are refused"
        return [note(_SUBJECT, text, "docs/large-values.md says how to get one")]
    if lacking:
        shown = ", ".join(lacking[:_NAMED]) + (", ..." if len(lacking) > _NAMED else "")
        text = f"these nodes have none: {shown}; tasks with large arguments do not run there"
        return [warning(_SUBJECT, text, advice)]
    return [ok(_SUBJECT, cluster.blob_url)]


async def check_blob_folder(cluster: cluster_pb2.Cluster) -> list[Finding]:
    """Whether the store of a cluster on this machine is there."""
    scheme, _, path = cluster.blob_url.partition("://")
    if scheme not in PACKAGES or scheme != "file":
        return []
    if await asyncio.to_thread(os.access, path, os.R_OK | os.W_OK | os.X_OK):
        return []
    text = f"the folder {path} is missing, or cannot be read and written"
    return [warning(_SUBJECT, text, "mount it, or create it again: values in it are lost")]
