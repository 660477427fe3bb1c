"""buf's rules on descriptor images: for `tools.protos.check` and `tools.protos.release`.

An image is a `FileDescriptorSet` with its imports, as `buf build -o` writes. protoc builds it
here, since google/api comes from an installed Python package, not from a registry.

What a change must not break is decided by package (docs/compatibility.md says why):

* `quorate.v1`, and whatever else is served: FILE (`buf.yaml`). Callers go on, by gRPC and by JSON,
  and also when they generate their stubs anew.
* `quorate.internal`, kept in etcd and in backups: WIRE, and nothing deleted (`buf.records.yaml`).
  Neighbouring versions read each other's records; names are ours to change.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools.protos.generate import ROOT, include_dirs, proto_files, run_protoc

RULES = ROOT / "buf.yaml"
RECORD_RULES = ROOT / "buf.records.yaml"
RELEASED = ROOT / "protos" / "released"
_IMAGE_NAME = re.compile(r"(\d+)\.(\d+)\.(\d+)\.binpb")


def build_image(protos: Path, image: Path, *, comments: bool = True) -> None:
    """Compile every proto file below `protos` into one image."""
    run_protoc(
        *include_dirs(protos),
        "--include_imports",
        *(("--include_source_info",) if comments else ()),
        f"--descriptor_set_out={image}",
        *proto_files(protos=protos),
    )


def lint(image: Path) -> bool:
    """Whether the style rules hold; buf prints what does not."""
    return _buf("lint", str(image), "--config", str(RULES))


def keeps_to(image: Path, released: Path) -> bool:
    """Whether nothing of `released` is broken in `image`; buf prints what is."""
    # Both are run, so that one look shows everything.
    public, records = (
        _buf("breaking", str(image), "--against", str(released), "--config", str(rules))
        for rules in (RULES, RECORD_RULES)
    )
    return public and records


def last_release(folder: Path = RELEASED) -> Path:
    """The image of the latest version in `folder`. Raises FileNotFoundError when there is none."""
    images = [path for path in folder.iterdir() if _IMAGE_NAME.fullmatch(path.name)]
    if not images:
        raise FileNotFoundError(f"no <version>.binpb below {folder}")
    return max(images, key=version_of)


def version_of(image: Path) -> tuple[int, ...]:
    """The version that an image is named after."""
    return tuple(int(part) for part in image.name.removesuffix(".binpb").split("."))


def _buf(*arguments: str) -> bool:
    # That of this environment, whatever PATH says: its version decides what the rules mean.
    command = [str(Path(sys.executable).with_name("buf")), *arguments]
    return subprocess.run(command, check=False, timeout=60).returncode == 0
