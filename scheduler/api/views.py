"""Values that the answers of all families hold."""

from __future__ import annotations

import math

from google.protobuf.timestamp_pb2 import Timestamp


def instant(seconds: float) -> Timestamp:
    """A Timestamp of seconds since the epoch."""
    fraction, whole = math.modf(seconds)
    return Timestamp(seconds=int(whole), nanos=int(fraction * 1e9))
