"""`make image` without building one: where the base comes from, and what buildah is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.image import base, buildah
from tools.image.base import NoMirror

NEW = """\
Types: deb
# http://snapshot.example/debian/20250520T000000Z
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://archive.example/security
Suites: bookworm-security
"""
OTHER = """\
deb https://tools.example/apt tools-bookworm main
# deb http://off.example/debian bookworm main
deb-src http://source.example/debian bookworm main
"""
OLD = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://archive.example/old bookworm main\n"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ((NEW,), "http://archive.example/debian"),
        ((OTHER, NEW), "http://archive.example/debian"),
        ((OTHER, OLD), "http://archive.example/old"),
    ],
)
def test_the_archive_is_the_one_of_apt(tmp_path: Path, texts: tuple[str, ...], found: str) -> None:
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert base.mirror([tmp_path / "none", *files]) == found


def test_without_an_archive_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(OTHER)
    with pytest.raises(NoMirror, match="--mirror"):
        base.mirror([tmp_path / "list"])


def test_an_image_is_built_in_a_chroot_with_what_pip_and_npm_need() -> None:
    words = buildah.build_words(
        Path("/src"), "quorate:1", {"PYTHON": "base", "EXTRAS": "[s3]"}, {Path("/a"): "/b"}
    )
    assert words == (
        *("bud", "--quiet", "--isolation", "chroot", "--network", "host"),
        *("--build-arg=PYTHON=base", "--build-arg=EXTRAS=[s3]", "--volume=/a:/b:ro"),
        *("--tag", "quorate:1", "/src"),
    )


def test_a_command_runs_as_the_images_user() -> None:
    words = buildah.run_words("c", ("python", "-V"), {Path("/a"): "/b"}, {"X": "1"})
    assert words == (
        *("run", "--isolation", "chroot", "--network", "host", "--volume=/a:/b:ro", "--env=X=1"),
        *("--workingdir", "/tmp", "c", "--", "python", "-V"),
    )
    assert not any(word.startswith("--user") for word in words)


@pytest.mark.parametrize(
    ("text", "size"), [("312 MB", 312_000_000), ("1.02 GB", 1_020_000_000), ("9 KB", 9_000)]
)
def test_sizes_as_buildah_says_them(text: str, size: int) -> None:
    assert buildah._bytes(text) == size
