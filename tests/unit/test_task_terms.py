"""On what terms attempts run: user, environment, secrets; what the agent refuses to start with."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from node_agent import task_settings as task_settings
from node_agent.config import AgentSettings
from node_agent.spawner.cgroups.places import Unavailable
from node_agent.task.environment import DEFAULT_ENVIRONMENT, patterns
from node_agent.task.secrets import MAX_SECRET, MAX_SECRETS, Reference, SecretError, Secrets
from node_agent.task.user import NoSuchUser, TaskUser, find_user, refuse_unable
from node_agent.task_settings import TaskSettings

# -- environment -------------------------------------------------------------------------------


def test_by_default_no_credential_of_the_agent_is_handed_on() -> None:
    environment = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "TZ": "UTC",
        "PYTHONPATH": "/x",
        "QUORATE_ETCD_PASSWORD_FILE": "/secret",
        "QUORATE_TOKEN": "q_secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HTTP_PROXY": "http://user:secret@proxy",
        "XLC_ALL": "secret",
    }
    kept = patterns(DEFAULT_ENVIRONMENT).select(environment)
    assert kept == {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC", "PYTHONPATH": "/x"}


def test_names_and_wildcards_choose() -> None:
    environment = {"A": "1", "AB": "2", "a": "3", "B1": "4"}
    assert patterns("*").select(environment) == environment
    assert patterns(" A , B?,").select(environment) == {"A": "1", "B1": "4"}
    assert patterns("").select(environment) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [("A B", "'A B'"), ("A=1", "'A=1'"), ("[ab]", "[ab]"), ("x" * 129, "128"), ("A," * 65, "64")],
)
@pytest.mark.parametrize("flag", ["task_env", "secret_env"])
def test_what_is_no_name_is_refused(flag: str, text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=flag) as caught:
        TaskSettings.model_validate({flag: text})
    assert said in str(caught.value)


# -- user --------------------------------------------------------------------------------------


def test_a_user_is_found_by_name_and_number() -> None:
    nobody = pwd.getpwnam("nobody")
    named = find_user("nobody")
    assert (named.uid, named.gid) == (nobody.pw_uid, nobody.pw_gid)
    assert nobody.pw_gid in named.groups
    assert find_user(str(nobody.pw_uid)) == named
    assert named.environment["USER"] == named.environment["LOGNAME"] == "nobody"
    assert named.environment["HOME"] == nobody.pw_dir
    with_group = find_user(f"{nobody.pw_uid}:4")
    assert (with_group.gid, with_group.groups, with_group.name) == (4, (4,), "nobody")
    stranger = find_user("3999999999")
    assert (stranger.uid, stranger.gid, stranger.groups) == (3999999999, 3999999999, (3999999999,))
    assert stranger.environment["HOME"] == "/"
    assert find_user("3999999999:7").gid == 7


@pytest.mark.parametrize("text", ["no-such-user", "4294967295", "0:4294967295", "1:2:3", "-1"])
def test_nobody_who_is_not_here_is_taken(text: str) -> None:
    with pytest.raises(NoSuchUser):
        find_user(text)
    with pytest.raises(ValidationError, match="task_user"):
        TaskSettings(task_user=text)


def test_an_agent_without_the_right_capabilities_refuses(tmp_path: Path) -> None:
    status = tmp_path / "status"
    user = find_user("nobody")
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    with pytest.raises(NoSuchUser, match=r"has to be root, with .*CAP_CHOWN.*CAP_SETUID"):
        refuse_unable(user, status)
    # Root of a container that lacks one.
    status.write_text("CapEff:\t00000000000000a3\n")
    with pytest.raises(NoSuchUser, match=r"capabilities CAP_SETGID as well"):
        refuse_unable(user, status)
    status.write_text("CapEff:\t00000000000000e3\n")
    refuse_unable(user, status)


def test_what_the_user_cannot_reach_is_named() -> None:
    # Not pytest's own folder, whose parents are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        mine = folder.stat()
        uid, gid = mine.st_uid + 1, mine.st_gid + 1
        closed = folder / "closed"
        inner = closed / "inner"
        inner.mkdir(parents=True)
        closed.chmod(0o770)
        assert TaskUser(uid, gid, (gid,), "s", "/", "/bin/sh").can_enter(inner) == closed
        assert TaskUser(uid, gid, (mine.st_gid,), "m", "/", "/bin/sh").can_enter(inner) is None
        closed.chmod(0o077)
        assert TaskUser(mine.st_uid, gid, (), "o", "/", "/bin/sh").can_enter(inner) == closed


def test_an_agent_that_cannot_do_what_its_flags_say_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NoSuchUser("has to be root")

    monkeypatch.setattr(task_settings, "refuse_unable", refuse)
    with pytest.raises(ValueError, match=r"^task-user: has to be root"):
        TaskSettings(task_user="3999999999", task_cgroups="off").confinement(tmp_path, "m")
    monkeypatch.setattr(task_settings, "refuse_unable", lambda _: None)
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match=r"^task-user: '3999999999' cannot enter .* on the way to"):
        TaskSettings(task_user="3999999999", task_cgroups="off").confinement(tmp_path / "data", "m")


def test_our_own_user_needs_no_right(tmp_path: Path) -> None:
    own = f"{os.geteuid()}:{os.getegid()}"
    settings = TaskSettings(task_user=own, task_cgroups="off")
    assert settings.confinement(tmp_path, "m").user is None


# -- cgroups -----------------------------------------------------------------------------------


def test_cgroups_that_are_not_there_are_done_without_or_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def none(_mark: str, pids: int) -> None:
        asked.append(pids)
        raise Unavailable("no cgroup v2 is mounted")

    monkeypatch.setattr(task_settings, "open_groups", none)
    assert TaskSettings(task_pids=7).confinement(tmp_path, "m").groups is None
    with pytest.raises(ValueError, match=r"^task-cgroups: cgroups are not available: no cgroup v2"):
        TaskSettings(task_cgroups="require").confinement(tmp_path, "m")
    assert TaskSettings(task_cgroups="off").confinement(tmp_path, "m").groups is None
    assert asked == [7, 4096]


@pytest.mark.parametrize(
    "wrong",
    [{"task_cgroups": "on"}, {"task_pids": -1}, {"task_pids": 4_194_305}, {"task_user": "u" * 65}],
)
def test_flags_have_bounds(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TaskSettings.model_validate(wrong)


# -- secrets -----------------------------------------------------------------------------------


def fault(secrets: Secrets, source: str, name: str) -> SecretError:
    with pytest.raises(SecretError) as caught:
        secrets.resolve({"A": Reference(source, name)})  # type: ignore[arg-type]
    assert name in str(caught.value)
    return caught.value


def test_files_are_read_anew_and_lose_one_newline(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "pw").write_bytes(b"one\n\n")
    wanted = {"A": Reference("file", "db/pw")}
    assert secrets.resolve(wanted) == {"A": "one\n"}
    (tmp_path / "db" / "pw").write_bytes(b"two \xff")
    assert os.fsencode(secrets.resolve(wanted)["A"]) == b"two \xff"


def test_links_within_the_directory_are_followed_and_no_others(tmp_path: Path) -> None:
    """As Kubernetes mounts secrets: db -> ..data/db, ..data -> ..2026_01/."""
    folder = tmp_path / "secrets"
    (folder / "..2026_01").mkdir(parents=True)
    (folder / "..2026_01" / "db").write_text("x")
    (folder / "..data").symlink_to("..2026_01")
    (folder / "db").symlink_to("..data/db")
    assert Secrets(folder).resolve({"A": Reference("file", "db")}) == {"A": "x"}
    (tmp_path / "outside").write_text("not yours")
    (tmp_path / "secrets2").mkdir()
    (tmp_path / "secrets2" / "f").write_text("not yours")
    (folder / "link").symlink_to("../outside")
    (folder / "up").symlink_to("..")
    for name in ("link", "up/outside", "../outside", "../secrets2/f", "/etc/passwd", ".", "..data"):
        assert fault(Secrets(folder), "file", name).type == "SECRET_NOT_FOUND"


def test_only_plain_files_of_bounded_size_are_secrets(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert fault(Secrets(tmp_path), "file", "pipe").type == "SECRET_NOT_FOUND"
    assert fault(Secrets(tmp_path), "file", "none").type == "SECRET_NOT_FOUND"
    assert fault(Secrets(), "file", "none").type == "SECRET_NOT_FOUND"
    (tmp_path / "long").write_bytes(b"x" * MAX_SECRET + b"\n")
    found = Secrets(tmp_path).resolve({"A": Reference("file", "long")})
    assert len(found["A"]) == MAX_SECRET
    (tmp_path / "longer").write_bytes(b"x" * (MAX_SECRET + 1))
    assert fault(Secrets(tmp_path), "file", "longer").type == "SECRET_NOT_USABLE"
    (tmp_path / "nul").write_bytes(b"a\0b")
    assert fault(Secrets(tmp_path), "file", "nul").type == "SECRET_NOT_USABLE"
    with pytest.raises(SecretError, match=str(MAX_SECRETS)):
        Secrets(tmp_path).resolve({n: Reference("file", "long") for n in ("A", "B")})


def test_only_allowed_variables_are_secrets() -> None:
    secrets = Secrets(None, patterns("DB_*"), {"DB_PW": "s3cret", "TOKEN": "no"})
    assert secrets.resolve({"A": Reference("env", "DB_PW")}) == {"A": "s3cret"}
    refused, absent = fault(secrets, "env", "TOKEN"), fault(secrets, "env", "DB_X")
    assert str(refused).replace("TOKEN", "DB_X") == str(absent), "tells what is there"
    assert {refused.type, absent.type} == {"SECRET_NOT_FOUND"}
    assert fault(Secrets(environment={"A": "b"}), "env", "A").type == "SECRET_NOT_FOUND"


def test_a_directory_of_secrets_has_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^secrets-dir: .*none is not a directory"):
        TaskSettings(secrets_dir=tmp_path / "none").secrets()
    # An empty variable is no directory, least of all the current one.
    assert TaskSettings.model_validate({"secrets_dir": ""}).secrets().directory is None
    settings = AgentSettings.model_validate({"secrets_dir": str(tmp_path)})
    assert settings.secrets().directory == tmp_path
