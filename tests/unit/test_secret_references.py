"""Secrets go by reference: what a spec may name, and how SDK and command line write it."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from quorate.cli.tasks import options
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import command_spec, json_spec, python_spec
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from scheduler.api.specs.check import SpecCheck

NOW = 1_800_000_000.0


def refused(spec: task_pb2.TaskSpec) -> QuorateError:
    with pytest.raises(QuorateError) as caught:
        SpecCheck().spec(spec, "spec", NOW)
    return caught.value


def command(secrets: dict[str, task_pb2.SecretRef], **more: Any) -> task_pb2.TaskSpec:
    return task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"], secrets=secrets, **more))


def ref(**source: str) -> task_pb2.SecretRef:
    return task_pb2.SecretRef(**source)


def test_what_lies_on_the_bounds_is_accepted() -> None:
    secrets = {f"S{n}": ref(file="a/b.c-d_e") for n in range(15)}
    secrets["x" * 128] = ref(env="E" * 255)
    SpecCheck().spec(command(secrets), "spec", NOW)
    work = task_pb2.PythonWork(entrypoint="m:f", secrets={"A": ref(file="f" * 255)})
    SpecCheck().spec(task_pb2.TaskSpec(python=work), "spec", NOW)


@pytest.mark.parametrize(
    ("secrets", "field", "said"),
    [
        ({f"S{n}": ref(env="A") for n in range(17)}, "secrets", "16"),
        ({"x" * 129: ref(env="A")}, "secrets", "128"),
        ({"1A": ref(env="A")}, "secrets", "'1A'"),
        ({"A=B": ref(env="A")}, "secrets", "'A=B'"),
        ({"QUORATE_X": ref(env="A")}, "secrets", "QUORATE_"),
        ({"A": ref()}, "secrets.A", "set env or file"),
        ({"A": ref(env="")}, "secrets.A.env", "variable"),
        ({"A": ref(env="B C")}, "secrets.A.env", "variable"),
        ({"A": ref(env="E" * 256)}, "secrets.A.env", "255"),
        ({"A": ref(file="")}, "secrets.A.file", "below"),
        ({"A": ref(file="/etc/passwd")}, "secrets.A.file", "below"),
        ({"A": ref(file="../up")}, "secrets.A.file", "below"),
        ({"A": ref(file="a/../b")}, "secrets.A.file", "below"),
        ({"A": ref(file="a//b")}, "secrets.A.file", "below"),
        ({"A": ref(file="a/")}, "secrets.A.file", "below"),
        ({"A": ref(file="a\n")}, "secrets.A.file", "below"),
        ({"A": ref(file="f" * 256)}, "secrets.A.file", "255"),
    ],
)
def test_a_bad_reference_is_refused_with_its_field(
    secrets: dict[str, task_pb2.SecretRef], field: str, said: str
) -> None:
    for work, spec in (
        ("command", command(secrets)),
        (
            "python",
            task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="m:f", secrets=secrets)),
        ),
    ):
        error = refused(spec)
        assert error.field == f"spec.{work}.{field}"
        assert said in error.message


def test_a_variable_cannot_be_given_and_be_secret() -> None:
    error = refused(command({"A": ref(file="a")}, env={"A": "b"}))
    assert "'A' is also in env" in error.message


def test_sdk_writes_them_into_programs_and_calls() -> None:
    options = TaskOptions(secrets={"A": "file:db/pw"})
    spec = command_spec(["true"], options, NOW, secrets={"B": "env:TOKEN"})
    assert dict(spec.command.secrets) == {"A": ref(file="db/pw"), "B": ref(env="TOKEN")}
    for called in (
        json_spec("m:f", [], options, NOW),
        python_spec("m:f", (), {}, options, NOW),
    ):
        assert dict(called.python.secrets) == {"A": ref(file="db/pw")}
        assert not called.HasField("command")


@pytest.mark.parametrize("mistaken", ["hunter2", "file:", "vault:x", ""])
def test_a_value_given_for_a_reference_is_not_repeated(mistaken: str) -> None:
    with pytest.raises(QuorateError) as caught:
        TaskOptions(secrets={"DB_PASSWORD": mistaken})
    assert caught.value.field == "secrets"
    assert "DB_PASSWORD: must be file:NAME or env:NAME" in caught.value.message
    assert not mistaken or mistaken not in caught.value.message.replace("file:NAME", "")


def test_the_command_line_reads_them() -> None:
    assert options.secrets(["A=file:x", "B=env:C"]) == {"A": "file:x", "B": "env:C"}
    with pytest.raises(typer.BadParameter) as caught:
        options.secrets(["hunter2"])
    assert "hunter2" not in str(caught.value)
