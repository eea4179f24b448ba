"""How long a newcomer waits for the first table: fresh clones of revisions of this project, stage by stage.

    python benchmarks/first_result.py 147b78a HEAD
    python benchmarks/first_result.py HEAD --rounds 1 -- --set fine_tuned_model.precision=fp32

The older revision is the peer. Revisions take turns, so that a drift of the machine hits all alike. What follows `--`
is passed on to `materialize`. An older processor can be imitated by the environment: `ATEN_CPU_CAPABILITY=avx2
ONEDNN_MAX_CPU_ISA=AVX2`, with `precision: fp32` in the steps that have it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

STAGES_OF_RUN = """
import json, sys
import dagster as dg

instance = dg.DagsterInstance.from_config(sys.argv[1])
(record,) = instance.get_run_records()
moments = {}
for entry in instance.all_logs(record.dagster_run.run_id):
    event = entry.dagster_event
    if event and event.step_key and event.event_type.value in ("STEP_WORKER_STARTING", "STEP_START", "STEP_SUCCESS"):
        moments.setdefault(event.step_key, {})[event.event_type.value] = entry.timestamp
stages = {}
for step, at in moments.items():
    stages[step] = at["STEP_SUCCESS"] - at["STEP_START"]
stages["between steps"] = sum(at["STEP_START"] - at["STEP_WORKER_STARTING"] for at in moments.values())
print(json.dumps(stages))
"""

MACHINE = "import os, torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())"


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def first_result(clone: Path, revision: str, arguments: list[str]) -> dict[str, float]:
    """Seconds of each stage, from nothing but the repository to the table."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "DAGSTER_"))}

    def do(*command: str, **more: str) -> str:
        done = subprocess.run(
            command, cwd=clone, env=environment | more, check=False, stdout=subprocess.PIPE, text=True, stderr=2
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed with status {done.returncode}")
        return done.stdout

    python, history = ".venv/bin/python", str(clone / ".dagster")
    stages = {
        "clone": timed(
            lambda: (
                subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True),
                do("git", "checkout", "--quiet", revision),
            )
        ),
        "install": timed(lambda: do("make", ".venv/.installed", f"{history}/dagster.yaml")),
        "definitions": timed(lambda: do(python, "-c", "import pipeline.definitions")),
    }
    run = [python, "-m", "pipeline", "materialize", "--config", "configs/quickstart.yaml", *arguments]
    stages["quickstart"] = timed(lambda: print(do(*run, DAGSTER_HOME=history)))
    of_run = json.loads(do(python, "-c", STAGES_OF_RUN, history))
    stages |= {f"  {stage}": seconds for stage, seconds in of_run.items()}
    stages["  before and after"] = stages["quickstart"] - sum(of_run.values())
    stages["in all"] = sum(stages[stage] for stage in ("clone", "install", "quickstart"))
    print(f"{revision}: torch uses {do(python, '-c', MACHINE).strip()} threads")
    return stages


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What comes before `--`, and what comes after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def main() -> None:
    """Print the median of each stage, a column for each revision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="*", default=["HEAD"], help="revisions of the project, the peer first")
    parser.add_argument("--rounds", type=int, default=3)
    own, arguments = _split(sys.argv[1:])
    given = parser.parse_args(own)
    rounds: dict[str, list[dict[str, float]]] = {revision: [] for revision in given.revisions}
    for _ in range(given.rounds):
        for revision, measured in rounds.items():
            with tempfile.TemporaryDirectory(prefix="first-result-") as folder:
                measured.append(first_result(Path(folder) / "clone", revision, arguments))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores; seconds, medians of {given.rounds}\n")
    print(f"{'stage':<34}" + "".join(f"{revision[:10]:>12}" for revision in rounds))
    for stage in dict.fromkeys(stage for measured in rounds.values() for stage in measured[0]):
        medians = [
            f"{statistics.median(found[stage] for found in measured):>12.1f}" if stage in measured[0] else f"{'':>12}"
            for measured in rounds.values()
        ]
        print(f"{stage:<34}" + "".join(medians))


if __name__ == "__main__":
    main()
