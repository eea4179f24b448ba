"""Checks what the steps leave beside a fine-tuned model: a card at first, then the results, and never other weights."""

from pathlib import Path

import numpy as np
import pytest
from small_data import sample_pairs
from tiny_model import make_tiny_model

from pipeline.compute.local.compute import LocalCompute
from pipeline.core.progress import ignore
from pipeline.evaluation.options import EvaluationOptions
from pipeline.evaluation.results_csv import read_results, results_file_name
from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.schema import Splits
from pipeline.reporting.file_names import PAGE_FILE_NAME
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.workflow import fine_tune, measure_base_model, measure_fine_tuned

RUN = RunIdentity("run", 1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    pairs = sample_pairs()
    return Splits(
        train=pairs.take(np.arange(64)), dev=pairs.take(np.arange(64, 96)), eval=pairs.take(np.arange(96, 160))
    )


@pytest.fixture(scope="module")
def job(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    base = resolve_base_model(BaseModelChoice(model=str(make_tiny_model(tmp_path_factory.mktemp("model")))))
    return TrainingJob(splits.train, splits.dev, base, Recipe(batch_size=16, device="cpu", allow_slow=True))


def test_a_fresh_model_gets_a_card_and_a_card_of_ones_own_stays(job: TrainingJob, tmp_path: Path) -> None:
    compute = LocalCompute(tmp_path)
    model = fine_tune(compute, job, RUN, ignore)
    card = Path(model.model.location) / "README.md"
    assert "bundled sample, seed 42" in card.read_text()
    assert job.train.data_version in card.read_text()
    compute.verify(model)
    card.write_text("# Mine\n")
    assert fine_tune(compute, job, RUN, ignore) == model
    assert card.read_text() == "# Mine\n"
    card.unlink()
    # As after an interrupt between the training and its card.
    fine_tune(compute, job, RUN, ignore)
    assert job.train.data_version in card.read_text()


def test_results_are_put_beside_the_model_and_into_its_card(job: TrainingJob, splits: Splits, tmp_path: Path) -> None:
    compute, options = LocalCompute(tmp_path), EvaluationOptions(device="cpu")
    baseline = measure_base_model(compute, job.base_model, splits, options, ignore)
    model = fine_tune(compute, job, RUN, ignore)
    report = measure_fine_tuned(compute, model, baseline, splits, options, ignore)
    folder = Path(model.run_folder)
    for found in (baseline, report):
        assert read_results(folder / results_file_name(found.stage)) == [(-1, -1, found.oracle)]
    assert (folder / PAGE_FILE_NAME).is_file()
    assert str(report.intervals["ap"]) in (Path(model.model.location) / "README.md").read_text()
    assert (report.training, report.baseline) == (model, baseline)
    # What is beside the weights is no part of them.
    compute.verify(model)
    assert fine_tune(compute, job, RUN, ignore) == model
