"""A command line loads its own command and no other; how the programs begin and end."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import quorate
from quorate.cli.app import COMMANDS
from quorate.runtime.process import startup


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


# They add to a command of another module as they are imported.
ADDING = {
    "admin.etcd_auth": ("etcd", "init-auth"),
    "control.templates": ("queue", "template"),
    "messages.policies": ("mq", "policy"),
    "messages.importing": ("mq", "import"),
}


@pytest.mark.parametrize("module", [one for one in COMMANDS if one not in ADDING])
def test_each_module_adds_the_commands_that_it_is_listed_with(module):
    app = typer.Typer()
    importlib.import_module(f"quorate.cli.{module}").register(app)
    named = [command.name for command in app.registered_commands]
    groups = [group.name for group in app.registered_groups]
    assert sorted(filter(None, [*named, *groups])) == sorted(COMMANDS[module])


@pytest.mark.parametrize("module", ADDING)
def test_each_module_that_adds_to_a_command_does_so(module):
    command, added = ADDING[module]
    assert COMMANDS[module] == (command,)
    help_of = "import sys; from quorate.cli.app import run; run([sys.argv[1], '--help'])"
    done = _python(help_of, command)
    assert f" {added} " in done.stdout


def test_a_command_loads_neither_the_other_commands_nor_what_they_need():
    done = _python(
        "import sys; from quorate.cli.app import run; run(['status', '--help']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = set(done.stderr.split())
    assert "quorate.cli.cluster.status" in loaded
    assert not loaded & {
        "quorate.cli.admin.backup",
        "quorate.cli.admin.local",
        "cryptography",
        "structlog",
    }


def test_an_unknown_command_is_compared_with_all_of_them():
    done = _python("from quorate.cli import main; main()", "stauts")
    assert done.returncode == 2
    assert "Did you mean 'status'" in done.stderr


def test_python_m_quorate_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "quorate", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"quorate {quorate.__version__}\n")


@pytest.mark.parametrize(
    ("body", "code"),
    [("return 0", 0), ("return 3", 3), ("raise SystemExit(2)", 2), ("raise ValueError", 1)],
)
def test_a_program_ends_with_the_code_of_its_main_and_collects_garbage_meanwhile(
    tmp_path: Path, body: str, code: int
):
    (tmp_path / "program.py").write_text(
        "import gc\n"
        "loading = gc.isenabled()\n"
        "def main():\n"
        "    print(loading, gc.isenabled())\n"
        f"    {body}\n"
    )
    done = _python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from quorate.runtime.process.launch import launch; launch('program')"
    )
    assert (done.stdout, done.returncode) == ("False True\n", code)


def test_without_the_fast_protobuf_nothing_starts(monkeypatch):
    startup.require_fast_protobuf()
    monkeypatch.setattr("google.protobuf.internal.api_implementation.Type", lambda: "python")
    with pytest.raises(startup.CannotStart, match="'python', not on upb"):
        startup.require_fast_protobuf()
