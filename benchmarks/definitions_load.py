"""How long Dagster takes to load the definitions, against importing dagster and pandas, its peers in this run.

    python benchmarks/definitions_load.py [rounds]

Each round starts both interpreters in turn, so that a drift of the machine hits both alike.
"""

import statistics
import subprocess
import sys
import time

PEER = "import dagster, pandas"
OURS = "import pipeline.definitions"
DEFAULT_ROUNDS = 9


def seconds(statement: str) -> float:
    """Wall-clock seconds of a fresh interpreter that executes one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median and minimum of both, and the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    for statement in (PEER, OURS):
        seconds(statement)
    timings = [(seconds(PEER), seconds(OURS)) for _ in range(rounds)]
    for name, values in zip((PEER, OURS), zip(*timings, strict=True), strict=True):
        print(f"{name:<30} median {statistics.median(values):.2f} s, minimum {min(values):.2f} s")
    ratios = sorted(ours / peer for peer, ours in timings)
    print(
        f"ratio, median of {rounds} rounds: {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
