"""What the tasks' user may change: nothing that an agent of root writes to, or runs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_agent import task_settings as task_settings
from node_agent.task.user import TaskUser
from node_agent.task_settings import TaskSettings


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Not pytest's own, whose parents are closed to others."""
    monkeypatch.setattr(task_settings, "refuse_unable", lambda _: None)
    # Where the interpreter and this program are, and whose, is for the tests below to say.
    monkeypatch.setattr(task_settings, "_needed", lambda _: iter(()))
    monkeypatch.setattr(sys, "path", [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        yield folder


def stranger(*groups: int) -> TaskUser:
    """Neither we nor of our group."""
    uid, gid = os.geteuid() + 1, os.getegid() + 1
    return TaskUser(uid, gid, (gid, *groups), "s", "/", "/bin/sh")


def test_what_others_may_change_is_told_by_owner_group_and_mode(folder: Path) -> None:
    inner = folder / "middle" / "inner"
    inner.mkdir(parents=True)
    middle, user = inner.parent, stranger()
    owner = TaskUser(os.geteuid(), 1, (), "o", "/", "/bin/sh")
    assert user.can_change(inner) is None
    assert owner.can_change(inner) is not None
    for mode, group, found in (
        (0o775, stranger(), None),
        (0o775, stranger(os.getegid()), middle),
        (0o777, stranger(), middle),
        # As /tmp: it may add to it, and not take away what is others'.
        (0o1777, stranger(), None),
    ):
        middle.chmod(mode)
        assert group.can_change(inner) == found, oct(mode)
    # Last on the way it is what others add that counts.
    assert user.can_change(middle) == middle


def test_a_link_on_the_way_is_as_good_as_what_it_leads_to(folder: Path) -> None:
    (folder / "real" / "data").mkdir(parents=True)
    (folder / "link").symlink_to("real")
    (folder / "real").chmod(0o777)
    assert stranger().can_change(folder / "link" / "data") is not None
    (folder / "real").chmod(0o755)
    (folder / "open").mkdir()
    (folder / "open" / "link").symlink_to("../real/data")
    (folder / "open").chmod(0o777)
    assert stranger().can_change(folder / "open" / "link") == folder / "open"


def confine(user: TaskUser, data: Path) -> None:
    settings = TaskSettings(task_user=f"{user.uid}:{user.gid}", task_cgroups="off")
    settings.confinement(data, "m")


@pytest.mark.parametrize("where", [".", "..", "logs"])
def test_a_data_directory_that_tasks_could_replace_is_refused(folder: Path, where: str) -> None:
    """Else a link in the place of an output would be opened, and given to the task, by root."""
    data = folder / "home" / "node"
    (data / "logs").mkdir(parents=True)
    confine(stranger(), data)
    changed = (data / where).resolve()
    changed.chmod(0o777)
    with pytest.raises(
        ValueError, match=r"^task-user: .* may change .*, on the way to the data dir"
    ):
        confine(stranger(), data)


def test_a_program_that_tasks_could_replace_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent of root that runs in, or from, the user's own directory would import from there."""
    data, project = folder / "node", folder / "project"
    data.mkdir()
    project.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder / "none.zip"), str(project)])
    confine(stranger(), data)
    project.chmod(0o777)
    with pytest.raises(ValueError, match=rf"^task-user: .* may change {project}, .* imports from"):
        confine(stranger(), data)
    project.chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "bin").chmod(0o777)
    monkeypatch.setattr(
        task_settings, "_needed", lambda _: iter([("the interpreter in", folder / "bin")])
    )
    with pytest.raises(ValueError, match=r"^task-user: .* may change .*/bin, .* the interpreter"):
        confine(stranger(), data)
