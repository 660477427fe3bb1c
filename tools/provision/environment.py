"""Makes the virtual environment and installs the package into it, with progress.

    python3 tools/provision/environment.py .venv dev

Called by `make` with the machine's Python, which may be any: standard library only, and a Python
that is too old (3.7 or later) still gets as far as the sentence that says so. pip runs from the
environment. Its downloads of a megabyte and more are printed, and how many packages there are; all
that it said is printed when it fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time

LEAST = (3, 11)
# pip: `Downloading grpcio-1.85.1-cp311-cp311-linux_x86_64.whl (6.2 MB)`
_DOWNLOAD = re.compile(r"Downloading (?:\S*/)?([^/\s]+) \(([\d.]+) (MB|GB)\)")
_INSTALLING = "Installing collected packages: "


class Failed(Exception):
    """One sentence for whoever typed `make`."""


def main(arguments: list[str]) -> int:
    """Make the environment and install; exit code 1 with a sentence when that fails."""
    folder, extra = arguments
    try:
        check_python(sys.version_info[:2], sys.executable)
        make_environment(folder)
        install(folder, extra)
    except Failed as error:
        sys.stderr.write(f"quorate: {error}\n")
        return 1
    return 0


def check_python(version: tuple[int, int], program: str) -> None:
    """Refuse a Python that is too old. Raises Failed."""
    if version < LEAST:
        least, found = (".".join(map(str, numbers)) for numbers in (LEAST, version))
        raise Failed(
            f"Python {least} or later is needed and {program} is {found}: "
            f"name one with `make PYTHON=python{least}`"
        )


def make_environment(folder: str) -> None:
    """`python -m venv`, unless there is one with pip. Raises Failed."""
    if _has_pip(folder):
        return
    say(f"making the virtual environment {folder}")
    # Not that of the broken environment, which may be the first on PATH.
    python = getattr(sys, "_base_executable", sys.executable)
    code, output = _run([python, "-m", "venv", "--clear", folder])
    if code == 0:
        return
    # Half of one would be taken for a whole one the next time.
    shutil.rmtree(folder, ignore_errors=True)
    if "ensurepip" in output:
        raise Failed(
            "this Python has no venv with pip: install it (Debian: `apt-get install python3-venv`)"
        )
    raise Failed(f"the virtual environment {folder} cannot be made: {_last_line(output)}")


def install(folder: str, extra: str) -> None:
    """`pip install --editable .[extra]`, the versions of constraints.txt. Raises Failed."""
    say(f"installing quorate and its tools into {folder}, about 600 MB on disk")
    start, output, packages = time.monotonic(), [], 0
    command = [python_of(folder), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--constraint", "constraints.txt"]
    with subprocess.Popen(
        [*command, "--editable", f".[{extra}]"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            output.append(line)
            found = _DOWNLOAD.search(line)
            if found and (found[3] == "GB" or float(found[2]) >= 1):
                say(f"downloading {found[1].split('-')[0]}, {found[2]} {found[3]}")
            if line.strip().startswith(_INSTALLING):
                packages = line.count(",") + 1
                say(f"installing {packages} packages")
    if pip.returncode:
        sys.stderr.write("".join(output))
        errors = [line for line in output if line.startswith("ERROR:")] or output
        raise Failed(f"pip could not install: {_last_line(errors[-1] if errors else '')}")
    say(f"{packages} packages installed in {time.monotonic() - start:.0f} s")


def python_of(folder: str) -> str:
    """The environment's interpreter."""
    return os.path.join(folder, "bin", "python")


def _has_pip(folder: str) -> bool:
    program = python_of(folder)
    return os.path.exists(program) and _run([program, "-c", "import pip"])[0] == 0


def _run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
