"""Checks the contract: stubs are fresh, buf's lint holds, nothing broke since the last release.

The breaking check compares with the last git tag and passes silently where there is none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.generate_protos import (
    PROTOS,
    ROOT,
    generate,
    include_dirs,
    proto_files,
    run_protoc,
    stubs_below,
)


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


def build_image(protos: Path, image: Path) -> None:
    """Compile every proto file below `protos` into one descriptor set with comments."""
    run_protoc(
        *include_dirs(protos),
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={image}",
        *proto_files(protos=protos),
    )


def buf(*arguments: str) -> bool:
    """Run buf with the repository's rules; whether all of them hold. It prints what does not."""
    command = ["buf", *arguments, "--config", str(ROOT / "buf.yaml")]
    return subprocess.run(command, check=False, timeout=60).returncode == 0


def protos_of_last_tag(scratch: Path) -> Path | None:
    """The proto files as of the last git tag, unpacked below `scratch`; None without a tag."""
    git = ["git", "-C", str(ROOT)]
    tag = subprocess.run(
        [*git, "describe", "--tags", "--abbrev=0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.strip()
    if not tag:
        return None
    archive = subprocess.run(
        [*git, "archive", "--format=tar", tag, "protos"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    subprocess.run(["tar", "-xC", str(scratch)], input=archive.stdout, check=True, timeout=30)
    return scratch / "protos"


def main() -> int:
    stale = stale_stubs()
    for line in stale:
        print(line)
    if stale:
        print("The stubs are not what protos/ gives: run `make protos` and commit the result.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        image = scratch / "now.binpb"
        build_image(PROTOS, image)
        if not buf("lint", str(image)):
            return 1
        released = protos_of_last_tag(scratch)
        if released is not None:
            before = scratch / "released.binpb"
            build_image(released, before)
            if not buf("breaking", str(image), "--against", str(before)):
                return 1
    print(f"{len(proto_files())} proto files: lint holds, stubs are fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
