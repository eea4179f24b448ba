"""Measures what large inputs and long use cost: time, peak memory, disk space.

    python benchmarks/loads.py rows [pairs ...]      read, account for, split and hash (404,290 and 2,000,000 pairs)
    python benchmarks/loads.py long                  the same for 1,000 questions of 100,000 characters
    python benchmarks/loads.py leaderboard [reports] a leaderboard over this number of stored reports (2,000)
    python benchmarks/loads.py retention [runs]      run folders of the quickstart before and after pruning (200)

Each measurement is a process of its own; the clock starts before the imports.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from dataset_load import OURS, measure
from quora_like import WRITERS, quora_like

ROWS = (404_290, 2_000_000)
CHECKPOINT_BYTES = 258 << 20
"""Of each of the two checkpoints that a training of the bundled model stores."""
MODEL_BYTES = 91_600_000

BOARD = """
from pathlib import Path
from pipeline.core.store import VersionStore
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.resources import ReportHistory
from pipeline.question_pairs.schema import Splits
from pipeline.reporting.ranking import build_leaderboard
store = VersionStore(path)
splits = Splits(*(load_value(store, side) for side in ("train_split", "dev_split", "eval_split")))
begun = time.perf_counter()
reports, unreadable = ReportHistory(home=path).reports()
board = build_leaderboard(reports, splits, unreadable)
result = {"version": board.data_version, "rows": len(board.rows), "own": time.perf_counter() - begun}
"""


def rows(counts: list[int]) -> None:
    """Tables of so many pairs like Quora's, as tab-separated values."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tsv"
            WRITERS["tsv"](quora_like(count), path)
            show(f"{count:,} pairs, {path.stat().st_size / 1e6:,.0f} MB", measure(OURS, path))


def long() -> None:
    """A thousand questions of 100,000 characters, in 500 pairs, of which some are repeated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.csv"
        texts = [f"{number} " + "how long is this question " * 3846 for number in range(1000)]
        frame = pd.DataFrame({"question1": texts[:500], "question2": texts[500:], "is_duplicate": [0, 1] * 250})
        frame.to_csv(path, index=False)
        show(f"1,000 questions of {len(texts[0]):,} characters", measure(OURS, path))


def leaderboard(count: int) -> None:
    """Reports of as many models on the bundled sample's eval pairs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline_tests"))
    from made_reports import before_and_after, made

    from pipeline.core.store import VersionStore
    from pipeline.orchestration.asset_values import store_value, write_value
    from pipeline.reporting import result_files

    _, report = before_and_after()
    _, splits = made(0.1)
    # Drawing their pictures is not what is measured.
    with tempfile.TemporaryDirectory() as home, patch.object(result_files, "pictures", return_value=[]):
        store = VersionStore(home)
        for name, side in (("train_split", splits.train), ("dev_split", splits.dev), ("eval_split", splits.eval)):
            store_value(store, name, side, "run")
        for number in range(count):
            model = report.model.model_copy(update={"version": f"m{number}"})
            moment = report.evaluated_at + timedelta(seconds=number)
            other = report.model_copy(update={"model": model, "evaluated_at": moment})
            write_value(store.folder("post_train_eval_report"), other)
        for release in ("", ", of an earlier release, for the first time", ", the second time"):
            if "earlier" in release:
                # That wrote no summary beside a report.
                for summary in Path(home).glob("*/*/summary.json"):
                    summary.unlink()
            measured = measure(BOARD, Path(home))
            show(f"leaderboard over {count:,} reports{release}", measured)
            print(f"    of that, reading and ranking {float(measured['own']):.2f} s")


def retention(count: int) -> None:
    """Run folders of the size that the quickstart's have; files without content take no room while this runs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline_tests"))
    from made_reports import finished_training

    from pipeline.core.store import VersionStore
    from pipeline.orchestration.asset_values import store_value

    with tempfile.TemporaryDirectory() as home:
        store, ago = VersionStore(home), time.time() - 30 * 24 * 3600
        first = finished_training(Path(home) / "first")
        for number in range(count):
            folder = Path(home) / "runs" / f"sentence-transformers-ft-{1_700_000_000 + number}"
            shutil.copytree(Path(home) / "first", folder)
            named = first.at(str(folder))
            model = named.model_copy(update={"model": named.model.model_copy(update={"version": f"{number:016x}"})})
            for step in ("60", "120"):
                (folder / "checkpoints" / step).mkdir(parents=True)
                sparse(folder / "checkpoints" / step / "optimizer.pt", CHECKPOINT_BYTES)
            sparse(folder / "some-model-ft" / "more", MODEL_BYTES)
            store_value(store, "fine_tuned_model", model, f"run-{number}")
        for path in Path(home).rglob("*"):
            os.utime(path, (ago, ago))
        print(f"{count} runs: {size(home) / 1e9:,.2f} GB")
        for arguments in ([], ["--delete"]):
            begun = time.perf_counter()
            command = [sys.executable, "-m", "pipeline", "prune", *arguments]
            done = subprocess.run(
                command, env={**os.environ, "PIPELINE_HOME": home}, check=True, capture_output=True, text=True
            )
            print(f"{' '.join(command[2:])}: {time.perf_counter() - begun:.1f} s, {done.stdout.splitlines()[-1]}")
        print(f"after: {size(home) / 1e9:,.2f} GB")


def sparse(path: Path, length: int) -> None:
    """Make a file of that length that takes no room."""
    with path.open("wb") as file:
        file.truncate(length)


def size(folder: str) -> int:
    """Lengths of all files below a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def show(name: str, measured: dict[str, float | str]) -> None:
    """Print a line."""
    print(f"{name}: {float(measured['seconds']):.2f} s, peak {float(measured['megabytes']):,.0f} MB", flush=True)


def main() -> None:
    """Do what the arguments say."""
    what, *numbers = sys.argv[1:] or ["help"]
    match what:
        case "rows":
            rows([int(number) for number in numbers] or list(ROWS))
        case "long":
            long()
        case "leaderboard":
            leaderboard(int(numbers[0]) if numbers else 2000)
        case "retention":
            retention(int(numbers[0]) if numbers else 200)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
