"""Large arguments and results of calls: read from the blob store, and put there.

What reads and writes a store is imported when the first value is met. Both happen as the task's
user, with the credentials that tasks have (`--task-env`). Nothing is held twice: arguments are
verified in a file and unpickled from there, results are sent from the bytes that they were made to.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from node_agent.protocol import answers
from node_agent.protocol.answers import BLOB_KINDS, Answer
from node_agent.worker.calls import Problem
from quorate.blobs.names import blob_of

if TYPE_CHECKING:
    from quorate.blobs.store import BlobError, BlobStore


class LargeValues:
    """Of one worker process.

    Args:
        url: of the blob store.
        most: bytes of one value.
        inline: bytes of a result that needs no store.
    """

    def __init__(self, url: str, most: int, inline: int = 0) -> None:
        self._inline = inline
        self._url = url
        self._most = most
        self._store: BlobStore | None = None

    def open(self, kind: str, text: str | bytes) -> tuple[str, str | IO[bytes]]:
        """Kind and content of large arguments. Raises Problem.

        JSON as text; a pickle as a file, which the caller closes.
        """
        from quorate.blobs.store import BlobError

        assert isinstance(text, str)
        try:
            file = self._opened().get(blob_of(text))
        except (BlobError, ValueError) as error:
            raise _problem("arguments", error) from None
        if kind == "pickle-blob":
            return "pickle", file
        with file:
            try:
                return "json", file.read().decode()
            except UnicodeDecodeError as error:
                raise Problem("ARGUMENTS_NOT_READABLE", f"no text: {error}") from None

    def keep(self, kind: str, data: bytes) -> Answer:
        """The answer that names a large result, which is in the store from now on."""
        from quorate.blobs.store import BlobError

        if not self._url:
            return answers.of_problem(
                "RESULT_TOO_LARGE",
                f"the result is {len(data)} bytes long; the limit is {self._inline} without a blob "
                "store: set --blob-url on the cluster's schedulers and nodes to let it have larger "
                "values (docs/large-values.md)",
            )
        if len(data) > self._most:
            return answers.of_problem(
                "RESULT_TOO_LARGE",
                f"the result is {len(data)} bytes long; the blob store takes at most {self._most} "
                "(--max-blob-mib)",
            )
        try:
            blob = self._opened().put(data)
        except (BlobError, ValueError) as error:
            problem = _problem("result", error)
            return answers.of_problem(problem.kind, problem.message)
        return (_KINDS[kind], blob.text)

    def _opened(self) -> BlobStore:
        from quorate.blobs.store import UNAVAILABLE, BlobError, BlobStore

        if not self._url:
            raise BlobError(UNAVAILABLE, "this node has no blob store (--blob-url)")
        if self._store is None:
            self._store = BlobStore(self._url)
        return self._store


_KINDS = {kind: name for name, kind in BLOB_KINDS.items()}


def _problem(what: str, error: BlobError | ValueError) -> Problem:
    from quorate.blobs.store import UNAVAILABLE, BlobError

    if isinstance(error, BlobError):
        return Problem(error.reason, f"the large {what} of this task: {error.message}")
    return Problem(UNAVAILABLE, f"the large {what} of this task: {error}")
