"""What a program that uses the SDK catches; see `quorate.client.errors`."""

from quorate.client.errors import (
    ArgumentNotSerialisable,
    ConsumerEnded,
    DeliveryLost,
    LargeValueError,
    MessageRejected,
    MessageUnroutable,
    PayloadTooLarge,
    QuorateError,
    TaskCancelled,
    TaskFailed,
    UnplaceableWarning,
)

__all__ = [
    "ArgumentNotSerialisable",
    "ConsumerEnded",
    "DeliveryLost",
    "LargeValueError",
    "MessageRejected",
    "MessageUnroutable",
    "PayloadTooLarge",
    "QuorateError",
    "TaskCancelled",
    "TaskFailed",
    "UnplaceableWarning",
]
