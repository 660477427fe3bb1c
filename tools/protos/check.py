"""Checks the contract: stubs are fresh, buf's lint holds, nothing broke since the last release.

The last release is the image of the latest version below protos/released.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tools.protos.generate import (
    PROTOS,
    ROOT,
    generate,
    proto_files,
    stubs_below,
)
from tools.protos.rules import build_image, keeps_to, last_release, lint


def stale_stubs() -> list[str]:
    """Committed stubs that differ from what protos/ gives, with what is wrong with each."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted, present = set(stubs_below(fresh)), set(stubs_below(ROOT))
        return sorted(
            [f"{path} is missing" for path in wanted - present]
            + [f"{path} has no proto file" for path in present - wanted]
            + [
                f"{path} is stale"
                for path in wanted & present
                if (fresh / path).read_bytes() != (ROOT / path).read_bytes()
            ]
        )


def main() -> int:
    stale = stale_stubs()
    for line in stale:
        print(line)
    if stale:
        print("The stubs are not what protos/ gives: run `make protos` and commit the result.")
        return 1
    released = last_release()
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "now.binpb"
        build_image(PROTOS, image)
        if not lint(image) or not keeps_to(image, released):
            return 1
    print(
        f"{len(proto_files())} proto files: lint holds, stubs are fresh, nothing of "
        f"{released.stem} is broken"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
