"""The local cluster's plan and data dir: locks, command lines, and what is refused."""

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from quorate.cli.output import render
from quorate.client.transport.discovery import command_for, find_access, owner_of
from quorate.local.data_dir import DataDir, read_layout
from quorate.local.plan import LocalPlan, default_slots
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import size_text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedulers", 0),
        ("schedulers", 10),
        ("nodes", 0),
        ("nodes", 65),
        ("slots", -1),
        ("slots", 2000),
        ("port", 80),
        ("port", 65535),
        ("gateway-port", 80),
        ("amqp-port", 80),
        ("amqp", True),
        ("cluster", "A b"),
        ("cluster", ""),
    ],
)
def test_values_out_of_bounds_are_refused_and_named(tmp_path, field, value):
    with pytest.raises(QuorateError) as caught:
        LocalPlan(data_dir=tmp_path, **{field.replace("-", "_"): value})
    assert caught.value.field == field


def test_slots_share_the_cores_and_are_never_none():
    assert default_slots(1) == os.cpu_count()
    assert default_slots(1000) == 1


def test_command_lines_name_everything(tmp_path):
    plan = LocalPlan(data_dir=tmp_path, slots=4, cluster="c")
    argv = plan.scheduler_argv("s1", 7, "e:1")
    assert argv[argv.index("--listen") + 1] == "127.0.0.1:7"
    assert argv[argv.index("--etcd") + 1] == "e:1"
    assert argv[argv.index("--etcd-max-txn-ops") + 1] == "1024"
    argv = plan.node_argv("n1", 8, "e:1")
    assert argv[argv.index("--slots") + 1] == "4"
    assert argv[argv.index("--data-dir") + 1] == str(tmp_path / "n1")
    assert argv[argv.index("--cluster") + 1] == "c"


def test_advice_names_the_data_dir_that_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "usual"))
    assert command_for("down", tmp_path / "usual") == "quorate down"
    assert command_for("down", tmp_path / "a b") == f"quorate down --data-dir '{tmp_path}/a b'"
    with pytest.raises(QuorateError, match=f"Start one: quorate up --data-dir {tmp_path}/other"):
        find_access(data_dir=tmp_path / "other", environ={})


def test_a_data_dir_serves_one_at_a_time(tmp_path):
    with DataDir(tmp_path / "d", "c"):
        assert owner_of(tmp_path / "d") == os.getpid()
        with pytest.raises(QuorateError, match=f"process {os.getpid()}") as caught:
            DataDir(tmp_path / "d", "c").__enter__()
        assert caught.value.reason == "DATA_DIR_IN_USE"
        assert f"'quorate down --data-dir {tmp_path}/d'" in caught.value.message
    assert owner_of(tmp_path / "d") == 0
    with DataDir(tmp_path / "d", "c"):
        pass


def test_a_data_dir_is_its_owners_alone_from_its_first_moment(tmp_path, monkeypatch):
    made = []
    real = Path.mkdir

    def mkdir(path, *given, **more):
        real(path, *given, **more)
        made.append((path.name, stat.S_IMODE(path.stat().st_mode)))
        # Whoever opens a folder now keeps it.
        assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with DataDir(tmp_path / "d", "c"):
        assert made[0] == ("d", 0o700)
        assert [name for name, _ in made] == ["d", "logs", "blobs"]


def test_a_data_dir_of_another_cluster_is_refused_and_left_alone(tmp_path):
    with DataDir(tmp_path / "d", "one") as directory:
        directory.remember({"s1": 5})
    before = sorted(path.name for path in (tmp_path / "d").iterdir())
    with pytest.raises(QuorateError, match="'one'") as caught:
        DataDir(tmp_path / "d", "two").__enter__()
    assert caught.value.reason == "DATA_DIR_OF_ANOTHER_CLUSTER"
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == before
    assert read_layout(tmp_path / "d") == ("one", {"s1": 5})


def test_ports_are_remembered_also_of_processes_not_asked_for_this_time(tmp_path):
    with DataDir(tmp_path / "d", "c") as directory:
        directory.remember({"s1": 5, "n3": 6})
        directory.remember({"s1": 7})
    assert read_layout(tmp_path / "d") == ("c", {"s1": 7, "n3": 6})


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(QuorateError, match=r"thesis\.txt"):
        DataDir(tmp_path, "c").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_data_dir_that_cannot_be_made_is_refused():
    with pytest.raises(QuorateError) as caught:
        DataDir(Path("/proc/nothing/here"), "c").__enter__()
    assert caught.value.reason == "DATA_DIR_UNUSABLE"


def test_a_data_dir_that_cannot_be_looked_into_is_neither_free_nor_a_crash():
    # As in a home that may not be read; root may read all, but nobody a name as long.
    unreadable = Path("/tmp") / ("x" * 300)
    with pytest.raises(QuorateError, match="cannot be used: File name too long"):
        DataDir(unreadable, "c").__enter__()
    with pytest.raises(QuorateError, match="cannot be read: File name too long"):
        owner_of(unreadable)


def test_a_damaged_layout_is_refused(tmp_path):
    (tmp_path / "layout.json").write_text("{")
    with pytest.raises(QuorateError, match=r"layout\.json"):
        DataDir(tmp_path, "c").__enter__()
    # The lock was given back.
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_leaving_removes_cluster_json_and_keeps_the_layout(tmp_path):
    with DataDir(tmp_path / "d", "c") as directory:
        directory.remember({"s1": 5})
        (tmp_path / "d" / "cluster.json").write_text("{}")
    names = {path.name for path in (tmp_path / "d").iterdir()}
    assert "cluster.json" not in names
    assert json.loads((tmp_path / "d" / "layout.json").read_text())["cluster"] == "c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "12 ms"),
        (4.25, "4.2 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (86_400, "1 d"),
        (-1, "-"),
    ],
)
def test_durations_for_people(value, text):
    assert render.seconds(value) == text


def test_sizes_for_people():
    assert [size_text(n) for n in (5, 2048, 3 * 1024**2 + 400 * 1024, 2**50)] == [
        "5 bytes",
        "2 KiB",
        "3.39 MiB",
        "1 PiB",
    ]


def test_tasks_of_a_local_cluster_see_the_users_own_environment(tmp_path):
    argv = LocalPlan(data_dir=tmp_path).node_argv("n1", 7000, "127.0.0.1:2379")
    assert argv[argv.index("--task-env") + 1] == "*"
