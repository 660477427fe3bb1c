"""The spawner: a small process that starts, reaps and ends all other processes of a node.

Run by the agent (see `main`). It exists for two reasons.
Starting a program blocks the caller for a tenth of a millisecond or more, which the agent's event
loop should not pay. And it outlives an agent that is killed: when the channel breaks it kills
everything that was started, and whatever those started. It is their subreaper, so also processes
that left their group or session come back to it.

Messages in:   ("confine", (uid, gid, groups) or None, new privileges, cgroups' directory or "")
               ("run", key, lane, argv, env, cwd, stdin, output, scratch, limits, frame)
               ("unqueue", lane)
               ("work", key, lane, argv, env, cwd, outputs, limits)
               ("kill", key, signal)
               ("lane", lane), and in a packet that follows, the socket and the marks of its next
                worker; the first of a new lane, which is numbered next
Messages out:  ("done", [(key, wait status, started, seconds, scratch used, out of memory), ...])
               ("failed", key, message, errno of the disk or 0)
               ("unqueued", lane, [key, ...])
               ("began", [(key, monotonic seconds), ...]) of programs that run for a while
               ("progress", [(key, newest line), ...]) of programs that say how far they are
               ("late", directory), of a call that had ended and had written nothing
               ("unwritten", directory, why, errno), once of an output that does not fit on the disk

"confine" comes first, and once. Limits are the control files of the attempt's cgroup, see `group`.
"output" is the directory in which a program's outputs are kept (see `pump`), "outputs" the stem of
a worker's (see `outputs`).

A lane runs one program at a time; those sent ahead wait here, and begin without a word from the
agent when the one before them has exited. "unqueue" takes them back.

A process group is killed as a whole when its leader has exited, and its cgroup where it has one;
processes that left the group are found by a sweep and killed too (see `leftovers`).
Standard library only: it must start fast and stay small.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from node_agent.protocol.packets import unpack
from node_agent.spawner.announcing import BEGAN_SECONDS, Announcements
from node_agent.spawner.cgroups import group
from node_agent.spawner.exits import ENOUGH_AHEAD, Exits
from node_agent.spawner.launching import Ids, Start, fork, input_of, keep, spawn
from node_agent.spawner.leftovers.leftovers import Leftovers
from node_agent.spawner.leftovers.orphans import MARK, Marks, kill_group
from node_agent.spawner.outputs.progress import (
    PROGRESS_FD,
    PROGRESS_VARIABLE,
    ProgressPipe,
    ProgressPipes,
)
from node_agent.spawner.outputs.pump import Output, Pump
from node_agent.spawner.outputs.worker_pipes import Counts, WorkerOutputs
from node_agent.spawner.process import Process
from node_agent.spawner.programs import Programs, describe
from node_agent.spawner.rights import give_up
from node_agent.spawner.scratch import enter_scratch, is_clean
from node_agent.spawner.shutdown import end_all

MAX_PACKET = 1 << 20
# Slots and spare lanes at most, see `node_agent.config`.
MAX_LANES = 2048
# Where the environment is in "run", for what is too private to be in a spilled message.
_ENVIRONMENT = 4


class Spawner:
    """Owns every process it started until it is reaped."""

    def __init__(self, channel: socket.socket, mark: str, lanes: list[list[int]]) -> None:
        self.channel = channel
        self.mark = mark
        # Socket and marks of each lane's next worker.
        self.lanes = lanes
        self.base_env = dict(os.environ)
        self.ids: Ids | None = None
        self.cgroups = ""
        self.processes: dict[int, Process] = {}
        self.pids: dict[int, int] = {}
        self.programs = Programs()
        # Programs that wait for the one that runs in their lane.
        self.busy: set[int] = set()
        self.queues: dict[int, deque[tuple]] = {}  # type: ignore[type-arg]
        self.null = os.open("/dev/null", os.O_RDONLY)
        self.marks = Marks(mark)
        self.leftovers = Leftovers(self.marks, self.processes, self.pids)
        self.exits = Exits(self.send)
        self.poll = select.epoll()
        self.pump = Pump(self.poll, self.on_unwritten, self.on_late)
        self.progress = ProgressPipes(self.poll, self.send)
        self.counts = Counts(MAX_LANES)
        # By our end of the socket on which a worker asks for its next pipes.
        self.workers: dict[int, WorkerOutputs] = {}
        self.announcements = Announcements(self.send)

    def send(self, message: tuple) -> None:  # type: ignore[type-arg]
        self.channel.send(marshal.dumps(message))

    # -- starting ------------------------------------------------------------------------------

    def on_confine(self, ids: Ids | None, new_privileges: bool, cgroups: str) -> None:
        """What holds for every process from now on."""
        self.ids = ids
        self.cgroups = cgroups
        give_up(privileges=not new_privileges, other_user=ids is not None)

    def on_run(self, key: int, lane: int, *program: Any) -> None:
        if lane in self.busy:
            self.queues.setdefault(lane, deque()).append((key, lane, *program))
        else:
            self.run(key, lane, *program)

    def on_unqueue(self, lane: int) -> None:
        queue = self.queues.pop(lane, ())
        self.exits.send()  # first: what they freed was begun
        self.send(("unqueued", lane, [program[0] for program in queue]))

    def run_next(self, lane: int) -> None:
        """The lane's program has exited: begin the next one that can be started."""
        self.busy.discard(lane)
        queue = self.queues.get(lane)
        while queue and lane not in self.busy:
            self.run(*queue.popleft())

    def run(
        self,
        key: int,
        lane: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        stdin: bytes,
        directory: str,
        scratch: str,
        limits: group.Limits,
        frame: bytes,
    ) -> None:
        environment = self.base_env | env
        environment[MARK] = f"{self.mark}.{key}"
        source, disk = self.null, 0
        try:
            if scratch:
                environment["QUORATE_SCRATCH"] = scratch
                try:
                    enter_scratch(scratch, self.ids)
                except OSError as error:
                    disk = error.errno or 0
                    raise
            if stdin:
                source = input_of(stdin)
            # Not of subtasks: their chunk counts them.
            pipe = None if frame else self.progress.open(key, self.ids)
            more: tuple[int, ...] = ()
            if pipe is not None:
                environment[PROGRESS_VARIABLE] = str(PROGRESS_FD)
                more = (pipe.write_end,)
            where = "" if scratch else cwd
            try:
                output = self.pump.open_for_program(directory, self.ids, frame)
                stdout, stderr = output.ends
                start = Start(argv, environment, where, source, stdout, stderr, more)
                try:
                    self.start(key, lane, start, scratch, output, limits, pipe)
                except (OSError, ValueError):
                    self.pump.close(output)
                    raise
            except (OSError, ValueError):
                if pipe is not None:
                    self.progress.leave(pipe, alone=True)
                raise
            self.busy.add(lane)
        except (OSError, ValueError) as error:
            # ValueError: a NUL in an argument.
            self.send(("failed", key, describe(argv[0], error), disk))
        finally:
            if source != self.null:
                os.close(source)

    def on_work(
        self,
        key: int,
        lane: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        stem: str,
        limits: group.Limits,
    ) -> None:
        environment = self.base_env | env
        environment[MARK] = f"{self.mark}.{key}"
        try:
            outputs = WorkerOutputs(self.pump, self.poll, self.counts, lane, stem, self.ids)
        except OSError as error:
            self.send(("failed", key, describe(argv[0], error), 0))
            return
        own, marks = self.lanes[lane]
        more = (own, outputs.theirs, self.counts.descriptor, marks)
        start = Start(argv, environment, cwd, self.null, outputs.stdout, outputs.stderr, more)
        try:
            self.start(key, -1, start, "", outputs, limits)
            self.workers[outputs.socket.fileno()] = outputs
        except OSError as error:
            outputs.close()
            self.send(("failed", key, describe(argv[0], error), 0))
        finally:
            outputs.started()

    def on_lane(self, lane: int) -> None:
        _, ends, _, _ = socket.recv_fds(self.channel, 16, 2)
        if len(ends) == 2:  # else the agent is gone, as the next packet says
            for former in self.lanes[lane : lane + 1]:  # none of a new lane
                for descriptor in former:
                    os.close(descriptor)
            self.lanes[lane : lane + 1] = [[keep(end) for end in ends]]

    def on_unwritten(self, output: Output, error: OSError) -> None:
        """An output does not fit on the disk."""
        why = error.strerror or str(error)
        self.send(("unwritten", output.directory, why, error.errno or 0))

    def on_late(self, output: Output) -> None:
        """Something that a call left behind writes, and the call itself had written nothing."""
        self.send(("late", output.directory))

    def start(
        self,
        key: int,
        lane: int,
        start: Start,
        scratch: str,
        output: Output | WorkerOutputs,
        limits: group.Limits,
        progress: ProgressPipe | None = None,
    ) -> None:
        program = start.argv[0]
        if "/" not in program:
            program = self.programs.find(program, start.env.get("PATH", os.defpath))
        cgroup = ""
        if self.cgroups:
            cgroup = os.path.join(self.cgroups, str(key))
            try:
                group.create(cgroup, limits)
            except OSError as error:
                raise OSError(f"cgroup {cgroup}: {error.strerror}") from error
        started, running_since = time.time(), time.monotonic()
        try:
            with self.marks.inherited(key):
                if self.ids is None and not cgroup:
                    pid = spawn(program, start)
                else:
                    pid = fork(program, start, self.ids, cgroup)
        except (OSError, ValueError):
            self.programs.clear()
            if cgroup:
                group.remove(cgroup)
            raise
        self.processes[pid] = Process(
            key, lane, scratch, cgroup, output, started, running_since, progress
        )
        self.pids[key] = pid
        if lane >= 0:
            self.announcements.fresh[key] = running_since

    def on_kill(self, key: int, number: int) -> None:
        pid = self.pids.get(key)
        if pid is not None:
            kill_group(pid, number)
            if number == signal.SIGKILL and (cgroup := self.processes[pid].cgroup):
                group.kill(cgroup)

    # -- reaping -------------------------------------------------------------------------------

    def reap(self) -> None:
        """Report every leader that has exited, after killing what is left of its group."""
        reaped = False
        while True:
            try:
                # The zombie is left in place: it keeps the group's number from being reused.
                peek = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if peek is None:
                break
            reaped = True
            pid = peek.si_pid
            process = self.processes.pop(pid, None)
            if process is None:
                os.waitpid(pid, 0)  # an orphan that came back to us
                continue
            ended = time.monotonic()
            kill_group(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            del self.pids[process.key]
            self.announcements.fresh.pop(process.key, None)
            alone = (
                bool(process.scratch)
                and is_clean(process.scratch)
                and self.leftovers.none_running()
            )
            self.keep_output(process.output, alone)
            if process.progress is not None:
                self.progress.leave(process.progress, alone=alone)
            starved = bool(process.cgroup) and self.leftovers.leave_cgroup(process.cgroup)
            dirty = bool(process.scratch) and not alone
            seconds = ended - process.running_since
            lane = process.lane
            if lane >= 0:
                self.run_next(lane)
            patient = process.of_chunk and len(self.queues.get(lane, ())) >= ENOUGH_AHEAD
            found = (process.key, status, process.started, seconds, dirty, starved)
            self.exits.add(found, ended, patient=patient)
        # Also after an orphan: its own children, which left its group, came back to us only now.
        if reaped:
            self.leftovers.sweep_soon()
        self.exits.settle(time.monotonic())

    def keep_output(self, output: Output | WorkerOutputs, alone: bool) -> None:
        """Take the rest of what a process wrote: its end is reported with all of it on the disk."""
        if isinstance(output, Output):
            self.pump.leave(output, alone=alone)
        else:
            self.workers.pop(output.socket.fileno(), None)
            output.close()

    def end(self) -> None:
        """The agent is gone: leave nothing running."""
        end_all(self.processes, self.cgroups, self.leftovers.emptying)

    def serve(self, wakeup: int) -> None:
        """Work until the agent closes the channel or dies."""
        poll = self.poll
        poll.register(self.channel, select.EPOLLIN)
        poll.register(wakeup, select.EPOLLIN)
        pipes, workers = self.pump.owners, self.workers
        channel, leftovers = self.channel.fileno(), self.leftovers
        fresh = self.announcements.fresh
        handlers: dict[str, Callable[..., None]] = {
            "confine": self.on_confine,
            "run": self.on_run,
            "work": self.on_work,
            "kill": self.on_kill,
            "unqueue": self.on_unqueue,
            "lane": self.on_lane,
        }
        while True:
            now = time.monotonic()
            timeout = None
            if fresh:
                self.announcements.settle(now)
            if fresh:
                timeout = BEGAN_SECONDS
            sweep_at = leftovers.sweep_at
            for due in (sweep_at, self.exits.due, self.progress.due):
                if due and (timeout is None or due < now + timeout):
                    timeout = max(0.0, due - now)
            ready = poll.poll(timeout)
            if self.exits.due or self.progress.due:
                self.exits.settle(time.monotonic())
                self.progress.settle(time.monotonic())
            if not ready and sweep_at and time.monotonic() >= sweep_at:
                leftovers.sweep()
            for fd, _ in ready:
                if fd in pipes:
                    self.pump.on_readable(fd)
                elif fd in self.progress.owners:
                    self.progress.on_readable(fd, time.monotonic())
                elif fd in workers:
                    if not workers[fd].renew():
                        workers.pop(fd).hang_up()
                elif fd == wakeup:
                    os.read(wakeup, 4096)
                    self.reap()
                elif fd == channel:
                    packet = self.channel.recv(MAX_PACKET)
                    if not packet:
                        return
                    message, private = unpack(packet)
                    if private:
                        message[_ENVIRONMENT].update(private)
                    handlers[message[0]](*message[1:])
