"""Signals for programs, by name or as the standard library has them."""

from __future__ import annotations

import signal
from typing import Final

from quorate.client.transport.rpcs import new_request_id
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

SignalName = str | signal.Signals
_PREFIX: Final = "TASK_SIGNAL_"
SIGNALS: Final = tuple(
    name.removeprefix(_PREFIX) for name, number in task_pb2.TaskSignal.items() if number
)


def signal_request(task: str, wanted: SignalName) -> pb.SendSignalRequest:
    """The request that sends a signal. Raises ValueError."""
    text = wanted.name if isinstance(wanted, signal.Signals) else wanted
    name = text.strip().upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise ValueError(f"{text!r} is not a signal for tasks; they are {', '.join(SIGNALS)}")
    return pb.SendSignalRequest(
        id=task,
        signal=f"{_PREFIX}{name}",
        request_id=new_request_id(),
    )
