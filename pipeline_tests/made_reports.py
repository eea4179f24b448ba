"""Reports made from the bundled sample and random scores: no model has to be loaded."""

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from small_data import sample_pairs

from pipeline.core.values import Interval
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES, Measurement, TaskMetrics
from pipeline.evaluation.metrics import similarity_metrics
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.report_builder import build_report
from pipeline.evaluation.tasks import task_metrics
from pipeline.models.base_model import model_folder_version
from pipeline.models.fine_tuned import DevEvaluation, FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.quality.production_record import ProductionModel
from pipeline.quality.promotion import Candidate, Comparison
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.reporting.leaderboard import SummarisedReport
from pipeline.training.manifest import write_manifest

MODEL = ModelInfo(kind="folder", name="some-model", location="/somewhere", version="m1")
FINE_TUNED = ModelInfo(kind="fine_tuned", name="some-model-ft", location="/run/some-model-ft", version="m2")


def made(dev_fraction: float, likeness: float = 1, fraction: float = 1) -> tuple[Measurement, Splits]:
    """Splits of the bundled sample, and scores that are `likeness` standard deviations higher for duplicates."""
    pairs = sample_pairs() if fraction == 1 else load_pairs(PairSource(fraction=fraction))
    splits = split_pairs(pairs, SplitPlan(strategy="reference", dev_fraction=dev_fraction))
    random = np.random.default_rng(0)

    def scores(labels: np.ndarray) -> dict[str, np.ndarray]:
        alike = (likeness * labels + random.normal(size=len(labels))).astype(np.float32)
        return {name: -alike if name in LOWER_IS_BETTER else alike for name in SIMILARITIES}

    measured = Measurement(scores(splits.eval.labels), scores(splits.dev.labels), None, 1.0, 9, "cpu", "fp32")
    return measured, splits


def tasks_found(splits: Splits, noise: float) -> TaskMetrics:
    """Mining and retrieval by embeddings that are equal for questions of the same meaning, but for noise."""
    index, labels = DistinctQuestions.of(splits.eval), splits.eval.labels
    random = np.random.default_rng(0)
    meanings = index.meanings(labels)
    centres = random.normal(size=(meanings.max() + 1, 16))[meanings]
    tasks = task_metrics((centres + noise * random.normal(size=centres.shape)).astype(np.float32), index, labels, 9_999)
    assert tasks is not None
    return tasks


def a_training(train_version: str, seconds: float = 60.0) -> FineTunedModel:
    """The result of a training of `MODEL`."""
    return FineTunedModel(
        model=FINE_TUNED,
        base_model=MODEL,
        run_folder="/run",
        recipe={"loss": "cosent", "epochs": 1, "patience": None},
        train_version=train_version,
        dev_version="v1",
        origin=sample_pairs().origin,
        train_pairs=100,
        pair_visits=200,
        steps=20,
        kept_step=20,
        seconds=seconds,
        device="cpu",
        precision="fp32",
        layout="packed",
        token_budget=4096,
        truncated_questions=0,
        dev_evaluations=[
            DevEvaluation(epoch=0.5, step=10, average_precision=0.61),
            DevEvaluation(epoch=1.0, step=20, average_precision=0.72),
        ],
        losses=[(1, 3.5), (10, 2.5), (20, 1.25)],
    )


@cache
def before_and_after(
    dev_fraction: float = 0.1, likeness: float = 2, noise: float = 0.4
) -> tuple[EvaluationReport, EvaluationReport]:
    """A baseline's report, and that of a fine-tuned model.

    The baseline has a likeness of 1 (see `made`) and a noise of 0.5 (see `tasks_found`), so by default the fine-tuned
    model is better at everything.
    """
    before, data = made(dev_fraction)
    after, _ = made(dev_fraction, likeness)
    baseline = build_report("pre_train", MODEL, replace(before, tasks=tasks_found(data, 0.5)), data)
    training = a_training(data.train.data_version)
    measured = replace(after, tasks=tasks_found(data, noise))
    return baseline, build_report("post_train", FINE_TUNED, measured, data, baseline, training)


def as_an_earlier_release_stored_it(report: EvaluationReport) -> EvaluationReport:
    """The report as it is read when a release without intervals of mining and retrieval has stored it."""

    def older(fields: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in fields.items() if name not in ("task_intervals", "task_gains")}
        kept["tasks"] = {name: value for name, value in fields["tasks"].items() if name != "resampled"}
        return {**kept, "schema": 1, "baseline": older(fields["baseline"]) if fields["baseline"] else None}

    return EvaluationReport.from_stored(older(report.model_dump(mode="json")))


def summarised(*reports: EvaluationReport) -> list[SummarisedReport]:
    """Reports as the leaderboard takes them."""
    return [SummarisedReport.of(report) for report in reports]


def with_average_precision(report: EvaluationReport, ap: float) -> EvaluationReport:
    """The report of a model whose scores have about this average precision."""
    labels = report.is_duplicate.astype(int)
    noise = np.random.default_rng(1).normal(size=len(labels))

    def scores(likeness: float) -> np.ndarray:
        return (likeness * labels + noise).astype("<f4")

    low, high = 0.0, 10.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if similarity_metrics(scores(middle), labels).ap < ap else (low, middle)
    cosine = report.cosine.model_copy(update={"ap": similarity_metrics(scores(high), labels).ap})
    changes = {
        "cosine_scores": base64.b64encode(scores(high).tobytes()).decode(),
        "operating": {**report.operating, "cosine": cosine},
    }
    return report.model_copy(update=changes)


def by_their_reports(candidate: Candidate) -> Callable[[ProductionModel], Comparison]:
    """Compares a candidate with a model in production by what their reports say, without the pairs."""

    def compare(current: ProductionModel) -> Comparison:
        mine, theirs = candidate.report.cosine.ap, current.report.cosine.ap
        return Comparison(100, 0, mine, theirs, Interval(estimate=mine - theirs, low=-1, high=1), False)

    return compare


def splits() -> Splits:
    """The splits that the reports are about."""
    return made(0.1)[1]


@cache
def train_version() -> str:
    """Data version of the training split that the reports are about."""
    return made(0.1)[1].train.data_version


def quick_report(model: ModelInfo) -> EvaluationReport:
    """A report of few pairs, for tests that need little of it."""
    return build_report("post_train", model, *made(0.1, fraction=0.05))


def finished_training(run_folder: Path, weights: bytes = b"weights") -> FineTunedModel:
    """A finished run folder on disk, with a model of a few bytes that can't be loaded."""
    folder = run_folder / "some-model-ft"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    model = FINE_TUNED.model_copy(update={"location": str(folder), "version": model_folder_version(folder)})
    training = a_training(train_version()).model_copy(update={"model": model, "run_folder": str(run_folder)})
    write_manifest(run_folder, "fingerprint", training)
    return training
