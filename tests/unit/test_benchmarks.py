"""What the benchmarks make of their measurements (the measuring itself is `make bench`)."""

from __future__ import annotations

import io
import json
from functools import partial

import pytest
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import report
from benchmarks.broker import comparing, jetstream
from benchmarks.broker.clients.__main__ import PROGRAMS
from benchmarks.figures import CpuCost, Figure, Findings, at_least, at_most, percentile, spread


def test_targets_know_their_direction():
    assert at_least(10).met(10)
    assert not at_least(10).met(9.9)
    assert at_most(4).met(4)
    assert not at_most(4).met(4.1)


def test_percentiles_are_measured_values():
    values = [float(number) for number in range(1000, 0, -1)]
    assert percentile(values, 0.5) == 501
    assert percentile(values, 0.99) == 991
    assert percentile(values, 1.0) == 1000
    assert percentile([7.0], 0.5) == 7.0


def test_rounds_are_told_with_their_spread():
    assert spread([3.0, 1.0, 2.0]) == "median of 3 rounds, 1 to 3"
    assert spread([3.0]) == "1 round"


def test_tables_show_verdicts_and_the_cost_of_one_task():
    findings = Findings(
        [Figure("rate", 12_000, "tasks/s", at_least(10_000)), Figure("p50", 5, "ms", at_most(4))],
        [CpuCost("no-op", 1_000_000, 50.0, {"etcd": 20.0, "leader": 30.0})],
    )
    output = io.StringIO()
    report.show(Console(file=output, width=200), {"throughput": findings})
    text = output.getvalue()
    assert ">= 10,000 met" in text
    assert "<= 4.00 missed" in text
    row = next(line for line in text.splitlines() if "no-op" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["no-op", "20", "30", "-", "-", "-", "-", "-", "-", "50", "1.00"]


def test_the_document_has_every_figure():
    findings = Findings([Figure("rate", 12_000, "tasks/s", at_least(10_000))])
    document = json.loads(json.dumps(report.document({"throughput": findings})))
    assert document["results"]["throughput"]["figures"][0]["value"] == 12_000


@pytest.mark.parametrize(("value", "status"), [(9.0, 1), (11.0, 0)])
def test_a_missed_target_is_a_failure(value, status, monkeypatch, tmp_path):
    found = Findings([Figure("rate", value, "tasks/s", at_least(10))])
    monkeypatch.setattr(command_line, "BENCHMARKS", {"one": lambda **_: found})
    file = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", ["benchmarks", "one", "--json", str(file)])
    assert command_line.main() == status
    assert json.loads(file.read_text())["results"]["one"]["figures"][0]["value"] == value


def test_a_benchmark_that_fails_leaves_the_others_their_figures(monkeypatch, capsys):
    def fails(**_options):
        raise OSError("no such program")

    found = Findings([Figure("rate", 12_000, "tasks/s", at_least(10_000))])
    monkeypatch.setattr(
        command_line, "BENCHMARKS", {"broken": fails, "throughput": lambda **_options: found}
    )
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert command_line.main() == 1
    shown = capsys.readouterr().out
    assert "no such program" in shown
    assert ">= 10,000 met" in shown
    assert "failed, see above: broken" in shown


def test_all_that_need_no_other_programs_run_once_when_none_is_named(monkeypatch):
    ran = []

    def note(name, **_):
        ran.append(name)
        return Findings()

    for name in command_line.BENCHMARKS:
        monkeypatch.setitem(command_line.BENCHMARKS, name, partial(note, name))
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert command_line.main() == 0
    assert ran == [
        *("throughput", "arrays", "tls", "latency", "commands", "workers"),
        *("memory", "failover", "live", "routing"),
    ]


def test_an_unknown_benchmark_is_refused_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "throughput", "nonsense"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_cases_of_the_broker_name_programs_that_exist():
    for case in comparing.CASES:
        assert {case.ours, case.theirs} <= PROGRAMS.keys()
        assert case.theirs.startswith(("aio-", "pika-"))
    assert {program for program, _ in jetstream.CASES.values()} <= PROGRAMS.keys()
    assert jetstream.PACED in PROGRAMS
