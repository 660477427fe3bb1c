"""Who may use a local cluster that asks: `tokens` and `admin-token` below the data dir.

`tokens` has the hashes that schedulers read, `admin-token` the one token that is made here: an
admin's, readable by its owner only, which commands and the SDK on this machine find through
`cluster.json`. It is made at the first start and kept for the next ones, so that who signed in to
the dashboard stays so; one that was revoked, or whose file is gone, is made anew.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

from quorate.client.transport.discovery import ADMIN_TOKEN_FILE, TOKENS_FILE
from quorate.runtime.errors import precondition
from quorate.security.credentials import tokens
from quorate.security.identity import Role

_NAME = "local"
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the files are."""

    folder: Path

    @property
    def tokens_file(self) -> Path:
        """What schedulers have as `--auth-tokens-file`."""
        return self.folder / TOKENS_FILE

    @property
    def admin_token_file(self) -> Path:
        """The token of whoever uses the cluster from this machine."""
        return self.folder / ADMIN_TOKEN_FILE

    def prepare(self, now: dt.datetime) -> None:
        """Have an admin's token that the tokens file knows; the data dir becomes its owner's alone.

        Raises QuorateError when one of the files cannot be used.
        """
        try:
            # Also for what is beside them: payloads, results and logs.
            os.chmod(self.folder, 0o700)
            if self._is_good(now):
                os.chmod(self.admin_token_file, 0o600)
                return
            if self.tokens_file.exists():
                tokens.revoke(self.tokens_file, _NAME)
            token = tokens.create(self.tokens_file, _NAME, Role.ADMIN, now=now, lasts=None)
            _write(self.admin_token_file, token)
        except tokens.TokenFileError as failure:
            raise precondition("TOKENS_FILE_UNUSABLE", str(failure)) from failure
        except OSError as error:
            raise precondition(
                "TOKENS_FILE_UNUSABLE",
                f"{self.admin_token_file} cannot be used: {error.strerror}",
            ) from error

    def _is_good(self, now: dt.datetime) -> bool:
        if not (self.tokens_file.exists() and self.admin_token_file.exists()):
            return False
        with self.admin_token_file.open(errors="replace") as file:
            token = file.read(_MOST).strip()
        caller = tokens.TokenFile(self.tokens_file).find(token)
        return (
            caller is not None
            and caller.role is Role.ADMIN
            and not caller.bound
            and caller.expires > now.timestamp()
        )


def _write(path: Path, token: str) -> None:
    """Beside and moved over, with its mode from the first moment."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{token}\n")
    scratch.replace(path)
