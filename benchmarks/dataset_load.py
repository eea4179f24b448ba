"""How long a file of 404,290 pairs takes to become splits, and how much memory, against `datasets` in this run.

    python benchmarks/dataset_load.py [rounds]

The pairs are generated (`quora_like.py`), and the same ones in every form. Each measurement is a process of its own,
ours and the peer's in turn; the clock starts before the imports. Ours is what the assets do: read, account for every
row, split with `question_disjoint`, and hash the dataset and its three sides. The peer is what a script would do:
`load_dataset` into an empty cache and `train_test_split` by row, which neither checks rows nor keeps questions apart.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from quora_like import PAIRS, WRITERS, quora_like

DEFAULT_ROUNDS = 3
PEER_FORMATS = {"tsv": "csv", "csv": "csv", "parquet": "parquet", "json-lines": "json"}

OURS = """
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.sources import load_audited
from pipeline.question_pairs.splits import split_pairs
pairs = load_audited(PairSource(source="file", path=path))
sides = split_pairs(pairs.table, SplitPlan())
result = {"version": pairs.table.data_version, "rows": pairs.audit.kept}
[side.data_version for side in (sides.train, sides.dev, sides.eval)]
"""
PEER = """
import datasets
datasets.disable_progress_bars()
options = {"sep": "\\t"} if path.endswith("/tsv") else {}
pairs = datasets.load_dataset(format, data_files=path, split="train", cache_dir=cache, **options)
sides = pairs.train_test_split(test_size=0.1, seed=42)
result = {"version": "", "rows": len(pairs)}
"""
FRAME = """
import json, re, sys, time
start = time.perf_counter()
path, format, cache = sys.argv[1:]
{work}
result["seconds"] = time.perf_counter() - start
# In KiB. `getrusage` would count what the process was forked from.
result["megabytes"] = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024 / 1e6
print(json.dumps(result))
"""


def measure(work: str, path: Path) -> dict[str, float | str]:
    """Seconds, peak memory in MB, rows and data version of a fresh process that does this work on a file."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", FRAME.format(work=work), str(path), PEER_FORMATS.get(path.name, ""), cache]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float | str] = json.loads(output)
    return measured


def show(name: str, form: str, runs: list[dict[str, float | str]]) -> None:
    """Print the median and maximum time, and the largest peak."""
    seconds = [float(run["seconds"]) for run in runs]
    peak = max(float(run["megabytes"]) for run in runs)
    print(
        f"{form:<16} {name:<9} median {statistics.median(seconds):5.2f} s   max {max(seconds):5.2f} s   "
        f"peak {peak:6,.0f} MB   rows {int(runs[0]['rows']):,}   {runs[0]['version']}",
        flush=True,
    )


def main() -> None:
    """Measure every form, and fail if two of them give different data."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    versions = set()
    with tempfile.TemporaryDirectory() as folder:
        table = quora_like()
        for form, write in WRITERS.items():
            path = Path(folder) / form
            write(table, path)
            pairs = [
                (measure(OURS, path), measure(PEER, path) if form in PEER_FORMATS else None) for _ in range(rounds)
            ]
            show("ours", form, [ours for ours, _ in pairs])
            if form in PEER_FORMATS:
                show("datasets", form, [peer for _, peer in pairs if peer])
            versions |= {str(ours["version"]) for ours, _ in pairs}
            if {int(ours["rows"]) for ours, _ in pairs} != {PAIRS}:
                raise SystemExit(f"{form}: rows were lost")
            path.unlink()
    if len(versions) != 1:
        raise SystemExit(f"the forms give different data: {versions}")
    print(f"all {len(WRITERS)} forms give the same data version")


if __name__ == "__main__":
    main()
