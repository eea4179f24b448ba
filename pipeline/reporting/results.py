"""Puts the results of a fine-tuned model beside it."""

from pathlib import Path

from pipeline.core.references import FineTunedModel
from pipeline.core.storage import write_text
from pipeline.evaluation.report import EvaluationReport
from pipeline.reporting.model_card import write_model_card
from pipeline.reporting.rendering import PAGE_FILE_NAME, page, pictures


def publish_results(model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> None:
    """Write both result files and the report's page into the run folder, and the results into the model card."""
    run_folder = Path(model.run_folder)
    baseline.write_results(run_folder)
    post_train.write_results(run_folder)
    write_text(run_folder / PAGE_FILE_NAME, page(post_train, pictures(post_train)))
    write_model_card(model, (baseline, post_train))
