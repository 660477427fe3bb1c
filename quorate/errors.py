"""What a program that uses the SDK catches; see `quorate.client.errors`."""

from quorate.client.errors import (
    ArgumentNotSerialisable,
    LargeValueError,
    PayloadTooLarge,
    QuorateError,
    TaskCancelled,
    TaskFailed,
    UnplaceableWarning,
)

__all__ = [
    "ArgumentNotSerialisable",
    "LargeValueError",
    "PayloadTooLarge",
    "QuorateError",
    "TaskCancelled",
    "TaskFailed",
    "UnplaceableWarning",
]
