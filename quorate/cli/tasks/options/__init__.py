"""Options of the commands that create tasks, in groups, and what the SDK makes of them.

`submit`, `call`, `map`, `schedule create` and `schedule update` have those that make sense.

| module | group | options about |
|---|---|---|
| `execution` | `Execution` | how each attempt is run: times, retries, needs |
| `keys` | `Keys`, `Unique` | limits, shares, turns and unique keys that a task shares with others |
| `placing` | `Placing` | the nodes that may run it |
| `hooks` | `Hooks` | what runs before and after it |
"""

from quorate.cli.tasks.options.execution import (
    Delay,
    Env,
    Execution,
    Queue,
    RequestId,
    Secret,
    WaitTimeout,
    secrets,
)
from quorate.cli.tasks.options.hooks import Hooks
from quorate.cli.tasks.options.keys import Conflict, Keys, Unique
from quorate.cli.tasks.options.placing import Placing

__all__ = [
    "Conflict",
    "Delay",
    "Env",
    "Execution",
    "Hooks",
    "Keys",
    "Placing",
    "Queue",
    "RequestId",
    "Secret",
    "Unique",
    "WaitTimeout",
    "secrets",
]
