"""Writes down the protos of a release: `protos/released/<version>.binpb`, part of making one.

From then on nothing that is in it may be broken (`make check`). The version is that of
pyproject.toml. Refused: protos that break the release before, and a version older than the last
image. The image of the present version may be written again while that only adds to it, until the
version is published and pyproject.toml names the next.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path

from tools.protos.generate import PROTOS, ROOT
from tools.protos.rules import RELEASED, build_image, keeps_to, last_release, version_of


def project_version() -> str:
    """As pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def release(version: str, protos: Path, folder: Path) -> Path:
    """Write the image of `version` into `folder`, and give its path.

    Raises:
        ValueError: the version is older than the last image, or the protos break that one.
    """
    target = folder / f"{version}.binpb"
    last = last_release(folder)
    if version_of(target) < version_of(last):
        raise ValueError(f"{version} is older than the last release, {last.stem}")
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / target.name
        build_image(protos, image, comments=False)
        if not keeps_to(image, last):
            raise ValueError(f"the protos break what {last.stem} promised: see above")
        target.write_bytes(image.read_bytes())
    return target


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    try:
        target = release(project_version(), PROTOS, RELEASED)
    except ValueError as error:
        print(error)
        return 1
    print(f"{target.relative_to(ROOT)} is what later versions have to keep to")
    return 0


if __name__ == "__main__":
    sys.exit(main())
