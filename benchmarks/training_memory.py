"""Peak memory of a training on as many pairs as Quora's release has, on a CPU.

    python benchmarks/training_memory.py

Generates 404,290 pairs (`quora_like.py`, in a process of its own), splits them, tokenises all training pairs, plans ten
epochs, takes ten steps with configs/best.yaml and writes a checkpoint: the data, the largest batch (tried before the
first step) and the optimiser's state are all there then.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from pipeline.core.progress import CheckpointSaved, ProgressEvent
from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.steps import load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.settings.run_config import project_config
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

STEPS = 10
GENERATE = """
import sys
from pathlib import Path
from quora_like import WRITERS, quora_like
WRITERS["parquet"](quora_like(), Path(sys.argv[1]))
"""


class EnoughSeenError(Exception):
    """Ends the training."""


def stop(event: ProgressEvent) -> None:
    """End the training at its first checkpoint."""
    if isinstance(event, CheckpointSaved):
        raise EnoughSeenError


def peak_gigabytes() -> float:
    """Most memory that this process has had resident."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) * 1024 / 1e9


@click.command()
def main() -> None:
    """Print the peak after each stage."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs"
        subprocess.run([sys.executable, "-c", GENERATE, str(path)], check=True, cwd=Path(__file__).parent)
        table = load_pairs(PairSource(source="file", path=str(path)))
        sides = split_pairs(table, SplitPlan(dev_fraction=0))
        print(f"{len(table):,} pairs read and split: peak {peak_gigabytes():.2f} GB")
        recipe = load_settings(project_config("best")).of("fine_tuned_model", Recipe)
        recipe = recipe.model_copy(
            update={"epochs": 10, "soup_size": 1, "device": "cpu", "save_steps": STEPS, "allow_slow": True}
        )
        job = TrainingJob(sides.train, sides.dev, resolve_base_model(BaseModelChoice()), recipe)
        run_folder = RunFolder.claim(Path(folder), RunIdentity("benchmark", 1), job.fingerprint)
        try:
            fine_tune(job, run_folder, stop)
        except EnoughSeenError:
            print(f"{STEPS} steps of {len(sides.train):,} training pairs: peak {peak_gigabytes():.2f} GB")


if __name__ == "__main__":
    main()
