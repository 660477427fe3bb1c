"""What becomes of the runs of a schedule that `schedule update` changes.

| runs are | options of tasks | `--array`, `--each-line` | other options of jobs |
|---|---|---|---|
| tasks | change the task | make it the template of a job | are refused |
| array jobs | change template, reduce | replace subtasks; empty: tasks again | change the job |
| graphs | are refused: they are in a file | are refused | are refused |
"""

from __future__ import annotations

import json
import time
from typing import Any, Final, cast

from quorate.cli.groups import Changes, refuse
from quorate.cli.inputs import arguments_of, item, option_arguments
from quorate.cli.jobs import creating
from quorate.cli.jobs.options import ArrayJob
from quorate.cli.schedules import work as w
from quorate.cli.schedules.options import Work
from quorate.cli.tasks import options as o
from quorate.cli.words import pairs
from quorate.client.jobs.specs import array_of
from quorate.client.schedules.requests import MOST_BYTES
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.spec_changes import own_name, put_options, put_work
from quorate.client.work.specs import json_spec
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb

_TASK_GROUPS: Final = (o.Execution, o.Keys, o.Unique, o.Placing, o.Hooks)
# What the SDK calls options that have another name on the command line.
_NAMES: Final = {"label": "labels", "resource": "resources", "limit": "limits"}
# Of them 0 stands for none.
_SPANS: Final = ("timeout", "start_deadline")
_COUNTS: Final = ("max_parallel", "max_failures", "max_failure_share")
_GRAPH: Final = (
    "is not for graphs, and the runs are graphs: change the file, and give it to --graph"
)
_NO_JOB: Final = "is for jobs, and the runs are tasks; give --array or --each-line too"


class Runs:
    """The runs as they are to be.

    Raises BadParameter, QuorateError for what no runs can have.
    """

    def __init__(self, argv: list[str] | None, changes: Changes, *, json_items: bool) -> None:
        self._argv = argv
        self._given = changes.names(Work, *_TASK_GROUPS, ArrayJob)
        self._of_jobs = changes.names(ArrayJob)
        # Without what removes something. 0 is a limit of failures.
        given = changes.given
        self._set = [name for name in self._given if given[name] or name == "max_failures"]
        self._work = changes.part(Work)
        self._jobs = changes.part(ArrayJob)
        self._json_items = json_items
        self._options = _options(changes)
        w.refuse_conflicts(changes.part(o.Unique))
        if self._jobs.array and self._jobs.each_line:
            raise invalid("--each-line", "give either --array or --each-line")
        # Read once: it may be a pipe, and a change may have to be made twice.
        self._lines = w.few_lines(self._jobs.each_line) if self._jobs.each_line else []

    def changed(self, there: pb.ScheduleSpec) -> task_pb2.TaskSpec | job_pb2.JobSpec:
        """What takes the place of the runs that are there. Raises BadParameter, QuorateError."""
        if there.job.HasField("graph"):
            if self._argv:
                raise invalid("-- COMMAND", _GRAPH)
            refuse(self._given, _GRAPH)
        template, job = task_pb2.TaskSpec(), job_pb2.JobSpec()
        is_job = there.HasField("job")
        if is_job:
            job.CopyFrom(there.job)
        template.CopyFrom(job.template if is_job else there.task)
        encoded = _encoding(template)
        self._put_work(template)
        self._put_options(template)
        if job.HasField("reduce"):
            self._put_options(job.reduce.template)
        if (self._jobs.array or self._jobs.each_line) or (is_job and not self._ends_job):
            refuse(self._set, creating.NOT_OF_SUBTASKS)
            _as_template(template)
            job.template.CopyFrom(template)
            if job.items and encoded != _encoding(template) and not self._renews_subtasks:
                what = "--call" if self._work.call else "-- COMMAND"
                raise invalid(what, "reads items in another form; give --each-line again")
            self._put_array(job)
            self._put_reduce(job)
            return job
        refuse(self._set_of_jobs, _NO_JOB)
        return template

    @property
    def _renews_subtasks(self) -> bool:
        return bool(self._jobs.array or self._jobs.each_line)

    @property
    def _ends_job(self) -> bool:
        """Whether --array or --each-line was given as an empty text."""
        return bool({"array", "each_line"} & set(self._of_jobs)) and not self._renews_subtasks

    @property
    def _set_of_jobs(self) -> list[str]:
        return [name for name in self._of_jobs if name in self._set]

    def _put_work(self, spec: task_pb2.TaskSpec) -> None:
        """Another program or function, its arguments and its environment."""
        work = self._work
        if "env" in self._given and spec.HasField("command"):
            spec.command.env.clear()
        if work.arguments and not work.call:
            if not spec.python.entrypoint:
                raise invalid("--arguments", "needs --call: the runs call no function by its name")
            spec.python.json = json.dumps(option_arguments(work.arguments))
        elif (new := w.task_of(self._argv, work, TaskOptions())) is not None:
            if new.HasField("python") and spec.command.env:
                names = ", ".join(sorted(spec.command.env))
                raise invalid("--call", f"a function has no {names} of the program; add --env ''")
            put_work(spec, new)
        if work.env:
            if not spec.HasField("command"):
                raise invalid("--env", "is for programs, and the runs call a function")
            spec.command.env.update(pairs("--env", work.env))

    def _put_options(self, spec: task_pb2.TaskSpec) -> None:
        put_options(spec, self._options, time.time())
        spec.name = spec.name or own_name(spec)

    def _put_array(self, job: job_pb2.JobSpec) -> None:
        """The subtasks, and how many of them run or fail."""
        for name in _COUNTS:
            if name in self._of_jobs:
                setattr(job, name, getattr(self._jobs, name))
        if not self._renews_subtasks:
            return
        for name in ("items", "count", "first_index", "index_step"):
            job.ClearField(name)
        if self._jobs.array:
            array = creating.array_args(TaskOptions(), self._jobs, counts=True)
            assert array.count is not None
            job.count = array.count
            job.first_index = array.options["first_index"]
            job.index_step = array.options["index_step"]
            job.max_parallel = array.options["max_parallel"] or job.max_parallel
            return
        items: list[Any] = self._lines
        if self._json_items:
            if not job.template.HasField("python"):
                raise invalid("--json-items", "is for functions; a program gets lines")
            items = [item(line, number) for number, line in enumerate(self._lines, 1)]
        array_spec = array_of(job.template, items, None, {}, limit=MOST_BYTES)
        job.items.extend(w.stored(array_spec).items)

    def _put_reduce(self, job: job_pb2.JobSpec) -> None:
        jobs = self._jobs
        if "reduce" in self._given:
            job.ClearField("reduce")
        if jobs.reduce:
            # The options of the subtasks, as in `Client.map_reduce`.
            job.reduce.template.CopyFrom(job.template)
            arguments = creating.called_with(arguments_of(jobs.reduce_args or "[]"))
            put_work(
                job.reduce.template,
                json_spec(jobs.reduce, arguments, TaskOptions(), time.time()),
            )
        elif "reduce_args" in self._given:
            if not job.reduce.template.python.entrypoint:
                raise invalid("--reduce-args", "needs --reduce")
            arguments = creating.called_with(arguments_of(jobs.reduce_args or "[]"))
            job.reduce.template.python.json = json.dumps(arguments)
        if "fan_in" in self._given:
            if not job.HasField("reduce"):
                raise invalid("--fan-in", "needs --reduce")
            job.reduce.fan_in = jobs.fan_in


def _options(changes: Changes) -> OptionArgs:
    """The options that were given, as the SDK takes them. Raises BadParameter, QuorateError."""
    given = Changes(
        {
            name: value if value or name not in _SPANS else None
            for name, value in changes.given.items()
        }
    )
    found: dict[str, Any] = {}
    for group in _TASK_GROUPS:
        names = given.names(group)
        if not names:
            continue
        part: Any = given.part(group)
        options: dict[str, Any] = part.args()
        if group is o.Unique:
            found.update(options)
        else:
            wanted = [_NAMES.get(name, name) for name in names]
            found.update({name: options[name] for name in wanted})
    if "secret" in given.given:
        found["secrets"] = o.secrets(given.given["secret"])
    return cast(OptionArgs, found)


def _encoding(template: task_pb2.TaskSpec) -> str:
    """In which form items are for it."""
    if template.HasField("command"):
        return "text"
    return str(template.python.WhichOneof("arguments"))


def _as_template(task: task_pb2.TaskSpec) -> None:
    """Write the arguments of a call as the template of subtasks has them."""
    if task.python.WhichOneof("arguments") == "json":
        task.python.json = json.dumps(creating.called_with(json.loads(task.python.json)))
