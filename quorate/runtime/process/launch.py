"""How a program of Quorate is loaded, and how its process ends: a third sooner than by itself.

Loading makes objects by the hundred thousand, and none of them is garbage before the end; Python's
collector would look at each of them several times meanwhile, and once more when the process ends.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import NoReturn

from quorate.runtime.process import grpc_polling


def launch(module: str) -> NoReturn:
    """Load `module`, call its `main()`, and exit with the code that it returns."""
    gc.disable()
    grpc_polling.poll_where_it_is_awaited()
    main = importlib.import_module(module).main
    grpc_polling.forget()
    # What was loaded stays for as long as the process lives.
    gc.freeze()
    gc.enable()
    try:
        code: int = main()
    finally:
        # What is left goes with the process.
        gc.freeze()
    sys.exit(code)
