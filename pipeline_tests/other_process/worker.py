"""The other process: reads an order from a run folder, trains there, and prints events as JSON lines."""

import json
import sys
from pathlib import Path

from pyarrow import parquet

from pipeline.core.progress import ProgressEvent, to_json_line
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder


def say(event: ProgressEvent) -> None:
    print(to_json_line(event), flush=True)  # noqa: T201 - how events leave this process


def main(folder: Path) -> None:
    train, dev = (PairTable.from_arrow(parquet.read_table(folder / ".job" / f"{n}.parquet")) for n in ("train", "dev"))
    order = json.loads((folder / ".job" / "order.json").read_text())
    base_model, recipe = ModelInfo.from_stored(order["base_model"]), Recipe.model_validate(order["recipe"])
    with (folder / ".job" / "starts").open("a") as starts:
        starts.write("one\n")
    fine_tune(TrainingJob(train, dev, base_model, recipe), RunFolder(folder), say)


main(Path(sys.argv[1]))
