"""A graph that is being built: tasks, what they wait for, and whose results they get.

A task that stands among the arguments of another one is an input: its result takes its place. That
works at any depth, since the arguments are pickled: see `quorate.client.work.inputs`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal, Unpack, cast

from quorate.client.jobs.specs import ArrayOptions, ArrayWork, array_of, split, template_of
from quorate.client.tracking.outcome import is_pickled
from quorate.client.transport.large import Held
from quorate.client.work.inputs import result_of
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import Argument, Work, command_spec, json_spec, python_spec
from quorate.client.work.texts import checked_texts, text_of
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2

On = Literal["success", "failure", "always", "each"]
"""How the other task has to end: "success", "failure", or "always" (in whatever way). "each" is
between two arrays of the same size: each subtask waits for the same one of the other."""

MOST_TASKS: Final = 10_000
# Options of arrays that those of a graph do not have.
_NOT_IN_GRAPHS: Final = ("open", "close_after_idle", "reduce", "reduce_args", "fan_in")
_CONDITIONS: Final = {
    "success": job_pb2.DEPENDENCY_CONDITION_ON_SUCCESS,
    "failure": job_pb2.DEPENDENCY_CONDITION_ON_FAILURE,
    "always": job_pb2.DEPENDENCY_CONDITION_ALWAYS,
    "each": job_pb2.DEPENDENCY_CONDITION_EACH,
}


class GraphTask:
    """A task of a graph that is being built. As an argument of another one it stands for its
    result."""

    def __init__(self, plan: Plan, name: str, place: int, *, is_array: bool = False) -> None:
        self.plan = plan
        self.name = name
        self.place = place
        self.is_array = is_array

    def __repr__(self) -> str:
        return f"GraphTask({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        using = _using.get()
        if using is None or using.plan is not self.plan:
            raise TypeError(
                f"{self!r} can be an argument of tasks of its own graph only; elsewhere pass "
                "job.result(task)"
            )
        parameter = using.tasks[self] = f"input_{self.place}"
        return result_of, (parameter,)


After = GraphTask | tuple[GraphTask, On]
"""A task to wait for, or with how it has to end."""


class _Using:
    """The tasks among the arguments that are being pickled, with the names of their inputs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tasks: dict[GraphTask, str] = {}


_using: ContextVar[_Using | None] = ContextVar("using", default=None)


class Plan:
    """What was added so far.

    Args:
        limit: bytes of one task's work.
    """

    def __init__(
        self,
        options: TaskOptions,
        name: str,
        labels: Mapping[str, str] | None,
        max_failures: int | None,
        limit: int,
    ) -> None:
        self._options = options
        self._limit = limit
        self.spec = job_pb2.JobSpec(name=text_of("name", name))
        self.spec.labels.update(checked_texts("labels", labels or {}))
        if max_failures is not None:
            self.spec.max_failures = max_failures
        self.spec.graph.SetInParent()
        self.tasks: list[GraphTask] = []
        # What is too large for its spec, by place; and which results may be pickles.
        self.held: dict[int, Held] = {}
        self.pickled: list[bool] = []
        self._names: dict[str, int] = {}

    def add(
        self,
        work: Work,
        *args: Any,
        kwargs: Mapping[str, Any] | None = None,
        after: After | Iterable[After] = (),
        on: On = "success",
        cleanup: bool = False,
        **options: Unpack[OptionArgs],
    ) -> GraphTask:
        """Add a call of `work(*args, **kwargs)`.

        A task of this graph among the arguments, also inside lists and other values, stands for its
        result: this one waits for it to succeed.

        Args:
            after: tasks to wait for; each as it is, or as `(task, on)`.
            on: how those of `after` have to end: "success", "failure", or "always". Where that can
                no longer happen, this task is skipped.
            cleanup: it cleans up behind those of `after`: its failure does not fail the job.
            options: of the task, as in `client.options`. `name` is unique in the graph; default the
                function's name, with a number where it is taken.

        Raises ArgumentNotSerialisable, QuorateError (INVALID_ARGUMENT).
        """
        name, chosen = self._chosen(options)
        held = Held(self._limit)
        with self._uses() as using:
            spec = python_spec(work, args, kwargs or {}, chosen, time.time(), held.keep)
        inputs = {parameter: task for task, parameter in using.tasks.items()}
        if inputs and held.data is not None:
            raise invalid(
                "args", "are too large beside results of other tasks; pass large values as results"
            )
        return self._add(spec, held, name, after, on, cleanup, inputs)

    def add_json(
        self,
        entrypoint: str,
        arguments: Any = (),
        *,
        inputs: Mapping[str, GraphTask] | None = None,
        after: After | Iterable[After] = (),
        on: On = "success",
        cleanup: bool = False,
        **options: Unpack[OptionArgs],
    ) -> GraphTask:
        """Add a call with JSON arguments and a JSON result; as `Client.submit_json`, and as `add`.

        Args:
            inputs: results of tasks as keyword arguments; JSON, too.
        """
        name, chosen = self._chosen(options)
        spec = json_spec(entrypoint, arguments, chosen, time.time())
        return self._add(spec, Held(self._limit), name, after, on, cleanup, inputs or {})

    def add_command(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: bytes | str = b"",
        inputs: Mapping[str, GraphTask] | None = None,
        after: After | Iterable[After] = (),
        on: On = "success",
        cleanup: bool = False,
        **options: Unpack[OptionArgs],
    ) -> GraphTask:
        """Add a run of a program; as `add`.

        Args:
            inputs: results of tasks as environment variables: JSON, a text as it is. Not of tasks
                whose results are pickled, as those of `add` are: see `add_json`.
        """
        name, chosen = self._chosen(options)
        held = Held(self._limit)
        spec = command_spec(
            argv,
            chosen,
            time.time(),
            env=env,
            cwd=cwd,
            stdin=stdin,
            keep=held.keep,
        )
        return self._add(spec, held, name, after, on, cleanup, inputs or {})

    def add_spec(
        self,
        spec: task_pb2.TaskSpec,
        *,
        inputs: Mapping[str, GraphTask] | None = None,
        name: str = "",
        after: After | Iterable[After] = (),
        on: On = "success",
        cleanup: bool = False,
    ) -> GraphTask:
        """Add a task as it is; as `add`, with inputs by the names of their parameters."""
        return self._add(spec, Held(self._limit), name, after, on, cleanup, inputs or {})

    def add_array(
        self,
        work: ArrayWork,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        as_json: bool = False,
        after: After | Iterable[After] = (),
        on: On = "success",
        cleanup: bool = False,
        **options: Unpack[ArrayOptions],
    ) -> GraphTask:
        """Add an array: `work` runs once for each item, or `count` times, as in `Client.array`.

        As an argument of another task it stands for the list of its results. To the other tasks it
        is one task, which succeeds when all of its subtasks do. With `on="each"` after another
        array of the same size, a subtask starts as soon as the same one of the other has succeeded,
        and is skipped where that one fails.

            parts = graph.add_array(convert, paths, max_parallel=50)
            checked = graph.add_array(check, paths, after=parts, on="each")
            graph.add(publish, after=checked)

        Args:
            options: as of `Client.array`, but for `open`, `close_after_idle` and a reduce.
                `max_failures`: the array has failed once more of its subtasks have.

        Raises ArgumentNotSerialisable and PayloadTooLarge, QuorateError (INVALID_ARGUMENT).
        """
        for field in _NOT_IN_GRAPHS:
            if field in options:
                raise invalid(field, "is not of arrays in a graph; leave it out")
        given, _ = split(options, self._options)
        name, chosen = self._chosen(_of_tasks(options))
        template = template_of(work, args, kwargs or {}, chosen, time.time(), as_json=as_json)
        array = array_of(template, items, count, given, limit=self._limit)
        part = job_pb2.GraphArray(count=array.spec.count)
        for number, item in enumerate(array.items if array.items is not None else ()):
            part.items.append(array.encode(item, number))
        for field in ("max_parallel", "first_index", "index_step", "max_failure_share"):
            setattr(part, field, getattr(array.spec, field))
        if array.spec.HasField("max_failures"):
            part.max_failures = array.spec.max_failures
        held = Held(self._limit)
        return self._add(template, held, name, after, on, cleanup, {}, part)

    def _chosen(self, options: OptionArgs) -> tuple[str, TaskOptions]:
        """The name that was given, and the options."""
        for field in ("queue", "request_id"):
            if field in options:
                raise invalid(field, "is of the whole graph: give it to graph()")
        chosen = self._options.but(options)
        chosen.check_for_graph()
        return options.get("name", ""), chosen

    @contextmanager
    def _uses(self) -> Iterator[_Using]:
        using = _Using(self)
        token = _using.set(using)
        try:
            yield using
        finally:
            _using.reset(token)

    def _add(
        self,
        spec: task_pb2.TaskSpec,
        held: Held,
        name: str,
        after: After | Iterable[After],
        on: On,
        cleanup: bool,
        inputs: Mapping[str, GraphTask],
        array: job_pb2.GraphArray | None = None,
    ) -> GraphTask:
        if len(self.tasks) >= MOST_TASKS:
            raise invalid("tasks", f"are more than {MOST_TASKS:,}", limit=MOST_TASKS)
        chosen, is_array = self._unique(name, spec.name), array is not None
        task = GraphTask(self, chosen, len(self.tasks), is_array=is_array)
        added = job_pb2.GraphTask(name=task.name, task=spec, array=array)
        for other, condition in _pairs(after, on):
            self._own(other)
            need = added.depends_on.add(task=other.name, cleanup=cleanup)
            need.condition = _condition(condition)
        for parameter, other in inputs.items():
            self._own(other)
            added.inputs[parameter] = other.name
        self.spec.graph.tasks.append(added)
        self.tasks.append(task)
        self.pickled.append(is_pickled(spec))
        if held.data is not None:
            self.held[task.place] = held
        return task

    def _unique(self, name: str, default: str) -> str:
        if name:
            if name in self._names:
                raise invalid("name", f"{name!r} is the name of another task of this graph")
            self._names[name] = 1
            return name
        base = (default or "task")[:100]
        chosen = base
        while chosen in self._names:
            self._names[base] += 1
            chosen = f"{base}-{self._names[base]}"
        self._names[chosen] = 1
        return chosen

    def _own(self, task: GraphTask) -> None:
        if not isinstance(task, GraphTask) or task.plan is not self:
            raise invalid("after", f"{task!r} is no task of this graph")


def _of_tasks(options: ArrayOptions) -> OptionArgs:
    """Those of each subtask."""
    known = OptionArgs.__annotations__
    return cast(OptionArgs, {name: value for name, value in options.items() if name in known})


def _pairs(after: After | Iterable[After], on: On) -> Iterator[tuple[GraphTask, On]]:
    if isinstance(after, GraphTask):
        yield after, on
        return
    if isinstance(after, tuple) and len(after) == 2 and isinstance(after[1], str):
        yield after
        return
    for one in after:
        if isinstance(one, tuple):
            yield one
        else:
            yield one, on


def _condition(on: str) -> job_pb2.DependencyCondition:
    found = _CONDITIONS.get(on)
    if found is None:
        raise invalid("on", f"{on!r} must be one of {', '.join(_CONDITIONS)}", value=on)
    return found
