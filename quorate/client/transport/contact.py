"""What it means that no scheduler was ever reached: a wrong address, most often.

A failover refuses connections too, for milliseconds, and a cluster that starts does for seconds. So
a refusal is retried; but while no address has ever answered, not for as long as a failover
deserves (`connect_for`, not `retry_for`). What answers and is no scheduler never becomes one.
"""

from __future__ import annotations

import grpc

from quorate.runtime.errors import QuorateError

# Seconds. For a program; the command line, in front of which a person waits, is less patient.
DEFAULT_CONNECT_FOR = 10.0

_REFUSED = ("Connection refused", "No route to host", "Network is unreachable")
# Of connections alone: a scheduler that ends during a call is no such.
_NO_CONNECTION = ("failed to connect to all addresses",)
_NO_ANSWER = ("Socket closed", "Connection reset", "before receiving SETTINGS")
_UNKNOWN_NAME = ("errors resolving", "DNS resolution failed", "address lookup failed")
_WEB_SERVER = ("http1.x server", "Expected SETTINGS frame")
_OTHER_SERVICE = ("unknown service quorate.", "Received http2 header with status")
# What gRPC says of a server that cannot prove itself, and of one that speaks no TLS.
_NO_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")


def is_refused(error: BaseException | None) -> bool:
    """Whether no connection comes about: nothing listens there, nobody knows the name, ..."""
    return _says(error, _REFUSED + _UNKNOWN_NAME + _NO_CONNECTION)


def is_hopeless(error: BaseException | None) -> bool:
    """Whether repeating the call is in vain: the other side is no scheduler, or not trusted."""
    return _says(error, _NO_TLS + _WEB_SERVER)


def explained(error: QuorateError, address: str) -> QuorateError:
    """The same error, with a sentence that says so where `address` is no scheduler."""
    if _says(error, _WEB_SERVER):
        text = (
            f"{address} speaks no gRPC: it is a web server, such as the gateway; the address of a "
            'scheduler is what "quorate status" lists'
        )
        return QuorateError(error.code, "NOT_A_SCHEDULER", text)
    if error.code is grpc.StatusCode.UNIMPLEMENTED and _says(error, _OTHER_SERVICE):
        text = f"{address} is not a scheduler: it has no service quorate.v1.Scheduler"
        return QuorateError(error.code, "NOT_A_SCHEDULER", text)
    if error.code is grpc.StatusCode.UNIMPLEMENTED and _says(error, ("Method not found",)):
        text = (
            f"{address} does not have this call: it is a scheduler of an earlier version, or "
            "another gRPC server such as a node agent"
        )
        return QuorateError(error.code, error.reason, text)
    if _says(error, _UNKNOWN_NAME):
        host = address.rpartition(":")[0]
        text = f'the host name "{host}" of scheduler {address} is not known'
        return QuorateError(error.code, error.reason, text)
    for reason in _REFUSED:
        if reason in str(error):
            text = f"{address} cannot be reached: {reason.lower()}"
            return QuorateError(error.code, error.reason, text)
    if _says(error, _NO_CONNECTION) and _says(error, _NO_ANSWER):
        text = (
            f"{address} accepts connections but does not answer as a scheduler: it is "
            "another server, or needs TLS"
        )
        return QuorateError(error.code, error.reason, text)
    return error


def _says(error: BaseException | None, words: tuple[str, ...]) -> bool:
    text = str(error)
    return any(word in text for word in words)
