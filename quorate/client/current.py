"""What a running task, or subtask of a job, knows of itself; and how it adds tasks to its job.

    def crawl(url):
        for link in links_of(url):
            quorate.current().submit(crawl, link)

The job is not finished before the tasks that were added to it. They have ids of their own and are
read as any task; a task of a graph that fails fails its job, and so do these.

The n-th task that an attempt adds has the request id `<task>:<n>`. So when the task runs again,
such as after the loss of its node, the same calls add nothing twice. If a second run makes other
calls, give each a `request_id` that says what it is for.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar, Unpack

from quorate.client.shared import process_client
from quorate.client.tracking.progress import progress
from quorate.client.work.options import OptionArgs
from quorate.v1 import scheduler_pb2 as pb

if TYPE_CHECKING:
    from quorate.client.client import Client
    from quorate.client.handle import TaskHandle
    from quorate.client.work.specs import Argument

P = ParamSpec("P")
R = TypeVar("R")


class Current:
    """One attempt, as the code that it runs sees it. `quorate.current()` gives it.

    Attributes:
        task_id: of the task; of a subtask `<job>.<index>`.
        attempt: its number; of a subtask 0.
        node: the name of the node.
        chunk: of a subtask, with which others it came to the node; each run of it has another one.
    """

    def __init__(
        self, task_id: str, attempt: int, instance: str, node: str, chunk: str = ""
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.node = node
        self._instance = instance
        self.chunk = chunk
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        # Of its job; empty until it is asked for.
        self.queue = ""

    def __repr__(self) -> str:
        return f"Current({self.task_id!r}, attempt={self.attempt})"

    def submit(self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Add a call to the job of this task, as `Client.submit` does.

        Raises QuorateError: FAILED_PRECONDITION where the task is in no job, or this attempt was
        given up.
        """
        return self._client({}).submit(work, *args, **kwargs)

    def command(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        **options: Unpack[OptionArgs],
    ) -> TaskHandle[int]:
        """Add a program to the job of this task, as `Client.command` does."""
        return self._client(options).command(argv, env=env, cwd=cwd)

    def options(self, **options: Unpack[OptionArgs]) -> CurrentOptions:
        """The same with options for what is added, such as `retries=3`."""
        return CurrentOptions(self, options)

    def progress(self, fraction: float | None, text: str = "") -> None:
        """As `quorate.progress`."""
        progress(fraction, text)

    @property
    def parent(self) -> pb.ParentTask:
        """What names this attempt in calls that add tasks."""
        return pb.ParentTask(
            task_id=self.task_id,
            attempt=self.attempt,
            instance=self._instance,
            chunk=self.chunk,
        )

    def numbered(self) -> OptionArgs:
        """The options of the next task that it adds: its request id."""
        with self._lock:
            return {"request_id": f"{self.task_id}:{next(self._numbers)}"}

    def _client(self, options: OptionArgs) -> Client:
        client = process_client()
        given = self.numbered()
        with self._lock:
            if not self.queue:
                job, dot, _ = self.task_id.partition(".")
                found = client.job(job).job() if dot else client.get(job).task()
                self.queue = found.queue
        given.update(options)
        given["queue"] = self.queue
        return client.options(**given).adding_to(self.parent)


class CurrentOptions:
    """`Current` with options."""

    def __init__(self, current: Current, options: OptionArgs) -> None:
        self._current = current
        self._options = options

    def submit(self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """As `Current.submit`."""
        return self._current._client(self._options).submit(work, *args, **kwargs)


_known: Current | None = None
_lock = threading.Lock()


def current() -> Current:
    """The attempt that this process runs.

    Raises RuntimeError where none does: outside of tasks.
    """
    global _known
    task = os.environ.get("QUORATE_TASK_ID", "")
    instance = os.environ.get("QUORATE_AGENT_INSTANCE", "")
    if not task or not instance:
        raise RuntimeError("no task of a cluster runs here")
    subtask = "." in task
    attempt = 0 if subtask else int(os.environ.get("QUORATE_ATTEMPT") or 0)
    chunk = os.environ.get("QUORATE_CHUNK", "") if subtask else ""
    with _lock:
        # The numbers of what it adds go on as long as it is the same attempt.
        known = _known and (_known.task_id, _known.attempt, _known.chunk)
        if _known is None or known != (task, attempt, chunk):
            node = os.environ.get("QUORATE_NODE", "")
            _known = Current(task, attempt, instance, node, chunk)
        return _known
