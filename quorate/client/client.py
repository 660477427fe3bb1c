"""The synchronous client.

    with Client() as client:
        client.submit(pow, 2, 10).result()
        client.options(queue="slow", retries=3).command(["make", "-C", "/srv"]).result()
        for value in client.map(len, words): ...

Keyword arguments of `submit` all belong to the function; options of the task are given before, by
`options(...)`, which returns a client that shares this one's connections.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from quorate.client.cluster.methods import ClusterMethods
from quorate.client.control.many import ManyTasks
from quorate.client.graphs.methods import GraphMethods
from quorate.client.handle import TaskHandle
from quorate.client.jobs.methods import JobMethods
from quorate.client.mapping.mapper import create_batch
from quorate.client.mapping.plan import MOST_BATCH_BYTES, MOST_SPECS_PER_BATCH
from quorate.client.maps.methods import MapMethods
from quorate.client.messages.methods import MessageMethods
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.client.pages import pages
from quorate.client.schedules.methods import Schedules
from quorate.client.tracking.outcome import is_pickled, state_of
from quorate.client.tracking.tracker import Tracker
from quorate.client.transport.calls import Calls
from quorate.client.transport.contact import DEFAULT_CONNECT_FOR
from quorate.client.transport.discovery import find_access
from quorate.client.transport.large import Held
from quorate.client.transport.rpcs import (
    CREATE_TASK,
    DEFAULT_RETRY_FOR,
    GET_CLUSTER,
    LIST_TASKS,
    new_request_id,
)
from quorate.client.unplaceable import warn_unplaceable
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import (
    DEFAULT_PAYLOAD_LIMIT,
    Argument,
    Work,
    check_payload_limit,
    command_spec,
    json_spec,
    python_spec,
)
from quorate.client.work.texts import text_of
from quorate.security.tls.dialer import ClientTls
from quorate.v1 import cluster_pb2, scheduler_pb2, task_pb2

P = ParamSpec("P")
R = TypeVar("R")


class _Shared:
    """Connections, one tracker for each queue that is mapped over or executed on, and the
    producers and consumers."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.streams = OpenStreams()
        self._lock = threading.Lock()
        self._trackers: dict[str, Tracker] = {}

    def tracker(self, queue: str) -> Tracker:
        with self._lock:
            tracker = self._trackers.get(queue)
            if tracker is None or tracker.failed is not None:
                tracker = self._trackers[queue] = Tracker(self.calls, queue)
            return tracker

    def close(self) -> None:
        with self._lock:
            trackers = list(self._trackers.values())
            self._trackers.clear()
        for stream in self.streams.take():
            stream.close()
        for tracker in trackers:
            tracker.close()
        self.calls.close()


class Client(ManyTasks, MapMethods, JobMethods, GraphMethods, ClusterMethods, MessageMethods):
    """A connection to a cluster. Thread-safe; close it, or use it in a `with` block.

    What `submit` and `command` return is durable: it survives any process of the cluster. Every
    call is repeated on UNAVAILABLE for up to `retry_for` seconds with the same request id, on
    whichever scheduler answers, so a failover is a pause and nothing else.

    * `address`: `host:port`, several separated by commas; default `QUORATE_ADDRESS`, else the
      local cluster of `data_dir` (default `QUORATE_DATA_DIR`, else `~/.local/state/quorate/local`).
    * `tls`: files for TLS; default `QUORATE_TLS_CA_FILE`, `QUORATE_TLS_CERT_FILE` and
      `QUORATE_TLS_KEY_FILE`, else what the local cluster needs.
    * `token`, or `token_file` that holds it: says who calls, where a certificate does not; default
      `QUORATE_TOKEN` or `QUORATE_TOKEN_FILE`. Without TLS it is sent to this machine only.
    * `retry_for`: seconds to keep trying; 0 for never.
    * `connect_for`: seconds to keep trying while no scheduler was ever reached and every address
      refuses the connection or is not known; raise it where programs start before their cluster.
    * `payload_limit`: bytes of one task's work, at most 1 MiB; the cluster has its own limit.
      Larger arguments of functions go to the cluster's blob store, if it has one.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        data_dir: str | Path | None = None,
        tls: ClientTls | None = None,
        token: str | None = None,
        token_file: str | Path | None = None,
        retry_for: float = DEFAULT_RETRY_FOR,
        connect_for: float = DEFAULT_CONNECT_FOR,
        payload_limit: int = DEFAULT_PAYLOAD_LIMIT,
    ) -> None:
        directory = Path(data_dir) if data_dir is not None else None
        check_payload_limit(payload_limit)
        access = find_access(address, directory, tls=tls, token=token, token_file=token_file)
        self._shared = _Shared(Calls(access, retry_for=retry_for, connect_for=connect_for))
        self.data_dir = directory
        """The data dir given to the constructor, if any."""
        self._payload_limit = payload_limit
        self._options = TaskOptions()
        self._parent: scheduler_pb2.ParentTask | None = None

    def options(self, **changes: Unpack[OptionArgs]) -> Client:
        """This client with other task options (see `TaskOptions`); connections are shared."""
        return self.with_options(self._options.but(changes))

    def with_options(self, options: TaskOptions) -> Client:
        """As `options`, all of them at once."""
        other = Client.__new__(Client)
        other._shared = self._shared
        other.data_dir = self.data_dir
        other._payload_limit = self._payload_limit
        other._options = options
        other._parent = self._parent
        return other

    def adding_to(self, parent: scheduler_pb2.ParentTask) -> Client:
        """This client, what it submits being added to the job of a running task; see
        `quorate.current`."""
        other = self.with_options(self._options)
        other._parent = parent
        return other

    @property
    def calls(self) -> Calls:
        """The transport, for calls that have no method here."""
        return self._shared.calls

    @property
    def _streams(self) -> OpenStreams:
        return self._shared.streams

    @property
    def schedules(self) -> Schedules:
        """Create, read and change schedules; new ones get the task options of this client."""
        return Schedules(self._shared.calls, self._options)

    @overload
    def submit(
        self, work: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> TaskHandle[R]: ...
    @overload
    def submit(
        self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> TaskHandle[R]: ...
    @overload
    def submit(self, work: str, /, *args: Any, **kwargs: Any) -> TaskHandle[Any]: ...
    def submit(self, work: Work, /, *args: Any, **kwargs: Any) -> TaskHandle[Any]:
        """Have `work(*args, **kwargs)` called on a node; durable when this returns.

        `work`: a callable or the `module:qualname` of one. Raises ArgumentNotSerialisable,
        PayloadTooLarge (before anything is sent), QuorateError.
        """
        held = Held(self._payload_limit)
        spec = python_spec(work, args, kwargs, self._options, time.time(), held.keep)
        return self._create(spec, held)

    def submit_many(
        self, work: Callable[..., R] | str, calls: Iterable[Sequence[Any]]
    ) -> list[TaskHandle[R]]:
        """Have `work(*arguments)` called for each tuple of arguments, each as a task of its own.

        All of them are durable when this returns; they are created in as few calls as possible. An
        error leaves those created that came before. For many small items prefer `map`, which puts
        several into one task.

        Raises as `submit` and `submit_batch`.
        """
        now = time.time()
        handles: list[TaskHandle[R]] = []
        batch: list[task_pb2.TaskSpec] = []
        size = 0
        for arguments in calls:
            held = Held(self._payload_limit)
            spec = python_spec(work, arguments, {}, self._options, now, held.keep)
            length = self.calls.large.fit(spec, self._payload_limit, held)
            if len(batch) == MOST_SPECS_PER_BATCH or size + length > MOST_BATCH_BYTES:
                handles += self._part(batch, len(handles))
                batch, size = [], 0
            batch.append(spec)
            size += length
        return handles + self._part(batch, len(handles)) if batch else handles

    def submit_json(self, entrypoint: str, arguments: Any = ()) -> TaskHandle[Any]:
        """As `submit`, with JSON arguments and a JSON result: nothing is pickled or unpickled, so
        that an exception of the function is a TaskFailed.

        `arguments`: a list, or `{"args": [...], "kwargs": {...}}`.
        """
        return self._create(json_spec(entrypoint, arguments, self._options, time.time()))

    def command(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: bytes | str = b"",
        secrets: Mapping[str, str] | None = None,
    ) -> TaskHandle[int]:
        """Have a program run on a node, in a process group and a scratch directory of its own.

        `argv` goes to no shell. `result()` is 0, or raises TaskFailed with the exit `code`.
        `secrets` names values that the node has, as in `options`: they are never sent.
        """
        held = Held(self._payload_limit)
        spec = command_spec(
            argv,
            self._options,
            time.time(),
            env=env,
            cwd=cwd,
            stdin=stdin,
            secrets=secrets,
            keep=held.keep,
        )
        return self._create(spec, held)

    @property
    def addresses(self) -> list[str]:
        """Schedulers that are tried."""
        return self.calls.addresses

    @property
    def task_options(self) -> TaskOptions:
        """The options that tasks of this client get."""
        return self._options

    def submit_spec(self, spec: task_pb2.TaskSpec) -> TaskHandle[Any]:
        """Create a task from a spec as it is (options of this client are not applied)."""
        return self._create(spec)

    def submit_batch(self, specs: Sequence[task_pb2.TaskSpec]) -> list[TaskHandle[Any]]:
        """Create up to 10,000 tasks of one queue, 16 MiB together.

        They are validated as a whole, and a refused batch creates none. What a failure of the
        cluster interrupts is gone on with (for `retry_for` seconds) under the same request id, so
        that no task is created twice; if it stays away for longer, or this process ends meanwhile,
        a part of them may have been created.

        Raises:
            PayloadTooLarge: a task is above `payload_limit`, or all together above 16 MiB.
            QuorateError: INVALID_ARGUMENT that names the field, or the cluster does not answer.
        """
        for spec in specs:
            self.calls.large.fit(spec, self._payload_limit)
        ids = create_batch(self.calls, self._options.queue, specs, self._options.request_id)
        return [
            TaskHandle(self.calls, task_id, pickled=is_pickled(spec), queue=self._options.queue)
            for task_id, spec in zip(ids, specs, strict=True)
        ]

    def get(self, task_id: str) -> TaskHandle[Any]:
        """A handle of any task; whether it exists is seen when it is used.

        Its `result` may be a pickle, and unpickling runs code of whoever made it; `task` does not.
        """
        return TaskHandle(self.calls, text_of("id", task_id))

    def tasks(
        self,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        error_group: str = "",
        job: str = "",
        page_size: int = 100,
    ) -> Iterator[task_pb2.Task]:
        """Tasks on record, newest first, page by page.

        Args:
            queue: of all queues when empty.
            states: such as "failed"; in any when empty.
            text: words that must all be found in a task's name, work, labels, id or error.
            error_group: failed tasks of this group of `dead_letters`.
            job: the id of a job: the tasks of a graph, and those that its tasks or subtasks added.
        """
        wanted = [state_of(name) for name in states]
        queue, text, job = text_of("queue", queue), text_of("text", text), text_of("job", job)
        request = scheduler_pb2.ListTasksRequest(
            queue=queue,
            states=wanted,
            text=text,
            error_group=error_group,
            job_id=job,
            page_size=page_size,
        )
        for answer in pages(self.calls, LIST_TASKS, request):
            yield from answer.tasks

    def cluster(self) -> cluster_pb2.Cluster:
        """Leader, epoch, members and sizes."""
        return self.calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest()).cluster

    def caller(self) -> cluster_pb2.Caller:
        """Who this client is to the cluster: name, permissions, queues that it is bound to."""
        return self.calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest()).caller

    def tracker(self, queue: str) -> Tracker:
        """The watch that brings outcomes of a queue's tasks; shared, closed with the client."""
        return self._shared.tracker(queue)

    def close(self) -> None:
        """Close all connections, also of clients made by `options`. Tasks are not affected."""
        self._shared.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _part(self, batch: Sequence[task_pb2.TaskSpec], before: int) -> list[TaskHandle[Any]]:
        """Create a part of `submit_many`, under a request id of its own if one was given."""
        given = self._options.request_id
        if not given or not before:
            return self.submit_batch(batch)
        return self.options(request_id=f"{given}+{before}").submit_batch(batch)

    def _create(self, spec: task_pb2.TaskSpec, held: Held | None = None) -> TaskHandle[Any]:
        self.calls.large.fit(spec, self._payload_limit, held)
        request = scheduler_pb2.CreateTaskRequest(
            queue=self._options.queue,
            spec=spec,
            request_id=self._options.request_id or new_request_id(),
            parent=self._parent,
        )
        created = self.calls.call(CREATE_TASK, request).task
        warn_unplaceable((created.pending_reason,))
        return TaskHandle(
            self.calls, created.id, pickled=is_pickled(spec), queue=self._options.queue
        )
