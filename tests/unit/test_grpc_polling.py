"""Processes of the cluster choose how gRPC waits, and nobody that they start gets the choice."""

import os
import subprocess
import sys

PROGRAM = """\
import os, subprocess
def seen():
    return subprocess.run(["printenv", "GRPC_EXPERIMENTS"], capture_output=True, text=True).stdout
loading = seen()
def main():
    print(repr(loading.strip()), repr(seen().strip()), repr(os.environ.get("GRPC_EXPERIMENTS")))
    return 0
"""


def run(tmp_path, environment=None):
    (tmp_path / "program.py").write_text(PROGRAM)
    code = "from quorate.runtime.process.launch import launch; launch('program')"
    path = {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.getcwd()))}
    own = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**own, **path, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_the_choice_is_there_while_grpc_is_loaded_and_then_gone(tmp_path):
    assert run(tmp_path) == "'-event_engine_client,-event_engine_listener' '' None"


def test_who_chose_keeps_the_choice(tmp_path):
    assert run(tmp_path, {"GRPC_EXPERIMENTS": "a"}) == "'a' 'a' 'a'"


def test_a_version_that_was_not_measured_is_left_alone(tmp_path):
    (tmp_path / "grpc").mkdir()
    (tmp_path / "grpc" / "__init__.py").touch()
    (tmp_path / "grpc" / "_grpcio_metadata.py").write_text('__version__ = """1.99.0"""')
    assert run(tmp_path) == "'' '' None"
