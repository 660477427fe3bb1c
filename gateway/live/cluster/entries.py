"""One committed version of a task, as live updates keep and send it. Pure.

What makes a task large (results, tracebacks, pickles) is left out beyond a bound, so that a version
has a bounded size; such an item says `"elided": true` and is whole in GET /v1/tasks/{id}.

Events after the first have no spec: `Specs` remembers those that were seen, the latest used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.http.jsonwrite import dump, to_json
from gateway.live import limits
from quorate.v1 import scheduler_pb2, task_pb2

_PARTS: Final = (("result", "json"), ("result", "pickle"), ("error", "pickle"))


@dataclass(frozen=True, slots=True)
class Spec:
    """What is remembered of a task that does not change."""

    labels: Mapping[str, str]
    text: bytes


class Specs:
    """Specs of recent tasks: bounded in number and bytes, the least recently used go first."""

    def __init__(self, most: int = limits.SPECS, most_bytes: int = limits.SPEC_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._specs: OrderedDict[str, Spec] = OrderedDict()

    def __len__(self) -> int:
        return len(self._specs)

    def put(self, task: task_pb2.Task) -> None:
        """Remember the spec of a task that has one."""
        spec = Spec(dict(task.spec.labels), dump(to_json(task.spec)))
        self.drop(task.id)
        self._specs[task.id] = spec
        self._bytes += len(spec.text)
        while len(self._specs) > self._most or self._bytes > self._most_bytes:
            _, gone = self._specs.popitem(last=False)
            self._bytes -= len(gone.text)

    def get(self, task_id: str) -> Spec | None:
        """The spec, if it is known."""
        spec = self._specs.get(task_id)
        if spec is not None:
            self._specs.move_to_end(task_id)
        return spec

    def drop(self, task_id: str) -> None:
        """Forget a task that is gone."""
        spec = self._specs.pop(task_id, None)
        if spec is not None:
            self._bytes -= len(spec.text)


class Entry:
    """A version of a task, or its end. Encoded once, when it is first sent."""

    __slots__ = (
        "_task",
        "_text",
        "attempt",
        "deleted",
        "id",
        "position",
        "queue",
        "revision",
        "size",
        "state",
    )

    def __init__(self, event: scheduler_pb2.TaskEvent) -> None:
        task = event.task
        self.id: str = task.id
        self.queue: str = task.queue
        self.state: int = task.state
        self.attempt: int = task.attempt
        self.revision: int = event.revision
        self.deleted: bool = event.kind == scheduler_pb2.TaskEvent.KIND_DELETED
        # Set by the journal: the number of its batch.
        self.position = 0
        self.size = 256 + task.ByteSize()
        self._task: task_pb2.Task | None = task
        self._text = b""

    def text(self, specs: Specs) -> bytes:
        """The task as JSON."""
        if self._task is not None:
            self._text = task_text(self._task, specs)
            self._task = None
        return self._text


def remember(event: scheduler_pb2.TaskEvent, specs: Specs) -> None:
    """Keep what an event says about specs, and cut what is too large for a live item."""
    if event.kind == scheduler_pb2.TaskEvent.KIND_DELETED:
        specs.drop(event.task.id)
    elif event.task.HasField("spec"):
        specs.put(event.task)
    event.task.ClearField("spec")
    _elide(event.task)


def task_text(task: task_pb2.Task, specs: Specs) -> bytes:
    """A task in the BASIC view as JSON, with its spec as far as that is known."""
    if task.HasField("spec"):
        specs.put(task)
        task.ClearField("spec")
    elided = _elide(task)
    text = dump(to_json(task))
    spec = specs.get(task.id)
    more = b""
    if spec is not None:
        more += b',"spec":' + spec.text
    if elided:
        more += b',"elided":true'
    return text[:-1] + more + b"}"


def _elide(task: task_pb2.Task) -> bool:
    """Cut what is too large. Whether anything is, or was, missing."""
    for holder, name in _PARTS:
        if task.HasField(holder):
            part = getattr(task, holder)
            if len(getattr(part, name)) > limits.PART:
                # An empty result stays set: it says that there is one.
                part.ClearField(name)
    if len(task.error.traceback) > limits.PART:
        task.error.traceback = "..." + task.error.traceback[-limits.PART :]
        return True
    return _has_empty_result(task)


def _has_empty_result(task: task_pb2.Task) -> bool:
    return task.HasField("result") and task.result.WhichOneof("value") is None
