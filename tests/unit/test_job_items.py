"""The bounds of a job's items: who is wrong is named, among millions of them too."""

from __future__ import annotations

import pytest

from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from scheduler.api.jobs import validate

TEXT = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["work", "{}"]))
PICKLE = task_pb2.TaskSpec(python=task_pb2.PythonWork(pickle=b"x"))


@pytest.mark.parametrize(
    ("items", "field", "words"),
    [
        ([b"a", b"b\0", b"c"], "items[1]", "NUL"),
        ([b"\0"], "items[0]", "NUL"),
        (["é".encode(), b"", b"\xff", b"x"], "items[2]", "UTF-8"),
        # Half a character here, half there: neither is a text.
        (["é".encode()[:1], "é".encode()[1:]], "items[0]", "UTF-8"),
        ([b"a", "é".encode()[:1]], "items[1]", "UTF-8"),
        ([b"", b"x" * (validate.MAX_ITEM + 1)], "items[1]", "1048576"),
        ([b"x" * validate.MAX_ITEM] * 17, "items", "together"),
    ],
)
def test_the_item_that_is_wrong_is_named(items: list[bytes], field: str, words: str) -> None:
    with pytest.raises(QuorateError, match=words) as error:
        validate.job_items("items", items, TEXT)
    assert error.value.field == field


def test_good_items_pass() -> None:
    validate.job_items("items", [], TEXT)
    validate.job_items("items", [b"", "né".encode(), b"x" * validate.MAX_ITEM], TEXT)
    validate.job_items("items", [b"\0", b"\xff"], PICKLE)
    validate.job_items("items", [b"\0", b"\xff"], None)
