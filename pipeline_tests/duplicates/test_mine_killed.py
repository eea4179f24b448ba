"""`mine` that is killed goes on where it was, and gives the same bytes as one that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from effort import exhaustive, tries

from pipeline.core.files import PROJECT_ROOT, folder_sha256
from pipeline.question_pairs.sample.generator import bundled_sample

KILLED = """
from pipeline.compute.base import Compute
from pipeline.command_line.cli import main
Compute.part_size = 64
main()
"""
"""The command line with shards of 64 texts, so that a small corpus has many."""


def mine(source: Path, model: Path, home: Path, out: Path) -> subprocess.Popen[bytes]:
    arguments = ["mine", str(source), "--model", str(model), "--threshold", "0.6", "--device", "cpu"]
    results = ["--out", str(out / "pairs.csv"), "--clusters", str(out / "clusters.parquet")]
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments, *results],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PIPELINE_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@exhaustive
@pytest.mark.slow
def test_killed_at_any_point_it_loses_and_doubles_nothing(deciding_model: Path, tmp_path: Path) -> None:
    texts = bundled_sample()["question1"].drop_duplicates().head(1_200)
    source = tmp_path / "questions.txt"
    source.write_text("\n".join(texts), encoding="utf-8")
    start = time.monotonic()
    undisturbed = mine(source, deciding_model, tmp_path / "whole", tmp_path / "expected")
    assert undisturbed.wait() == 0
    seconds = time.monotonic() - start
    random = np.random.default_rng(0)
    home, out = tmp_path / "home", tmp_path / "out"
    for _ in range(tries(1, 20)):
        process = mine(source, deciding_model, home, out)
        time.sleep(float(random.uniform(0.3, 1)) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if random.random() < 0.3:
            # Also from the very beginning.
            for path in (home / "vectors").rglob("*.keys"):
                path.unlink()
    last = mine(source, deciding_model, home, out)
    assert last.wait() == 0, last.stderr.read() if last.stderr else None
    assert whole_files(out) == whole_files(tmp_path / "expected")
    assert whole_files(home / "vectors") == whole_files(tmp_path / "whole" / "vectors")


def whole_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that was renamed to its name."""
    return {name: digest for name, digest in folder_sha256(folder).items() if not name.endswith(".tmp")}
