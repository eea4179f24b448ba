"""Checks what the steps leave beside a fine-tuned model: a card at first, then the results, and never other weights."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from small_data import sample_pairs, write_small_pairs
from tiny_model import make_tiny_model
from tiny_models import make_model, make_transformer, query_prompt

from pipeline.compute.local import LocalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, LogLine, ProgressEvent, ignore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results_csv import PAGE_FILE_NAME, read_results, results_file_name
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import PROBE_QUESTIONS
from pipeline.models.options import BaseModelChoice
from pipeline.quality.options import ModelLimits
from pipeline.quality.rules import sound_embeddings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import Splits
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe, TrainingOrder
from pipeline.workflow import Plan, evaluate_train_evaluate, fine_tune, measure_base_model, measure_fine_tuned

pytestmark = pytest.mark.slow

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


def test_results_are_put_beside_the_model_and_into_its_card(
    job: TrainingJob,
    splits: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    # The example in the card works from any folder, and decides as the model's decision does.
    assert model.decision is not None
    example = (Path(model.model.location) / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("example.py").write_text(example)
    capsys.readouterr()
    runpy.run_path("example.py")
    said = re.fullmatch(r"cosine (0\.\d{4}): (not )?duplicates\n", capsys.readouterr().out)
    assert said is not None
    assert (said[2] is None) == (float(said[1]) >= model.decision.threshold)
    # What is beside the weights is no part of them.
    compute.verify(model)
    assert fine_tune(compute, job, RUN, ignore) == model


def plan(tmp_path: Path, model: Path, **recipe: object) -> Plan:
    return Plan(
        pairs=PairSource(source="file", path=str(write_small_pairs(tmp_path / "pairs.tsv"))),
        splits=SplitPlan(strategy="reference", eval_fraction=0.2, dev_fraction=0.2),
        base_model=BaseModelChoice(model=str(model)),
        baseline=EvaluationOptions(device="cpu"),
        training=TrainingOrder.model_validate({"batch_size": 32, "device": "cpu", **recipe}),
        post_train=EvaluationOptions(device="cpu"),
    )


def test_what_is_special_about_a_base_model_is_told_and_stands_in_the_card(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", "mpnet", **query_prompt())
    events: list[ProgressEvent] = []
    results = evaluate_train_evaluate(plan(tmp_path, base), LocalCompute(tmp_path / "runs"), RUN, events.append)
    told = [event.text for event in events if isinstance(event, LogLine)]
    said = ("The embeddings don't have length 1", "The prompt 'What is the query: ' stands before each question")
    card = (Path(results.model.model.location) / "README.md").read_text()
    for remark in said:
        assert any(line.startswith(f"base: {remark}") for line in told)
        assert remark in card
    assert results.model.base_model.properties == results.baseline.model.properties
    assert results.model.model.properties == results.model.base_model.properties
    embeddings = LocalCompute(tmp_path).embed(results.model.model, PROBE_QUESTIONS)
    assert sound_embeddings(embeddings, ModelLimits(), results.model.base_model.properties).passed


def test_a_limit_that_the_base_model_does_not_take_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    asked = plan(tmp_path, make_transformer(tmp_path / "base", "roberta"), max_seq_length=512)
    with pytest.raises(PipelineError, match=r"max_seq_length is 512, but .* has positions for 127 tokens only"):
        evaluate_train_evaluate(asked, LocalCompute(tmp_path / "runs"), RUN, events.append)
    assert not any(isinstance(event, Advanced) for event in events)
    assert not (tmp_path / "runs").exists()


def test_a_teacher_that_is_not_there_is_refused_before_anything_is_measured(job: TrainingJob, tmp_path: Path) -> None:
    plan = Plan(
        pairs=PairSource(source="file", path=str(write_small_pairs(tmp_path / "pairs.tsv"))),
        splits=SplitPlan(),
        base_model=BaseModelChoice(model=job.base_model.location),
        baseline=EvaluationOptions(),
        training=TrainingOrder(loss="distillation_embeddings", teacher_model=str(tmp_path / "gone")),
        post_train=EvaluationOptions(),
    )
    measured: list[EvaluationReport] = []
    with pytest.raises(PipelineError, match="teacher_model: no base model"):
        evaluate_train_evaluate(plan, LocalCompute(tmp_path / "runs"), RUN, ignore, on_baseline=measured.append)
    assert not measured
