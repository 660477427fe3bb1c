"""JSON in and out: what ProtoJSON says, and every fault named by its field."""

import json
import sys

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.jsonread import fill, load
from gateway.http.jsonwrite import dump, to_json
from gateway.http.problems import problem
from quorate.runtime.errors import QuorateError
from quorate.v1 import node_pb2, queue_pb2, scheduler_pb2, task_pb2


def read(kind, value):
    message = kind()
    fill(message, value)
    return message


def rejection(kind, value) -> QuorateError:
    with pytest.raises(QuorateError) as refused:
        read(kind, value)
    return refused.value


TASK = {
    "queue": "default",
    "spec": {
        "command": {"argv": ["a", "b"], "env": {"A": "1"}, "stdin": "AAECAw=="},
        "labels": {"x": "y"},
        "priority": -3,
        "retry": {"initialBackoff": "1.500s", "multiplier": 2.5, "jitter": 0},
        "timeout": "0.000000001s",
        "notBefore": "2026-01-31T12:00:00.250Z",
        "resources": {"cpu": 1, "memory": "1099511627776", "counters": {"gpu": "2"}},
    },
    "requestId": "r",
}


def test_a_request_is_read_and_written_as_it_was():
    message = read(scheduler_pb2.CreateTaskRequest, TASK)
    assert message == json_format.ParseDict(TASK, scheduler_pb2.CreateTaskRequest())
    assert message.spec.retry.HasField("jitter")
    assert to_json(message) == TASK


def test_names_may_be_as_in_the_proto_file_and_null_is_unset():
    message = read(
        scheduler_pb2.CreateTaskRequest,
        {"request_id": "r", "spec": {"not_before": None, "command": None}, "queue": None},
    )
    assert message == scheduler_pb2.CreateTaskRequest(request_id="r", spec=task_pb2.TaskSpec())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), ("5", 5), (5.0, 5), (2e3, 2000), ("-5", -5), (-0.0, 0), (2**31 - 1, 2**31 - 1)],
)
def test_integers_are_numbers_or_text(value, expected):
    assert read(task_pb2.TaskSpec, {"priority": value}).priority == expected


@pytest.mark.parametrize(
    "value",
    [
        *(True, 1.5, "1.5", "", " 1", "1 ", "+1", "01", "0x1", "1_0", "१", [], {}),
        *(2**31, -(2**31) - 1, "9" * 5000, 1e300),
    ],
)
def test_what_is_no_32_bit_integer_is_refused_by_name(value):
    error = rejection(scheduler_pb2.CreateTaskRequest, {"spec": {"priority": value}})
    assert error.field == "spec.priority"
    assert len(error.message) < 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"spec": []}, "spec"),
        ({"spec": "x"}, "spec"),
        ({"spec": {"labels": []}}, "spec.labels"),
        ({"spec": {"labels": {"a": 1}}}, "spec.labels[a]"),
        ({"spec": {"labels": {"a": None}}}, "spec.labels[a]"),
        ({"spec": {"command": {"argv": "ls"}}}, "spec.command.argv"),
        ({"spec": {"command": {"argv": ["ls", 1]}}}, "spec.command.argv[1]"),
        ({"spec": {"command": {"argv": [None]}}}, "spec.command.argv[0]"),
        ({"spec": {"command": {"stdin": "a"}}}, "spec.command.stdin"),
        ({"spec": {"command": {"stdin": "****"}}}, "spec.command.stdin"),
        ({"spec": {"timeout": 5}}, "spec.timeout"),
        ({"spec": {"timeout": "5"}}, "spec.timeout"),
        ({"spec": {"timeout": "999999999999s"}}, "spec.timeout"),
        ({"spec": {"notBefore": "tomorrow"}}, "spec.not_before"),
        ({"spec": {"notBefore": "2026-02-30T00:00:00Z"}}, "spec.not_before"),
        ({"spec": {"notBefore": "0000-01-01T00:00:00Z"}}, "spec.not_before"),
        ({"spec": {"notBefore": "2026-01-01T00:00:00"}}, "spec.not_before"),
        ({"spec": {"retry": {"multiplier": "fast"}}}, "spec.retry.multiplier"),
        ({"spec": {"retry": {"multiplier": True}}}, "spec.retry.multiplier"),
        ({"spec": {"retry": {"multiplier": 10**400}}}, "spec.retry.multiplier"),
        ({"spec": {"retry": {"fatalErrors": {}}}}, "spec.retry.fatal_errors"),
        ({"spec": {"resources": {"counters": {"g": "x"}}}}, "spec.resources.counters[g]"),
        ({"spec": {"name": "\ud800"}}, "spec.name"),
        ({"spec": {"name": 5}}, "spec.name"),
        ({"spec": {"command": {}, "python": {}}}, "spec.python"),
        ({"requestId": "a", "request_id": "a"}, "request_id"),
        ({"nonsense": 1}, "nonsense"),
        ({"spec": {"nonsense": None}}, "spec.nonsense"),
    ],
)
def test_a_wrong_type_is_refused_by_the_fields_path(body, field):
    assert rejection(scheduler_pb2.CreateTaskRequest, body).field == field


def test_enums_are_names_or_known_numbers():
    good: list = ["PLACEMENT_STRATEGY_ROUND_ROBIN", 2, 2.0, "2"]
    for value in good:
        assert read(queue_pb2.Queue, {"placement": value}).placement == 2
    bad: list = ["ROUND_ROBIN", 77, "77", -1, True, [], ""]
    for value in bad:
        assert rejection(queue_pb2.Queue, {"placement": value}).field == "placement"


@pytest.mark.parametrize("text", ["_-8=", "_-8", "/+8=", "/+8"])
def test_bytes_are_base64_in_either_alphabet(text):
    assert read(task_pb2.CommandWork, {"stdin": text}).stdin == b"\xff\xef"


def test_doubles_that_are_no_numbers_have_names():
    message = read(node_pb2.NodeStats, {"cpu": "NaN", "load1": "-Infinity"})
    assert to_json(message) == {"cpu": "NaN", "load1": "-Infinity"}


@pytest.mark.parametrize(
    ("value", "written"), [(2.0, b"2"), (0.5, b"0.5"), (-0.0, b"-0.0"), (1e300, b"1e+300")]
)
def test_a_double_is_written_as_briefly_as_it_can_be(value, written):
    retry = task_pb2.RetryPolicy(multiplier=value)
    assert dump(to_json(retry)["multiplier"]) == written


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b"\xff{}",
        b'\xef\xbb\xbf{"queue": "a"}',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"{} {}",
    ],
)
def test_malformed_json_is_refused(body):
    with pytest.raises(QuorateError) as refused:
        load(body)
    assert refused.value.reason == "MALFORMED_JSON"
    assert refused.value.field == "body"


def test_long_numbers_neither_take_long_nor_keep_other_threads_from_running():
    # 10 MB took half a second, in which the gateway answered nobody.
    body = b'{"a": [' + b"9" * 4_000 + b",9" * 100 + b"]}"
    with pytest.raises(QuorateError, match="more than 310 digits"):
        load(body)
    asked = []

    def watch(frame, event, arg):
        asked.append(frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        assert load(b'{"a": [1, -2.5, 1e3]}') == {"a": [1, -2.5, 1000.0]}
    finally:
        sys.setprofile(None)
    # Between two functions written in Python another thread may go on.
    assert asked.count("_float") >= 2
    assert "_integer" in asked


@pytest.mark.parametrize(
    "body",
    [r'{"\ud800": 1}', r'{"spec": {"labels": {"a\uDFFF": "v"}}}', r'{"\ud800": 1, "\ud800": 2}'],
)
def test_a_name_that_is_no_text_is_refused_and_can_be_answered(body):
    with pytest.raises(QuorateError, match="half of a surrogate pair") as refused:
        load(body.encode())
    assert dump(problem(refused.value))


def test_a_name_may_be_any_text():
    assert load(rb'{"\ud83d\ude00\u00e9": "\ud83d\ude00"}') == {"\U0001f600\u00e9": "\U0001f600"}


def test_an_empty_body_is_an_empty_object():
    assert load(b"") == {}


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
specs = st.builds(
    task_pb2.TaskSpec,
    command=st.builds(
        task_pb2.CommandWork,
        argv=st.lists(text, max_size=3),
        env=st.dictionaries(text, text, max_size=3),
        stdin=st.binary(max_size=20),
    ),
    priority=st.integers(-(2**31), 2**31 - 1),
    timeout=st.builds(
        lambda s, n: {"seconds": s, "nanos": n},
        st.integers(0, 315_576_000_000 - 1),
        st.integers(0, 999_999_999),
    ),
    not_before=st.builds(
        lambda s, n: {"seconds": s, "nanos": n},
        st.integers(-62_135_596_800, 253_402_300_799),
        st.integers(0, 999_999_999),
    ),
    retry=st.builds(
        task_pb2.RetryPolicy, multiplier=st.floats(allow_nan=False), jitter=st.floats(0, 1)
    ),
    resources=st.builds(
        task_pb2.Resources,
        memory=st.integers(-(2**63), 2**63 - 1),
        counters=st.dictionaries(text, st.integers(-(2**63), 2**63 - 1), max_size=2),
    ),
)


@settings(max_examples=100, deadline=None)
@given(specs)
def test_writing_is_what_protobuf_itself_writes_and_reading_undoes_it(spec):
    written = json.loads(dump(to_json(spec)))
    assert json_format.ParseDict(written, task_pb2.TaskSpec()) == spec
    assert read(task_pb2.TaskSpec, written) == spec
    assert read(task_pb2.TaskSpec, json_format.MessageToDict(spec)) == spec
