"""The files of results: those in the run folder of a fine-tuned model, and those next to a stored report."""

from collections.abc import Iterator
from typing import Any

from pipeline.core.checksums import checked_json
from pipeline.core.files import bytes_sha256, json_text
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results_csv import FILES_KEY, PAGE_FILE_NAME, csv_row, csv_text, results_file_name
from pipeline.models.decision import CALIBRATION_FILE_NAME
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.reporting.leaderboard import SUMMARY_FILE_NAME, ReportSummary
from pipeline.reporting.model_card import model_card
from pipeline.reporting.plots import pictures
from pipeline.reporting.rendering import page

_BULKY: Any = {
    **dict.fromkeys(("cosine_scores", "labels", "mistakes", "training", "baseline"), True),
    "tasks": {"resampled"},
}
"""Left out of the JSON in a run folder, where the training and the baseline have separate files."""


def card_files(model: FineTunedModel) -> dict[str, bytes]:
    """Return the card of a model without a report, by its path below the run folder."""
    return {_card(model): model_card(model).encode()}


def result_files(model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> dict[str, bytes]:
    """Return both results files, the report's page and the card with results, by their paths below the run folder.

    The JSON next to each results file holds the report's facts, and the SHA-256 of the files written with it.
    """
    before = {results_file_name(baseline.stage): results_csv(baseline).encode()}
    after = {
        results_file_name(post_train.stage): results_csv(post_train).encode(),
        _card(model): model_card(model, (baseline, post_train)).encode(),
        PAGE_FILE_NAME: page(post_train, pictures(post_train)).encode(),
    }
    if post_train.calibration and model.decision is None:
        # Models of earlier releases have no decision of their own; this file replaces it.
        probability = {"model": post_train.model.version, **post_train.calibration.model_dump(exclude={"bins"})}
        after[CALIBRATION_FILE_NAME] = json_text(probability).encode()
    for report, files in ((baseline, before), (post_train, after)):
        hashes = {FILES_KEY: {name: bytes_sha256(content) for name, content in files.items()}}
        facts = report.model_dump(mode="json", exclude=_BULKY)
        files[results_file_name(report.stage).removesuffix(".csv") + ".json"] = checked_json({**facts, **hashes})
    return {**before, **after}


def results_csv(report: EvaluationReport) -> str:
    """Return the reference system's file: its header, and one row of metrics at oracle thresholds."""
    return csv_text([csv_row(report.oracle)])


def report_files(report: EvaluationReport) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file next to a stored report: summary, CSV, page, and pictures as SVG and PNG."""
    yield SUMMARY_FILE_NAME, ReportSummary.of(report).to_checked_json()
    yield results_file_name(report.stage), results_csv(report).encode()
    drawn = pictures(report)
    yield PAGE_FILE_NAME, page(report, drawn).encode()
    for picture in drawn:
        yield f"pictures/{picture.name}.svg", picture.svg.encode()
        yield f"pictures/{picture.name}.png", picture.png


def _card(model: FineTunedModel) -> str:
    return f"{model.model.name}/README.md"
