"""The browser of the dashboard's tests, of the pictures and of benchmarks.

One that is installed comes first: `CHROMIUM`, then PATH, then the cache of Playwright; and one that
has no windows before one that has: the same tests take it 40 % less CPU. Otherwise `provide` gets
one, by the first of these ways that works: as root on Debian the package is installed; on Debian it
is unpacked, with the libraries that are missing, into `.tools` of the checkout; elsewhere
Playwright downloads its own. In CI one without windows is installed also beside another one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from quorate.runtime.process.debian_packages import (
    PackagesUnavailable,
    Say,
    has_apt,
    install,
    unpack,
)
from tools.provision import driver, place
from tools.provision.place import Missing

T = TypeVar("T")

_VARIABLE = "CHROMIUM"
_SHELL = "chromium-headless-shell"
_SHELLS = (_SHELL, "chrome-headless-shell")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PACKAGE = "chromium"
# Seconds. Playwright's download is about 170 MB.
_DOWNLOAD_TIMEOUT = 1_800
HOW = (
    "`make setup` fetches one, or install it (Debian: `apt-get install chromium`), "
    f"or set {_VARIABLE} to one"
)
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">{root}/etc/fonts/fonts.conf</include>
  <include ignore_missing="yes">{root}/etc/fonts/conf.d</include>
  <include ignore_missing="yes">{available}/10-hinting-slight.conf</include>
  <dir>{root}/usr/share/fonts</dir>
  <cachedir>{root}/fontcache</cachedir>
</fontconfig>
"""


def find() -> str:
    """The browser's program. Raises Missing. Fetches nothing.

    A program that `CHROMIUM` names but that does not run is an error; no other is tried.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        found = shutil.which(named)
        if found and _runs(found):
            return found
        raise Missing(f"{_VARIABLE}={named} is not a program that runs: {HOW}")
    for candidate in _candidates():
        if _runs(candidate):
            return candidate
    raise Missing(f"no Chromium was found: {HOW}")


def provide(say: Say) -> str:
    """The browser's program, fetched when there is none. Raises Missing."""
    found = None
    try:
        found = find()
    except Missing:
        if os.environ.get(_VARIABLE):
            raise
    if found:
        named = bool(os.environ.get(_VARIABLE))
        if os.environ.get("CI") and not named and Path(found).name not in _SHELLS:
            with contextlib.suppress(PackagesUnavailable):
                install([_SHELL], lambda line: say(f"chromium: {line}"))
        return find()
    reasons = []
    for possible, attempt in (
        (has_apt() and os.geteuid() == 0, _install),
        (has_apt(), _unpack),
        (True, _download),
    ):
        if not possible:
            continue
        try:
            attempt(lambda line: say(f"chromium: {line}"))
            program = find()
            if _opens_a_page(program):
                return program
            reasons.append(f"{program} opens no page")
        except PackagesUnavailable as error:
            reasons.append(str(error))
        except Missing:
            reasons.append(f"the browser of {attempt.__name__[1:]} does not run")
    why = "; ".join(dict.fromkeys(reasons))
    raise Missing(f"no Chromium was found or fetched ({why}): {HOW}")


def _candidates() -> Iterator[str]:
    own = Path("~/.cache/ms-playwright").expanduser()
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or own)
    for names, cached in (
        (_SHELLS, "chromium_headless_shell-*/chrome-headless-shell-linux*/chrome-headless-shell"),
        (_NAMES, "chromium-*/chrome-linux*/chrome"),
    ):
        yield from filter(None, map(shutil.which, names))
        yield from map(str, sorted(cache.glob(cached), reverse=True))
    if unpacked := place.find(_PACKAGE):
        yield unpacked


def _runs(program: str) -> bool:
    # Ubuntu has a `chromium-browser` that only says where to get one.
    said = place.output_of([program, "--version"])
    return said is not None and any(name in said for name in ("Chromium", "Chrome"))


def _opens_a_page(program: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="quorate-chromium-") as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        return "<html" in (place.output_of([program, *options, "--dump-dom", "about:blank"]) or "")


def _install(say: Say) -> None:
    _first(lambda package: install([package], say))


def _first(get: Callable[[str], T]) -> tuple[str, T]:
    """The package that can be had: its name, which its program below usr/lib/chromium has too.

    Raises PackagesUnavailable.
    """
    try:
        return _SHELL, get(_SHELL)
    except PackagesUnavailable:
        # Ubuntu has no package of that name.
        return _PACKAGE, get(_PACKAGE)


def _unpack(say: Say) -> None:
    folder = place.TOOLS / _PACKAGE
    program, root = _first(lambda package: unpack([package], folder, say, with_dependencies=True))
    fonts = place.TOOLS / _PACKAGE / "fonts.conf"
    fonts.write_text(_FONTS.format(root=root, available=root / "usr/share/fontconfig/conf.avail"))
    environment = {
        "LD_LIBRARY_PATH": place.library_folders(root),
        "FONTCONFIG_FILE": str(fonts),
    }
    # Not its usr/bin/chromium, a script that looks for the program below /usr.
    place.write_starter(_PACKAGE, [str(root / "usr/lib/chromium" / program)], environment)


def _download(say: Say) -> None:
    try:
        driver.make_it_run()
    except Missing as error:
        raise PackagesUnavailable(f"playwright: {error}") from error
    say("Playwright downloads its own, about 170 MB")
    # Root gets the libraries, too.
    libraries = ["--with-deps"] if has_apt() and os.geteuid() == 0 else []
    command = [sys.executable, "-m", "playwright", "install", *libraries, _PACKAGE]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackagesUnavailable(f"playwright install: {error}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line or "failed" in line] or lines[-1:]
        raise PackagesUnavailable(f"playwright install: {' '.join(errors[:1])[:300]}")
