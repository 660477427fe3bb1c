"""`quorate call`, `map` and `submit` of many: results and outputs as they are printed."""

import json

import grpc
import pytest

from tests.support.command_line import command_line
from tests.support.fake_scheduler import FakeCluster


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfdbinary):
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


def test_submit_many_shows_what_each_wrote_in_one_piece(quorate, cluster):
    words = ("submit", "--times", "5", "--wait")
    assert quorate(*words, "--", "printf", "a\nb\n") == (0, "a\nb\n" * 5, "")
    code, out, err = quorate(*words, "--", "sh", "-c", "echo out; echo oops >&2; exit 3")
    assert (code, out) == (1, "out\n" * 5)
    assert err.startswith("oops\n" * 5)
    assert "5 of 5 tasks did not succeed" in err
    code, out, _ = quorate(*words, "--json", "--", "echo", "hello")
    assert (code, len(json.loads(out))) == (0, 5)


def test_submit_many_goes_on_when_an_output_cannot_be_read(quorate, cluster):
    cluster.faults["LogChunk"] = [grpc.StatusCode.NOT_FOUND]
    code, out, err = quorate("submit", "--times", "3", "--wait", "--", "echo", "hello")
    assert (code, out) == (0, "hello\n" * 2)
    assert err.startswith("The output of ")
    assert "cannot be read" in err


def test_submit_many_and_wait_for_all(quorate, cluster):
    assert quorate("submit", "--times", "30", "--wait", "--", "true")[0] == 0
    assert len(cluster.tasks) == 30
    code, _, err = quorate("submit", "--times", "3", "--wait", "--", "false")
    assert code == 1
    assert "3 of 3 tasks did not succeed" in err
    cluster.hold.clear()
    arguments = ("submit", "--times", "2", "--wait", "--wait-timeout", "0.05", "--", "true")
    assert quorate(*arguments)[0] == 6


@pytest.mark.parametrize(
    ("given", "printed"),
    [("[3, 4]", "5.0"), ('{"args": [3], "kwargs": {}}', "3.0"), ("-5", "5.0")],
)
def test_call_prints_the_result_as_json(quorate, given, printed):
    assert quorate("call", "math:hypot", "--", given)[:2] == (0, printed + "\n")


def test_call_reports_what_the_function_raised(quorate):
    code, out, err = quorate("call", "math:sqrt", "[-1]")
    assert (code, out) == (1, "")
    assert "ValueError: math domain error" in err


def test_call_without_waiting_prints_the_id(quorate, cluster):
    _, out, _ = quorate("call", "--no-wait", "math:sqrt", "[4]")
    assert out.strip() in cluster.tasks


def test_map_prints_a_result_a_line_in_order(quorate, tmp_path):
    items = tmp_path / "items"
    items.write_text("1\n4\n9\n")
    code, out, _ = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert (code, out) == (0, "1.0\n2.0\n3.0\n")
    _, out, _ = quorate("map", "builtins:len", "--items", str(items), "--unordered")
    assert sorted(out.split()) == ["1", "1", "1"]


def test_map_reports_an_item_that_failed(quorate, tmp_path):
    items = tmp_path / "items"
    items.write_text("-1\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert code == 1
    assert "math domain error" in err
    items.write_text("{\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert code == 2
    assert "line 1" in err
