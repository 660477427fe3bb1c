"""`python -m node_agent.worker.hooks <module:qualname>`: calls a hook that is a function.

It ends with 0 when the function returns, and as a Python program does when it raises.
"""

from __future__ import annotations

import asyncio
import sys
from types import CoroutineType

from node_agent.worker.calls import Problem, resolve


def main() -> None:
    """Call it, without arguments."""
    name = sys.argv[1]
    sys.argv = ["quorate-hook"]
    try:
        function = resolve(name)
    except Problem as problem:
        sys.exit(f"quorate: {problem.message}\n{problem.traceback_text}")
    result = function()
    if type(result) is CoroutineType:
        asyncio.run(result)


if __name__ == "__main__":
    main()
