"""Counts the words of a text in three stages, as one graph of tasks.

    python examples/pipeline/pipeline.py TEXT OUTPUT [--parts 4] [--queue default]

                  +-> count 1 --+
    split --------+-> count 2 --+-> merge ---> report ---> tidy up (always)
      |           +-> count 3 --+
      +-> complain (only if split fails)

The cluster's nodes must see the text and the folder of OUTPUT, as those of `quorate up` do.
Everything is in this file: functions of the script itself travel with their tasks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import quorate


def main(arguments: list[str] | None = None) -> int:
    """Submit the graph, wait for it, say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parts", type=int, default=4, help="tasks that count at the same time")
    parser.add_argument("--queue", default="default")
    options = parser.parse_args(arguments)
    text, output = options.text.absolute(), options.output.absolute()
    folder = output.with_name(f"{output.name}.parts")
    with quorate.Client() as client:
        graph = client.options(queue=options.queue, retries=1).graph(f"words of {text.name}")
        split = graph.add(cut, str(text), str(folder), options.parts, name="split", retries=0)
        # Fan out: each of them gets the result of `split`, the paths, and its own number.
        counts = [
            graph.add(count, split, number, name=f"count {number + 1}")
            for number in range(options.parts)
        ]
        # Fan in: a list of results.
        total = graph.add(merge, counts, name="merge")
        report = graph.add(write, total, str(output), name="report")
        graph.add(complain, str(text), after=split, on="failure")
        graph.add(tidy_up, str(folder), after=report, on="always", cleanup=True)
        job = graph.submit()
        print(f"job {job.id}")
        job.wait()
        for node in job.nodes():
            if node.skipped:
                print(f"{node.name} was skipped")
        if job.status() != "SUCCEEDED":
            print(job.task("complain").result(), file=sys.stderr)
            return 1
        words, most = job.result(report)
        print(f"{words:,} words; the most frequent: {', '.join(most)}")
        return 0


def cut(text: str, folder: str, parts: int) -> list[str]:
    """Cut the text into files of about as many lines each; their paths."""
    lines = Path(text).read_text().splitlines(keepends=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(parts):
        path = Path(folder) / f"{number}.txt"
        path.write_text("".join(lines[number::parts]))
        paths.append(str(path))
    return paths


def count(paths: list[str], number: int) -> Counter[str]:
    """The words of one file."""
    return Counter(re.findall(r"[^\W\d_]+", Path(paths[number]).read_text().lower()))


def merge(counts: list[Counter[str]]) -> Counter[str]:
    """The words of all files."""
    return sum(counts, Counter())


def write(total: Counter[str], output: str) -> tuple[int, list[str]]:
    """Write all words with their counts; how many words there are, and the most frequent ones."""
    ordered = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    Path(output).write_text("".join(f"{number}\t{word}\n" for word, number in ordered))
    return total.total(), [word for word, _ in ordered[:3]]


def complain(text: str) -> str:
    """What a real pipeline would send to somebody."""
    return f"{text} could not be split: is it a text?"


def tidy_up(folder: str) -> None:
    """Remove the parts. Its failure would not fail the job."""
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
