"""Which tests go to one worker of pytest-xdist, in the order in which they share what they started.

A file stays whole, as with xdist's `--dist loadfile`; so does a folder that is a package (it has an
`__init__.py`): its files share fixtures of scope `package`, say a cluster and a browser, of which
every further worker would start its own.
"""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadFileScheduling

_CHECKOUT = Path(__file__).resolve().parents[2]


class WholeFolders(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """For `pytest_xdist_make_scheduler`."""

    def _split_scope(self, nodeid: str) -> str:
        return whole(super()._split_scope(nodeid))


def whole(file: str) -> str:
    """The folder of a test file when that is a package, else the file. From the checkout on."""
    folder = Path(file).parent
    return str(folder) if (_CHECKOUT / folder / "__init__.py").exists() else file
