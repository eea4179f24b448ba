"""Every command of the page *Use the model* is run, with a model in production that was made without a training."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from made_reports import a_training, quick_report
from test_docs import blocks

from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.decision import read_decision
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.promotion import Candidate
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs

PAGE = "use-the-model.md"


@pytest.fixture
def in_production(pipeline_home: Path, deciding_model: Path) -> Path:
    """What the command that trains would have left."""
    store = VersionStore(str(pipeline_home))
    info = resolve_base_model(BaseModelChoice(model=str(deciding_model))).model_copy(update={"kind": "fine_tuned"})
    report = quick_report(info)
    trained = a_training(report.train_version).model_copy(
        update={"model": info, "decision": read_decision(deciding_model), "origin": report.origin}
    )
    record = Candidate(trained, report, "0123abcd").promoted(None, datetime.now(UTC), is_rollback=False)
    store_value(store, PRODUCTION, record, "0123abcd")
    pairs = load_pairs(PairSource(fraction=0.05))
    splits = split_pairs(pairs, SplitPlan(strategy="reference", eval_fraction=0.2, dev_fraction=0.2))
    store_value(store, "raw_quora_dataset", pairs, "made")
    store_value(store, "base_model", resolve_base_model(BaseModelChoice(model=str(deciding_model))), "made")
    for side in ("train", "dev", "eval"):
        store_value(store, f"{side}_split", getattr(splits, side), "made")
    return pipeline_home


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_says(in_production: Path, tmp_path: Path) -> None:
    shell = "\n".join(block for block in blocks(PAGE, "bash") if "materialize" not in block)
    python = "\n".join(blocks(PAGE, "python"))
    (tmp_path / "page.py").write_text(python)
    assert shell.count("python -m pipeline") == 7
    assert "dagster job execute" in shell
    with_python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-e", "-c", f"{shell}\npython page.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": with_python, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    for name in (
        "compared.csv",
        "compared.parquet",
        "mined.csv",
        "clusters.csv",
        "mined.md",
        "labelled.md",
        "reviewed.csv",
    ):
        assert (tmp_path / name).is_file(), name
    assert result.stdout.count("Model    the model in production") == 6
    assert (in_production / "mined_duplicates" / "current.json").is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/your-own-pairs.md", "docs/operations.md"])
def test_the_page_is_found_from_where_people_are(page: str) -> None:
    assert PAGE in (PROJECT_ROOT / page).read_text(encoding="utf-8")
