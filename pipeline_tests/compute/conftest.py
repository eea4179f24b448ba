"""What the tests of computes share."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import Config, run, write_run_config
from shared_folders import unchanged
from small_data import write_small_pairs


@pytest.fixture(scope="session")
def splits_and_base_model(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[Path, Config]]:
    """A home with splits and a base model, to be copied, and the settings that made them."""
    folder = tmp_path_factory.mktemp("splits_and_base_model")
    config: Config = {
        "raw_quora_dataset": {"source": "file", "path": str(write_small_pairs(folder / "pairs.tsv"))},
        "splits": {"strategy": "reference", "eval_fraction": 0.2, "dev_fraction": 0.2},
        "base_model": {"model": str(tiny_model)},
        "fine_tuned_model": {
            "epochs": 2,
            "batch_size": 8,
            "save_steps": 20,
            "device": "cpu",
            "allow_slow": True,
        },
    }
    selection = dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("base_model")
    with dg.DagsterInstance.ephemeral() as instance:
        run(folder / "home", write_run_config(folder / "run.json", config), instance, selection)
    with unchanged(folder):
        yield folder / "home", config
