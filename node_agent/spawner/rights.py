"""What the spawner itself may do, and what it passes on. Standard library only."""

from __future__ import annotations

import ctypes

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def give_up(*, privileges: bool, other_user: bool) -> None:
    """What all processes that are started from now on do without.

    Args:
        privileges: none of them gains rights from a program's file.
        other_user: they get another user. An agent that is not root may have its rights as ambient
            capabilities, which would outlast that. We keep ours: they only pass to programs no
            more.
    """
    if other_user:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if privileges:
        # Inherited, and for ever: it costs the start of a process nothing.
        prctl(PR_SET_NO_NEW_PRIVS, 1)


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")
