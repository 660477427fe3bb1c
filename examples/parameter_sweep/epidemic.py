"""The program that is swept: an SIR model of an epidemic, one run for one set of parameters.

    python epidemic.py '{"infections_per_day": "0.3", "days_ill": "10", "vaccinated": "0"}' OUTPUT

It knows nothing of Quorate. It writes its result as JSON into the file OUTPUT.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def simulate(infections_per_day: float, days_ill: float, vaccinated: float) -> dict[str, float]:
    """Share of the people who fall ill, and the day on which most of them are ill."""
    ill = 1e-4
    healthy = 1.0 - vaccinated - ill
    start, most, peak = healthy, ill, 0
    for day in range(1, 1_000):
        infected = min(healthy, infections_per_day * ill * healthy)
        healthy -= infected
        ill += infected - ill / days_ill
        if ill > most:
            most, peak = ill, day
    return {"fell_ill": round(start - healthy, 4), "most_ill": round(most, 4), "peak_day": peak}


def main() -> int:
    """One run."""
    row = {name: float(value) for name, value in json.loads(sys.argv[1]).items()}
    if not row["days_ill"] > 0:
        print("days_ill must be above 0", file=sys.stderr)
        return 2
    output = Path(sys.argv[2])
    # Under another name first: a run that is ended half-way leaves no half of a file.
    part = output.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps({**row, **simulate(**row)}))
    part.replace(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
