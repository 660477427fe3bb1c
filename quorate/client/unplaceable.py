"""Says at once that no node can run what was just created; it waits until there is one.

The cluster accepts such a task, since the node may be about to come. A mistake (`memory=900 << 30`
where MiB were meant) would wait for ever without a word.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SDK: Final = str(Path(__file__).parent)


class UnplaceableWarning(UserWarning):
    """No registered node can start a task that was created: too small, or its disk is full.

    A filter that makes warnings errors has it raised by the call that created the task, which is
    on record all the same. An `Executor` sends in a thread of its own, which it never ends.
    """


def warn_unplaceable(reasons: Iterable[str]) -> None:
    """A warning for each reason that is not empty, at the line that called the SDK."""
    for reason in reasons:
        if reason:
            warnings.warn(reason, UnplaceableWarning, stacklevel=_depth())


def _depth() -> int:
    """`stacklevel` for `warn_unplaceable` of the nearest frame that is not the SDK's."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_SDK):
        depth, frame = depth + 1, frame.f_back
    return depth
