"""Which message queues and exchanges a caller may name that is bound to names.

The patterns are those for queues and services; one for another virtual host than "/" is
`HOST/NAME`: see `Caller.may_name_in`. Names that nobody can guess are for whoever knows them, as
ids of tasks are: those that the cluster makes (`amq.gen-`), and addresses of direct replies.
"""

from __future__ import annotations

from typing import Final

import grpc

from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller

# 128 random bits follow.
SECRETS: Final = ("amq.gen-", "amq.rabbitmq.reply-to")


def shows(caller: Caller | None, virtual_host: str, name: str) -> bool:
    """Whether a list shows it to the caller. None: authentication is off."""
    return caller is None or caller.may_name_in(virtual_host, name)


def check_message_queue(caller: Caller, field: str, virtual_host: str, name: str) -> None:
    """Raises PERMISSION_DENIED: the caller may not name it."""
    if not (name.startswith(SECRETS) or caller.may_name_in(virtual_host, name)):
        raise _foreign("MESSAGE_QUEUE", caller, field)


def check_exchange(caller: Caller, field: str, virtual_host: str, name: str) -> None:
    """Raises PERMISSION_DENIED: the caller may not name it."""
    if not caller.may_name_in(virtual_host, name):
        raise _foreign("EXCHANGE", caller, field)


def _foreign(kind: str, caller: Caller, field: str) -> QuorateError:
    return QuorateError(
        grpc.StatusCode.PERMISSION_DENIED,
        f"FOREIGN_{kind}",
        f"{field}: this caller is bound to {', '.join(caller.patterns)}",
        field=field,
        metadata={"caller": str(caller)},
    )
