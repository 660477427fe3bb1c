"""What a search looks in: short, in lower case, shared by tasks alike."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from quorate.v1 import task_pb2
from scheduler.core.model.indexes.texts import LONGEST, error_text, found, task_text, words
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.storage import records

TASK = TaskId("0123456789abcdef0123456789abcdef")


def text_of(**fields: object) -> str:
    spec = task_pb2.TaskSpec(**fields)  # type: ignore[arg-type]
    return records.task_spec(spec, spec.SerializeToString()).text


def test_name_work_and_labels_are_looked_in():
    command = task_pb2.CommandWork(argv=["/usr/bin/Convert", "--secret"])
    text = text_of(command=command, name="Page 7", labels={"team": "Mail", "a": "b"})
    assert text == "page 7\nconvert\na=b\nteam=mail"
    assert text_of(command=command) == "convert"
    python = task_pb2.PythonWork(entrypoint="reports:Build")
    assert text_of(python=python) == "reports:build"


def test_every_word_must_be_found_in_the_text_or_the_id():
    text = task_text("Page 7", "convert", {"team": "mail"})
    assert found(words("AGE  mail"), TASK, text)
    assert found(words("6789ab team=ma"), TASK, text)
    # Every second id has an 8 in it.
    assert not found(words("page 8"), TASK, text)
    assert not found(words("6789a0"), TASK, text)
    assert found(words(" "), TASK, text)


def test_texts_are_bounded():
    assert len(task_text("n" * 500, "w", {"k": "v" * 500})) == LONGEST
    assert len(error_text("ValueError", "m" * 5_000)) == LONGEST


def test_tasks_alike_share_one_text():
    state = State()
    queue = QueueRow("q", 0.0)  # type: ignore[arg-type]
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b"))
    rows = [
        state.new_row(TaskId(f"{n:032x}"), queue, records.task_spec(spec, b""), 0.0)
        for n in range(3)
    ]
    assert rows[0].text == "a:b"
    assert rows[0].text is rows[1].text is rows[2].text
