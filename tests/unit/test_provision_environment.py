"""The virtual environment that `make` makes, and its one sentence where that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.provision import environment
from tools.provision.environment import Failed


def fake_python(folder: Path, script: str) -> Path:
    path = folder / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_old_python_is_refused_with_what_to_type() -> None:
    with pytest.raises(Failed) as failure:
        environment.check_python((3, 9), "/usr/bin/python3")
    assert str(failure.value) == (
        "Python 3.11 or later is needed and /usr/bin/python3 is 3.9: "
        "name one with `make PYTHON=python3.11`"
    )
    environment.check_python((3, 14), "/usr/bin/python3")


def test_a_python_without_venv_names_the_package_and_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv"
    python = fake_python(
        tmp_path / "system",
        f"mkdir -p {folder}/bin; echo 'failing, since ensurepip is not available'; exit 1",
    )
    monkeypatch.setattr(sys, "_base_executable", str(python), raising=False)
    with pytest.raises(Failed, match="apt-get install python3-venv"):
        environment.make_environment(str(folder))
    assert not folder.exists()


def test_a_checkout_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = fake_python(tmp_path / "system", "echo 'Error: Read-only file system'; exit 1")
    monkeypatch.setattr(sys, "_base_executable", str(python), raising=False)
    with pytest.raises(Failed, match=r"\.venv cannot be made: Error: Read-only file system$"):
        environment.make_environment(str(tmp_path / ".venv"))


def test_an_environment_without_pip_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path / ".venv", "exit 1")
    python = fake_python(tmp_path / "system", f"touch {tmp_path}/made")
    monkeypatch.setattr(sys, "_base_executable", str(python), raising=False)
    environment.make_environment(str(tmp_path / ".venv"))
    assert (tmp_path / "made").exists()


def test_large_downloads_and_the_number_of_packages_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_python(
        tmp_path / ".venv",
        "echo '  Downloading grpcio-1.85.1-cp311-cp311-linux_x86_64.whl (6.2 MB)'\n"
        "echo '  Downloading idna-3.10-py3-none-any.whl (70 kB)'\n"
        "echo 'Installing collected packages: idna, grpcio, quorate'",
    )
    environment.install(str(tmp_path / ".venv"), "dev")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["setup: downloading grpcio, 6.2 MB", "setup: installing 3 packages"]
    assert lines[3].startswith("setup: 3 packages installed in ")
    assert len(lines) == 4


def test_a_failure_of_pip_is_printed_and_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_python(
        tmp_path / ".venv",
        "echo 'WARNING: Retrying'; echo 'ERROR: No matching distribution found for uvloop'; exit 1",
    )
    with pytest.raises(Failed) as failure:
        environment.install(str(tmp_path / ".venv"), "dev")
    assert str(failure.value) == (
        "pip could not install: ERROR: No matching distribution found for uvloop"
    )
    assert "Retrying" in capsys.readouterr().err
