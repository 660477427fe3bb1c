"""`python -m tools.image`: build the image on a base of Debian's packages, run the demo in it.

Prints the size of the image and how long a scheduler in it takes to start. Exit code 1 if the demo
fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from typing import Final

from quorate import __version__
from quorate.runtime.sizes import size_text
from tools.image import base, trial
from tools.image.base import NoMirror
from tools.image.buildah import Buildah
from tools.image.trial import ROOT, TrialFailed
from tools.provision.needs import IMAGE, require
from tools.provision.place import Missing

_FOLDER: Final = ROOT / "build" / "image"
_BASE: Final = "localhost/quorate-base:latest"
_START: Final = time.monotonic()


def main() -> int:
    """Build and try; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=__doc__)
    parser.add_argument("--mirror", help="archive of Debian (default: the one of apt)")
    parser.add_argument(
        "--extras", default="", metavar="[s3]", help="build argument EXTRAS of the Containerfile"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the image below build/image, for buildah or podman",
    )
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("image: debootstrap and buildah's chroot need root", file=sys.stderr)
        return 1
    name = f"localhost/quorate:{__version__}"
    # A folder that an earlier run left is of another image.
    shutil.rmtree(_FOLDER, ignore_errors=True)
    try:
        require(IMAGE)
        _build(name, arguments.mirror, arguments.extras)
        _try(name)
    except (Missing, NoMirror, TrialFailed) as failure:
        print(f"image: {failure}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"image: {error.cmd[0]} failed: see above", file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            shutil.rmtree(_FOLDER, ignore_errors=True)
    if arguments.keep:
        store = _FOLDER.relative_to(ROOT) / "store"
        print(f"kept: podman --root {store} --storage-driver vfs image list")
    return 0


def _build(name: str, mirror: str | None, extras: str) -> None:
    buildah = Buildah(_FOLDER)
    _say(f"base: debootstrap {base.SUITE} with Python")
    folder = _FOLDER / "base"
    base.make(folder, mirror or base.mirror())
    buildah.commit(folder, _BASE)
    shutil.rmtree(folder)
    _say(f"image: {name}, by the Containerfile")
    buildah.build(ROOT, name, {"PYTHON": _BASE, "EXTRAS": extras})


def _try(name: str) -> None:
    buildah = Buildah(_FOLDER)
    with buildah.container(name) as container:
        _say("scheduler: starting it in the image")
        seconds = trial.start_seconds(buildah, container)
        _say("demo: in the image, as its user")
        trial.demo(buildah, container)
    size, of_base = buildah.size(name), buildah.size(_BASE)
    print(f"\nsize of the image: {size_text(size)}, of which the base has {size_text(of_base)}")
    print(f"start of a scheduler in it: {seconds * 1000:.0f} ms until it is ready")


def _say(text: str) -> None:
    print(f"[{time.monotonic() - _START:3.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
