"""The unprivileged user that attempts run as, when the agent is root.

Looked up once, at the start. What a task may then do is what that user may do on the machine;
attempts of one agent are not protected from each other, as they share the user.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NUMBERS = re.compile(r"(\d{1,10})(?::(\d{1,10}))?")
# (uid_t) -1 means "leave it" to setresuid(2).
_GREATEST_ID = 2**32 - 2
# What it takes to become another user, to give it files and read them, and to end what it runs:
# their bits, see capabilities(7). A container's root may lack some.
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
}


class NoSuchUser(ValueError):
    """What `--task-user` says names nobody here, or may not be used."""


@dataclass(frozen=True, slots=True)
class TaskUser:
    """Numbers for the kernel, and what a login of the user would have in its environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    shell: str

    @property
    def environment(self) -> Mapping[str, str]:
        """HOME, USER, LOGNAME and SHELL."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}

    def can_enter(self, directory: Path) -> Path | None:
        """None, or the first directory on the way to this one that it may not enter.

        By mode bits: an access control list may say otherwise.
        """
        for folder in (*reversed(directory.parents), directory):
            status = folder.stat()
            if self.uid == status.st_uid:
                needed = stat.S_IXUSR
            elif status.st_gid in (self.gid, *self.groups):
                needed = stat.S_IXGRP
            else:
                needed = stat.S_IXOTH
            if not status.st_mode & needed:
                return folder
        return None

    def can_change(self, directory: Path) -> Path | None:
        """None, or the first directory that lets it put something else in this one's place.

        This one counts too: whatever is in it may be added to or replaced. By owners and mode bits,
        as in `can_enter`; with links on the way, and where they lead to.
        """
        for path in dict.fromkeys((Path(os.path.abspath(directory)), directory.resolve())):
            for folder in (*reversed(path.parents), path):
                status = folder.stat()
                mode = status.st_mode
                if folder != path and mode & stat.S_ISVTX and status.st_uid != self.uid:
                    continue  # as /tmp: what is in it is its owners', and looked at next
                writable = mode & stat.S_IWOTH or (
                    mode & stat.S_IWGRP and status.st_gid in (self.gid, *self.groups)
                )
                if writable or status.st_uid == self.uid:
                    return folder
        return None


def find_user(text: str) -> TaskUser:
    """The user of NAME, UID or UID:GID. Raises NoSuchUser.

    A UID need not have an account: without GID its group has the same number, and its home is /.
    """
    numbers = _NUMBERS.fullmatch(text)
    if numbers is None:
        try:
            return _of_account(pwd.getpwnam(text), None)
        except KeyError:
            raise NoSuchUser(f"no user {text!r} on this machine") from None
    uid = int(numbers[1])
    gid = int(numbers[2]) if numbers[2] else None
    if max(uid, gid or 0) > _GREATEST_ID:
        raise NoSuchUser(f"{text}: ids are at most {_GREATEST_ID}")
    try:
        return _of_account(pwd.getpwuid(uid), gid)
    except KeyError:
        gid = uid if gid is None else gid
        return TaskUser(uid, gid, (gid,), str(uid), "/", "/bin/sh")


def refuse_unable(user: TaskUser, status: Path = Path("/proc/self/status")) -> None:
    """Raise NoSuchUser when this process cannot run tasks as that user."""
    held = 0
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    missing = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    if missing:
        raise NoSuchUser(
            f"to run tasks as {user.name!r} the agent has to be root, with the capabilities "
            f"{', '.join(missing)} as well (it is uid {os.geteuid()})"
        )


def _of_account(account: pwd.struct_passwd, gid: int | None) -> TaskUser:
    primary = account.pw_gid if gid is None else gid
    # As initgroups(3) does; only for the account's own group, which is what a login would have.
    groups: tuple[int, ...] = (primary,)
    if gid is None:
        groups = tuple(os.getgrouplist(account.pw_name, primary))
    return TaskUser(
        account.pw_uid,
        primary,
        groups,
        account.pw_name,
        account.pw_dir or "/",
        account.pw_shell or "/bin/sh",
    )
