"""API tokens: made, found, taken out, and files that cannot be used."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from quorate.cli.app import run
from quorate.security.credentials import tokens
from quorate.security.credentials.tokens import LOOK, TokenFile, TokenFileError
from quorate.security.identity import How, Role

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def make(path: Path, name: str = "mailer", *queues: str) -> str:
    return tokens.create(
        path, name, Role.SUBMITTER, queues or ["mail*"], now=NOW, lasts=dt.timedelta(days=1)
    )


def test_a_token_is_its_owners_and_only_its_hash_is_kept(path: Path):
    token = make(path)
    found = TokenFile(path).find(token)
    assert found is not None
    assert (str(found), found.how, found.patterns) == ("submitter:mailer", How.TOKEN, ("mail*",))
    assert found.expires == (NOW + dt.timedelta(days=1)).timestamp()
    # The secret may have underscores of its own.
    assert token.split("_", 2)[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_whoever_knows_the_id_or_the_hash_has_no_token(path: Path):
    token = make(path)
    file = TokenFile(path)
    entry = json.loads(path.read_text())
    assert file.find(f"qrt_{entry['id']}_{'A' * 43}") is None
    assert file.find(entry["sha256"]) is None
    assert file.find(token[:-1]) is None
    assert file.find(token + "A") is None
    assert file.find("") is None


def test_a_new_token_is_good_at_once_and_a_revoked_one_is_refused_after_a_second(path: Path):
    first, clock = make(path), Clock()
    file = TokenFile(path, monotonic=clock)
    second = make(path, "other")
    assert file.find(second) is not None
    assert tokens.revoke(path, "mailer") == 1
    assert file.find(first) is not None
    clock.now += LOOK
    assert file.find(first) is None
    assert file.find(second) is not None


def test_a_file_that_cannot_be_used_leaves_the_former_tokens(path: Path):
    token, clock = make(path), Clock()
    file = TokenFile(path, monotonic=clock)
    path.write_text("not json\n")
    clock.now += LOOK
    assert file.find(token) is not None
    assert file.generation == 0


def test_without_the_file_no_token_is_known_until_it_is_back(path: Path):
    token, clock = make(path), Clock()
    file = TokenFile(path, monotonic=clock)
    away = path.rename(path.with_name("away"))
    assert file.find(token) is not None
    clock.now += LOOK
    assert file.find(token) is None
    # Open streams end.
    assert file.generation == 1
    assert file.caller(tokens.id_of(token)) is None
    away.rename(path)
    assert file.find(token) is not None


def test_without_the_folder_no_token_is_known(path: Path):
    folder, clock = path.parent / "mounted", Clock()
    folder.mkdir()
    token = make(folder / "tokens")
    file = TokenFile(folder / "tokens", monotonic=clock)
    # First it cannot be used, and is kept; that it is gone is told apart from that.
    (folder / "tokens").write_text("not json\n")
    clock.now += LOOK
    assert file.find(token) is not None
    folder.rename(path)
    folder.touch()
    clock.now += LOOK
    assert file.find(token) is None


def test_comments_stay_when_a_token_is_taken_out(path: Path):
    path.write_text("# ours\n\n")
    make(path, "a")
    make(path, "b")
    assert tokens.revoke(path, "a") == 1
    assert path.read_text().startswith("# ours\n\n{")
    assert [one.caller.name for one in tokens.read(path).values()] == ["b"]
    assert tokens.revoke(path, "nobody") == 0


def test_a_last_line_without_its_end_is_not_continued(path: Path):
    make(path, "a")
    path.write_text(path.read_text().rstrip("\n"))
    make(path, "b")
    assert len(tokens.read(path)) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"role": "king"}, "role: 'king'"),
        ({"role": "scheduler"}, "role: 'scheduler'"),
        ({"id": "x"}, "id: "),
        ({"sha256": "00"}, "sha256: "),
        ({"queues": []}, "queues: "),
        ({"queues": ["[a]"]}, "queues: '\\[a\\]'"),
        ({"queues": ["a" * 65]}, "queues: "),
        ({"queues": ["*"] * 17}, "1 to 16 patterns"),
        ({"name": "a b"}, "name: 'a b'"),
        ({"expires": "tomorrow"}, "expires: 'tomorrow'"),
        ({"expires": "2026-01-01T00:00:00"}, "names no time zone"),
    ],
)
def test_a_line_that_is_wrong_is_named(path: Path, change: dict[str, object], words: str):
    make(path)
    path.write_text("\n" + json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TokenFileError, match=f"line 2: .*{words}"):
        TokenFile(path)


def test_other_files_that_cannot_be_used(path: Path):
    with pytest.raises(TokenFileError, match="cannot read"):
        TokenFile(path)
    path.write_bytes(b"\xff")
    with pytest.raises(TokenFileError, match="not UTF-8"):
        TokenFile(path)
    make(path.with_name("t"))
    line = path.with_name("t").read_text()
    path.write_text(line + line)
    with pytest.raises(TokenFileError, match="occurs twice"):
        TokenFile(path)
    path.write_text("[" * 100_000)
    with pytest.raises(TokenFileError, match="line 1"):
        TokenFile(path)


def test_processes_of_the_cluster_get_no_token(path: Path):
    for role in (Role.NODE, Role.SCHEDULER):
        with pytest.raises(ValueError, match="authenticates by a certificate"):
            tokens.create(path, "x", role, now=NOW, lasts=None)
    assert not path.exists()


# -- the command


def quorate(*arguments: object) -> int:
    return run(["tokens", *map(str, arguments)])


def test_the_command_prints_a_token_once(path: Path, capsys: pytest.CaptureFixture[str]):
    made = ("create", "--file", path, "--role", "submitter", "--queue", "mail*", "--name", "m")
    assert quorate(*made) == 0
    said = capsys.readouterr()
    token = said.out.strip()
    assert TokenFile(path).find(token) is not None
    assert "only time" in said.err
    assert quorate("list", "--file", path) == 0
    listed = capsys.readouterr().out
    assert "submitter:m" in listed
    assert token not in listed
    assert quorate("revoke", "--file", path, "m") == 0
    assert TokenFile(path).find(token) is None
    assert quorate("revoke", "--file", path, "m") != 0


def test_the_command_refuses_in_a_sentence(path: Path, capsys: pytest.CaptureFixture[str]):
    create = ("create", "--file", path, "--name", "m", "--role")
    for arguments, words in (
        ((*create, "king"), "role: 'king' is not one of admin"),
        ((*create, "node"), "role: 'node' is not one of admin"),
        ((*create, "viewer", "--days", "4000"), "days: must be 0 to 3650"),
        ((*create, "viewer", "--queue", "a b"), "queues: 'a b' is not a pattern"),
        (("list", "--file", path), "cannot read"),
    ):
        assert quorate(*arguments) != 0
        assert words in capsys.readouterr().err
    assert quorate(*create, "viewer", "--days", 0) == 0
    assert json.loads(path.read_text())["expires"] is None
