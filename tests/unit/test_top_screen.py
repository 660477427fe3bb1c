"""`quorate top`: the picture fits every terminal, and shows what matters most in small ones."""

from __future__ import annotations

import dataclasses
import io
import time

import pytest
from rich.cells import cell_len

from quorate.cli.output import render
from quorate.cli.top.sample import Rates, Sample
from quorate.cli.top.screen import Screen
from quorate.cli.top.view import View
from quorate.v1 import cluster_pb2, job_pb2, node_pb2, queue_pb2, task_pb2

NOW = time.time()


def busy(queues: int = 5, nodes: int = 3, jobs: int = 2, tasks: int = 60) -> Sample:
    cluster = cluster_pb2.Cluster(name="farm", version="1.2.3", live_tasks=12_345)
    cluster.schedulers.add(name="s1", leader=True)
    cluster.schedulers.add(name="s2")
    made = Sample(
        1.0,
        NOW,
        cluster,
        tuple(
            queue_pb2.Queue(
                name=f"queue-{number}",
                counts=queue_pb2.QueueCounts(pending=number * 1_000_000, running=number),
            )
            for number in range(queues)
        ),
        tuple(
            node_pb2.Node(
                name=f"node-{number}",
                slots=8,
                running=number,
                state=node_pb2.NODE_STATE_READY,
                stats=node_pb2.NodeStats(cpu=number / 10, memory_used=1, memory_total=4),
            )
            for number in range(nodes)
        ),
        tuple(
            job_pb2.Job(
                id=f"{number:032x}",
                queue="queue-1",
                count=1_000_000,
                state=job_pb2.JOB_STATE_ACTIVE,
                spec=job_pb2.JobSpec(name=f"job-{number}"),
                counts=job_pb2.JobCounts(succeeded=999_999, pending=1),
            )
            for number in range(jobs)
        ),
        tuple(
            task_pb2.Task(
                id=f"{number:032x}",
                queue="queue-1",
                state=task_pb2.TASK_STATE_RUNNING,
                attempt=1,
                spec=task_pb2.TaskSpec(name=f"task-{number} \x1b[2J\r日本 " + "long " * 30),
                attempts=[task_pb2.Attempt(number=1, node="node-1")],
            )
            for number in range(tasks)
        ),
        frozenset(),
    )
    for number, task in enumerate(made.tasks):
        task.attempts[0].start_time.FromNanoseconds(int((NOW - number) * 1e9))
    return made


def drawn(
    width: int,
    height: int,
    sample: Sample | None = None,
    view: View | None = None,
    trouble: str = "",
    rates: Rates | None = None,
) -> list[str]:
    """The lines of the picture; each of them fits."""
    file = io.StringIO()
    console = render.Terminal(
        file=file, width=width, height=height, color_system=None, force_terminal=True
    )
    screen = Screen(sample or busy(), rates or Rates({}, {}), view or View(), trouble)
    console.print(screen, end="", height=height)
    lines = file.getvalue().split("\n")
    assert len(lines) == height
    assert [line for line in lines if cell_len(line) > width] == []
    assert "\x1b" not in file.getvalue().replace("\x1b[0m", "")
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("width", [1, 10, 40, 80, 120, 160, 200, 300])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 13, 24, 50, 120])
def test_fits_every_terminal(width, height):
    drawn(width, height)
    drawn(width, height, busy(0, 0, 0, 0))
    drawn(width, height, view=View(help=True), trouble="No answer for 2 s.")


def test_eighty_columns_show_all_panels():
    text = "\n".join(drawn(80, 24, rates=Rates({"queue-1": 1_234.0}, {})))
    assert "Leader s1" in text
    assert "Done 1,234/s" in text
    assert "Slots █░░░░░░░░░ 3/24" in text
    assert "Queues 5, by RUNNING ▼" in text
    assert "Nodes 3, by NODE ▲" in text
    assert "Unfinished jobs 2, by AGE ▼" in text
    assert "Running tasks 60, by RAN ▼, rows 1 to" in text
    # Not yet 100 %.
    assert "99%" in text
    # The longest run first.
    assert text.index("task-59") < text.index("task-58")
    assert "task-1 " not in text
    assert drawn(80, 24)[-1].startswith("q quit")


def test_wide_terminals_have_queues_and_nodes_side_by_side_and_whole_ids():
    sample = busy()
    for task in sample.tasks:
        task.spec.name = "short"
    lines = drawn(200, 50, sample)
    assert any("Queues 5" in line and "Nodes 3" in line for line in lines)
    assert any(f"{59:032x}" in line for line in lines)
    assert not any("Queues" in line and "Nodes 3," in line for line in drawn(159, 50))


def test_low_terminals_keep_the_chosen_panel():
    for panel, title in (("tasks", "Running tasks"), ("nodes", "Nodes 3,")):
        lines = drawn(80, 7, view=View(panel=panel))
        assert title in lines[2]
        assert len([line for line in lines if ", by " in line]) == 1


def test_sorting_reversing_scrolling_and_hiding():
    view = View(panel="queues", reversed=frozenset({"queues"}), hidden=frozenset({"tasks"}))
    text = "\n".join(drawn(80, 30, view=view))
    assert text.index("queue-0") < text.index("queue-4")
    assert "Running tasks" not in text
    scrolled = "\n".join(drawn(80, 12, view=View(scrolls=(0, 0, 0, 39))))
    assert "task-20" in scrolled
    assert "task-59" not in scrolled
    # Past the end the last rows are shown.
    assert "task-0 " in "\n".join(drawn(80, 12, view=View(scrolls=(0, 0, 0, 59))))


def test_what_may_not_be_read_says_so():
    sample = dataclasses.replace(busy(nodes=0), hidden=frozenset({"nodes"}))
    assert "This caller may not read them." in drawn(80, 40, sample)


def test_empty_panels_take_no_room_unless_they_are_chosen():
    sample = busy(jobs=0, tasks=0)
    text = "\n".join(drawn(80, 24, sample))
    assert "Unfinished jobs" not in text
    assert "Running tasks 0, by RAN ▼\nNone." in text


def test_trouble_and_help_are_shown():
    assert drawn(80, 24, trouble="No answer for 4 s.")[2] == "No answer for 4 s."
    assert "Frozen" in drawn(80, 24, view=View(frozen=True))[2]
    assert any("Choose the next panel" in line for line in drawn(80, 24, view=View(help=True)))
