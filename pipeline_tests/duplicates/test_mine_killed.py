"""`mine` that is killed goes on where it was, and gives the same bytes as one that nothing disturbed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from effort import exhaustive, tries

from pipeline.core.files import PROJECT_ROOT, folder_sha256
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs

KILLER = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from pipeline.command_line.cli import main
import pipeline.vectors.exact, pipeline.vectors.options, pipeline.models.encoding, pipeline.models.loading

source, model, folder, kills = *map(Path, sys.argv[1:4]), int(sys.argv[4])
# So that a small corpus has many shards.
pipeline.vectors.options.PART_SIZE = 64


def mine(home, out):
    # Forked, so that every run but the first has its imports for nothing.
    child = os.fork()
    if not child:
        os.environ["PIPELINE_HOME"] = str(folder / home)
        results = ["--out", str(folder / out / "pairs.csv"), "--clusters", str(folder / out / "clusters.parquet")]
        sys.argv = ["pipeline", "mine", str(source), "--model", str(model), "--threshold", "0.9", *results]
        sys.stdout = sys.stderr = open(os.devnull, "w")
        main()
        os._exit(0)
    return child


start = time.monotonic()
assert os.waitpid(mine("whole", "expected"), 0)[1] == 0
seconds = time.monotonic() - start
draw = random.Random(0)
shards = []
for _ in range(kills):
    child = mine("home", "out")
    time.sleep(draw.uniform(0, 1.1) * seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    shards.append(len(list((folder / "home").rglob("*.arrow"))))
    if draw.random() < 0.3:
        # Also from the very beginning.
        shutil.rmtree(folder / "home", ignore_errors=True)
        shutil.rmtree(folder / "out", ignore_errors=True)
assert os.waitpid(mine("home", "out"), 0)[1] == 0
print("shards when killed:", *shards)
"""


@exhaustive
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_point_it_loses_and_doubles_nothing(deciding_model: Path, tmp_path: Path) -> None:
    texts = load_pairs(PairSource()).pairs["question1"].drop_duplicates().head(1_200)
    source = tmp_path / "questions.txt"
    source.write_text("\n".join(texts), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", KILLER, str(source), str(deciding_model), str(tmp_path), str(tries(2, 20))],
        cwd=PROJECT_ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    assert whole_files(tmp_path / "out") == whole_files(tmp_path / "expected")
    assert whole_files(tmp_path / "home") == whole_files(tmp_path / "whole")


def whole_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that was renamed to its name."""
    return {name: digest for name, digest in folder_sha256(folder).items() if not name.endswith(".tmp")}
