"""The examples of jobs, as a reader runs them, on a real cluster."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.parameter_sweep.epidemic import simulate
from examples.thumbnails.thumbnails import Image, read_png, shrunk, write_png
from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.examples import Run, runner
from tests.support.local import running

CHECKOUT = Path(__file__).resolve().parents[2]
SWEEP = CHECKOUT / "examples" / "parameter_sweep"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("examples") / "data"
    with running(LocalPlan(data_dir=data, schedulers=1, nodes=2, slots=2, secure=tls.ON)) as local:
        yield local


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path) -> Run:
    return runner(cluster, tmp_path)


def picture(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    return write_png(Image(width, height, 2, bytes(colour) * width * height))


def test_every_image_of_a_folder_gets_a_thumbnail(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(6):
        (photos / f"{number}.png").write_bytes(picture(90, 60, (number * 40, 10, 200)))
    (photos / "broken.png").write_bytes(b"no image")
    script = CHECKOUT / "examples" / "thumbnails" / "thumbnails.py"
    done = run(script, photos, tmp_path / "small", "--width", "30")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 times ValueError: not a PNG image" in done.stderr
    made = {path.name: read_png(path.read_bytes()) for path in (tmp_path / "small").iterdir()}
    assert sorted(made) == [f"{number}.png" for number in range(6)]
    assert {(image.width, image.height) for image in made.values()} == {(30, 20)}
    assert made["3.png"].data[:3] == bytes((120, 10, 200))
    (photos / "broken.png").unlink()
    assert run(script, photos, tmp_path / "small").returncode == 0


def test_a_program_runs_once_for_each_row_of_a_csv_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(SWEEP / "sweep.py", SWEEP / "parameters.csv", out, "--max-parallel", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    with (out / "results.csv").open(newline="") as file:
        results = list(csv.DictReader(file))
    with (SWEEP / "parameters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(results) == len(rows) == 9
    for row, result in zip(rows, results, strict=True):
        expected = simulate(**{name: float(value) for name, value in row.items()})
        assert {name: float(result[name]) for name in expected} == expected


def test_rows_that_fail_are_named_and_the_others_gathered(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("infections_per_day,days_ill,vaccinated\n0.2,5,0\n0.2,0,0\n")
    done = run(SWEEP / "sweep.py", tmp_path / "p.csv", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rows 1 to 1 failed" in done.stderr
    assert "1 results in" in done.stdout


def test_a_line_of_a_file_is_an_item_for_the_shell_too(run: Run, tmp_path: Path) -> None:
    row = {"infections_per_day": 0.3, "days_ill": 10, "vaccinated": 0.5}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    (tmp_path / "results").mkdir()
    argv = ("submit", "--each-line", "rows.jsonl", "--max-parallel", "50", "--wait", "--")
    program = (sys.executable, SWEEP / "epidemic.py", "{}", f"{tmp_path}/results/{{index}}.json")
    done = run("-m", "quorate", *argv, *program)
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert written == ["0.json", "1.json", "2.json"]


def test_shrinking_averages(tmp_path: Path) -> None:
    image = Image(4, 2, 0, bytes([0, 10, 20, 30, 40, 50, 60, 70]))
    assert shrunk(image, 2) == Image(2, 1, 0, bytes([25, 45]))
