"""Failover rules, and where addresses come from."""

import fcntl
import os
from pathlib import Path

import pytest

from quorate.client.transport.discovery import (
    LocalCluster,
    LocalProcess,
    default_data_dir,
    find_addresses,
    owner_of,
    parse_addresses,
)
from quorate.client.transport.endpoints import SILENCE, Endpoints
from quorate.runtime.errors import QuorateError


def test_the_next_address_is_tried_after_a_failure_and_round_again():
    endpoints = Endpoints(["a:1", "b:1", "c:1"])
    seen = []
    for _ in range(4):
        seen.append(endpoints.pick(0.0))
        endpoints.on_failure(seen[-1], silent=False, now=0.0)
    assert seen == ["a:1", "b:1", "c:1", "a:1"]


def test_late_failures_of_an_address_already_left_change_nothing():
    endpoints = Endpoints(["a:1", "b:1"])
    endpoints.on_failure("a:1", silent=False, now=0.0)
    endpoints.on_failure("a:1", silent=False, now=0.0)
    assert endpoints.pick(0.0) == "b:1"


def test_the_leader_is_preferred_until_it_fails():
    endpoints = Endpoints(["a:1", "b:1"])
    endpoints.on_leader("b:1", ["a:1", "b:1"])
    assert endpoints.pick(0.0) == "b:1"
    endpoints.on_failure("b:1", silent=False, now=0.0)
    assert endpoints.pick(0.0) == "a:1"


def test_a_leader_that_could_not_be_reached_is_not_used():
    endpoints = Endpoints(["a:1"])
    endpoints.on_leader("pod:1", ["a:1"])
    assert endpoints.pick(0.0) == "a:1"


def test_addresses_that_the_cluster_teaches_are_tried_too():
    endpoints = Endpoints(["a:1"])
    endpoints.on_leader("b:1", ["a:1", "b:1"])
    assert endpoints.pick(0.0) == "b:1"
    endpoints.on_failure("b:1", silent=False, now=0.0)
    endpoints.on_failure("a:1", silent=False, now=0.0)
    assert endpoints.pick(0.0) == "b:1"


def test_who_leads_is_asked_at_the_second_answer_and_again_after_a_failure():
    endpoints = Endpoints(["a:1", "b:1"])
    assert [endpoints.on_answer("a:1") for _ in range(3)] == [False, True, False]
    endpoints.on_leader("a:1", [])
    assert not endpoints.on_answer("a:1")
    endpoints.on_failure("a:1", silent=False, now=0.0)
    assert [endpoints.on_answer("a:1") for _ in range(2)] == [False, True]


def test_a_silent_address_is_left_alone_for_a_while_even_when_others_refuse():
    endpoints = Endpoints(["a:1", "b:1"])
    endpoints.on_leader("a:1", [])
    endpoints.on_failure("a:1", silent=True, now=0.0)
    for _ in range(3):
        assert endpoints.pick(1.0) == "b:1"
        endpoints.on_failure("b:1", silent=False, now=1.0)
    # Somebody still takes it for the leader.
    endpoints.on_leader("a:1", [])
    assert endpoints.pick(1.0) == "b:1"
    endpoints.on_failure("b:1", silent=False, now=SILENCE + 1)
    assert {endpoints.pick(SILENCE + 1), *_after_failure(endpoints)} == {"a:1", "b:1"}


def _after_failure(endpoints):
    endpoints.on_failure(endpoints.pick(SILENCE + 1), silent=False, now=SILENCE + 1)
    return [endpoints.pick(SILENCE + 1)]


def test_when_all_are_silent_they_are_tried_all_the_same():
    endpoints = Endpoints(["a:1", "b:1"])
    for address in ("a:1", "b:1"):
        endpoints.on_failure(address, silent=True, now=0.0)
    assert endpoints.pick(1.0) in ("a:1", "b:1")


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "host:0", "host:70000", "h:1,x"])
def test_what_is_not_host_port_is_refused(text):
    with pytest.raises(QuorateError) as caught:
        parse_addresses(text)
    assert caught.value.field == "address"


def test_several_addresses_are_split_and_kept_once():
    assert parse_addresses(" a:1, b:2 ,a:1") == ("a:1", "b:2")


@pytest.fixture
def running(tmp_path):
    """A folder whose lock is held, as a supervisor holds it."""
    with (tmp_path / "lock").open("w") as lock:
        lock.write("77")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster_in(tmp_path, 77)
        yield tmp_path


def cluster_in(folder: Path, pid: int) -> LocalCluster:
    process = LocalProcess(name="s1", role="scheduler", address="127.0.0.1:5", pid=1, state="x")
    cluster = LocalCluster("local", str(folder), pid, 1.0, True, (process,))
    (folder / "cluster.json").write_text(cluster.to_json())
    return cluster


def test_the_argument_goes_before_the_environment_and_that_before_the_local_cluster(running):
    environ = {"QUORATE_DATA_DIR": str(running)}
    assert find_addresses(None, None, environ) == ("127.0.0.1:5",)
    environ["QUORATE_ADDRESS"] = "a:1"
    assert find_addresses(None, None, environ) == ("a:1",)
    assert find_addresses("b:1", None, environ) == ("b:1",)
    assert find_addresses(None, running, environ) == ("127.0.0.1:5",)
    assert owner_of(running) == 77


def test_without_a_cluster_it_says_how_to_start_one(tmp_path):
    with pytest.raises(QuorateError, match="quorate up") as caught:
        find_addresses(None, tmp_path, {})
    assert caught.value.reason == "NO_CLUSTER"


def test_a_file_left_behind_by_a_dead_supervisor_is_no_cluster(tmp_path):
    cluster_in(tmp_path, os.getpid())
    (tmp_path / "lock").write_text(str(os.getpid()))
    assert owner_of(tmp_path) == 0
    with pytest.raises(QuorateError) as caught:
        find_addresses(None, tmp_path, {})
    assert caught.value.reason == "NO_CLUSTER"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"processes": 5}', '{"processes": [{}]}'])
def test_a_damaged_cluster_file_is_an_error_and_not_a_traceback(tmp_path, text):
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(QuorateError) as caught:
        find_addresses(None, tmp_path, {})
    assert caught.value.reason == "CLUSTER_FILE_UNREADABLE"


def test_cluster_json_reads_back_what_was_written(tmp_path):
    cluster = cluster_in(tmp_path, 7)
    assert LocalCluster.from_json(cluster.to_json()) == cluster
    assert cluster.addresses == ("127.0.0.1:5",)


def test_the_default_data_dir_follows_the_xdg_rules():
    assert default_data_dir({"XDG_STATE_HOME": "/s"}) == Path("/s/quorate/local")
    assert default_data_dir({"QUORATE_DATA_DIR": "/d"}) == Path("/d")
