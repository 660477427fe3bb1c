"""The settings that say what attempts may do on this node, and the terms they come to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, Field, field_validator

from node_agent.executors.confinement import Confinement
from node_agent.spawner.cgroups.places import TaskGroups, Unavailable, open_groups
from node_agent.task.environment import DEFAULT_ENVIRONMENT, patterns
from node_agent.task.secrets import Secrets
from node_agent.task.user import NoSuchUser, TaskUser, find_user, refuse_unable

_log = structlog.get_logger("node_agent.tasks")


class TaskSettings(BaseModel):
    """Mixed into the agent's settings."""

    task_user: str = Field(
        default="",
        max_length=64,
        description="user that tasks run as: NAME, UID or UID:GID; the agent must run as "
        "root. Empty: the agent's own user",
    )
    task_new_privileges: bool = Field(
        default=False,
        description="let tasks gain privileges by set-user-ID programs such as sudo and ping",
    )
    task_cgroups: Literal["auto", "off", "require"] = Field(
        default="auto",
        description="cgroup (v2) with limits for each task: where the agent may create "
        "cgroups (auto), never (off), or required to start (require)",
    )
    task_pids: int = Field(
        default=4096,
        ge=0,
        le=4_194_304,
        description="maximum processes and threads of a task, where there are cgroups; 0: no limit",
    )
    task_env: str = Field(
        default=DEFAULT_ENVIRONMENT,
        max_length=8192,
        description="variables of the agent's environment that tasks see; * and ? are wildcards",
    )
    secrets_dir: Path | None = Field(
        default=None, description="directory of files that tasks may have as secrets (file:NAME)"
    )
    secret_env: str = Field(
        default="",
        max_length=8192,
        description="variables of the agent's environment that tasks may have as secrets "
        "(env:NAME); * and ? are wildcards",
    )

    @field_validator("task_env", "secret_env")
    @classmethod
    def _patterns(cls, value: str) -> str:
        patterns(value)
        return value

    @field_validator("task_user")
    @classmethod
    def _task_user(cls, value: str) -> str:
        if value:
            try:
                find_user(value)
            except NoSuchUser as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("secrets_dir", mode="before")
    @classmethod
    def _no_secrets_dir(cls, value: object) -> object:
        # An empty variable would mean the directory that the agent was started in.
        return value or None

    def secrets(self) -> Secrets:
        """What tasks may ask for. Raises ValueError with a sentence that begins with the flag."""
        directory = self.secrets_dir.absolute() if self.secrets_dir is not None else None
        if directory is not None and not directory.is_dir():
            raise ValueError(f"secrets-dir: {directory} is not a directory")
        return Secrets(directory, patterns(self.secret_env))

    def confinement(self, data: Path, mark: str) -> Confinement:
        """The terms of all attempts. Raises ValueError with a sentence that begins with the flag.

        Takes over the agent's cgroup where there are cgroups.

        Args:
            data: the agent's data directory.
            mark: the agent's.
        """
        user = self._user(data)
        groups: TaskGroups | None = None
        if self.task_cgroups != "off":
            try:
                groups = open_groups(mark, self.task_pids)
            except Unavailable as why:
                if self.task_cgroups == "require":
                    raise ValueError(f"task-cgroups: cgroups are not available: {why}") from None
                _log.info("task_cgroups_unavailable", why=str(why))
            else:
                _log.info("task_cgroups", parent=groups.parent, limits=sorted(groups.controllers))
        return Confinement(
            user,
            groups,
            self.task_new_privileges,
            patterns(self.task_env).select(os.environ),
        )

    def _user(self, data: Path) -> TaskUser | None:
        user = find_user(self.task_user) if self.task_user else None
        if user is None or (user.uid, user.gid) == (os.geteuid(), os.getegid()):
            if os.geteuid() == 0:
                _log.warning("tasks_run_as_root", advice="set --task-user")
            return None
        try:
            refuse_unable(user)
        except NoSuchUser as error:
            raise ValueError(f"task-user: {error}") from None
        for what, place in _needed(data):
            closed = user.can_enter(place)
            # Below the data directory the agent sees to it itself.
            if closed is not None and closed != data:
                raise ValueError(
                    f"task-user: {user.name!r} cannot enter {closed}, on the way to {what} {place}"
                )
        for what, place in (*_needed(data), *_trusted(data)):
            # By a link in the place of an output, or a module in the place of the agent's.
            if (theirs := user.can_change(place)) is not None:
                raise ValueError(
                    f"task-user: {user.name!r} may change {theirs}, on the way to {what} {place}: "
                    "a task could make itself root"
                )
        return user


def _needed(data: Path) -> Iterator[tuple[str, Path]]:
    """What a task's user has to reach."""
    yield "the data directory", data
    interpreter = Path(sys.executable)
    yield "the interpreter in", interpreter.parent
    yield "the interpreter in", interpreter.resolve().parent
    yield "this program in", Path(__file__).resolve().parents[1]


def _trusted(data: Path) -> Iterator[tuple[str, Path]]:
    """What we write to, or run, as root beside that."""
    yield "the data directory", data
    if (logs := data / "logs").is_dir():
        yield "the data directory's", logs
    for name in sys.path:
        if os.path.isdir(name or "."):
            yield "what the agent imports from,", Path(name or ".")


__all__ = ["TaskSettings"]
