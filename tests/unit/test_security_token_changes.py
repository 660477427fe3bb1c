"""The tokens file when several change it at once, the disk is full, or the power goes."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quorate.security.credentials import file_changes, tokens
from quorate.security.credentials.tokens import TokenFile, TokenFileError
from quorate.security.identity import Role

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def make(path: Path, name: str) -> str:
    return tokens.create(path, name, Role.SUBMITTER, now=NOW, lasts=None)


class Racing:
    """Changes the file from another thread just before the first `os.replace` or `os.write` here.

    That one goes on when the other is done, or was turned away by the lock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: str, change: Callable[[], object]):
        go_on = threading.Event()
        do, flock = getattr(os, step), fcntl.flock
        me = threading.current_thread()

        def run() -> None:
            change()
            go_on.set()

        def turned_away(file: int, how: int) -> None:
            try:
                flock(file, how)
            except BlockingIOError:
                go_on.set()
                raise

        def late(*arguments: object) -> object:
            if threading.current_thread() is me and self.other.ident is None:
                self.other.start()
                assert go_on.wait(20)
            return do(*arguments)

        self.other = threading.Thread(target=run)
        monkeypatch.setattr(fcntl, "flock", turned_away)
        monkeypatch.setattr(os, step, late)


def names(path: Path) -> list[str]:
    return [one.caller.name for one in tokens.read(path).values()]


def test_a_token_made_while_another_is_taken_out_is_not_lost(path, monkeypatch):
    make(path, "a")
    made: list[str] = []
    racing = Racing(monkeypatch, "replace", lambda: made.append(make(path, "b")))
    assert tokens.revoke(path, "a") == 1
    racing.other.join(20)
    assert names(path) == ["b"]
    assert TokenFile(path).find(made[0]) is not None


def test_a_token_taken_out_while_another_is_made_is_not_back(path, monkeypatch):
    make(path, "a")
    racing = Racing(monkeypatch, "write", lambda: tokens.revoke(path, "a"))
    make(path, "b")
    racing.other.join(20)
    assert names(path) == ["b"]


def test_two_who_take_out_tokens_at_once_take_out_both(path, monkeypatch):
    for name in "abc":
        make(path, name)
    racing = Racing(monkeypatch, "replace", lambda: tokens.revoke(path, "b"))
    assert tokens.revoke(path, "a") == 1
    racing.other.join(20)
    assert names(path) == ["c"]


def test_who_waits_for_the_file_says_so_in_the_end(path, monkeypatch):
    make(path, "a")
    monkeypatch.setattr(file_changes, "_PATIENCE", 0.0)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TokenFileError, match="another process is changing it"):
            make(path, "b")
        with pytest.raises(TokenFileError, match="another process is changing it"):
            tokens.revoke(path, "a")
    assert names(path) == ["a"]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done for the disk's sake: the name of what was synced, and `replace`."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted(file: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    def replaced(*arguments: str) -> None:
        done.append("replace")
        replace(*arguments)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", replaced)
    return done


def test_a_change_is_on_disk_when_it_is_said(path: Path, synced: list[str]):
    make(path, "a")
    assert synced == [str(path), str(path.parent)]
    synced.clear()
    make(path, "b")
    assert synced == [str(path)]
    synced.clear()
    tokens.revoke(path, "a")
    assert synced[0].startswith(f"{path.parent}/.{path.name}.")
    assert synced[1:] == ["replace", str(path.parent)]


def test_a_change_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch):
    make(path, "a")
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TokenFileError, match="No space left"):
        make(path, "b")
    with pytest.raises(TokenFileError, match="No space left"):
        tokens.revoke(path, "a")
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_half_a_line_is_taken_back(path: Path, monkeypatch):
    make(path, "a")
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(TokenFileError, match="No space left"):
        make(path, "b")
    assert path.read_bytes() == before


def test_the_file_keeps_its_mode_and_its_owner_and_a_link_to_it_stays(path: Path, monkeypatch):
    make(path, "a")
    make(path, "b")
    os.chmod(path, 0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda file, user, group: told.append((user, group)))
    stat = os.stat

    def of_a_service(where: Any, **more: Any) -> os.stat_result:
        found = stat(where, **more)
        return os.stat_result((*found[:4], 4_000, 4_001, *found[6:]))

    monkeypatch.setattr(os, "stat", of_a_service)
    tokens.revoke(link, "a")
    monkeypatch.undo()
    assert told == [(4_000, 4_001)]
    assert link.is_symlink()
    assert names(path) == ["b"]
    assert path.stat().st_mode & 0o777 == 0o640
