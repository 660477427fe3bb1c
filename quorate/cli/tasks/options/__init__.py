"""Options of `submit`, `call`, `map` and `schedule create`, and what they make.

| module | options about |
|---|---|
| `execution` | how the task is run: its queue, retries, times, needs |
| `keys` | limits, shares, turns and unique keys that it shares with others |
| `hooks` | what runs before and after it |
| `placing` | the nodes that may run it |
"""

from quorate.cli.tasks.options.execution import (
    Cpu,
    Delay,
    Env,
    Label,
    Memory,
    Name,
    Priority,
    Queue,
    RequestId,
    Resource,
    Retries,
    Secret,
    StartDeadline,
    Timeout,
    WaitTimeout,
    option_args,
    secrets,
)
from quorate.cli.tasks.options.hooks import (
    CleanUp,
    CleanUpTimeout,
    SetUp,
    SetUpTimeout,
    hook_args,
)
from quorate.cli.tasks.options.keys import (
    Conflict,
    FairnessKey,
    Limit,
    LimitKey,
    OnConflict,
    OrderingKey,
    UniqueFor,
    UniqueKey,
    unique_args,
)

__all__ = [
    "CleanUp",
    "CleanUpTimeout",
    "Conflict",
    "Cpu",
    "Delay",
    "Env",
    "FairnessKey",
    "Label",
    "Limit",
    "LimitKey",
    "Memory",
    "Name",
    "OnConflict",
    "OrderingKey",
    "Priority",
    "Queue",
    "RequestId",
    "Resource",
    "Retries",
    "Secret",
    "SetUp",
    "SetUpTimeout",
    "StartDeadline",
    "Timeout",
    "UniqueFor",
    "UniqueKey",
    "WaitTimeout",
    "hook_args",
    "option_args",
    "secrets",
    "unique_args",
]
