"""Puts the results of a fine-tuned model beside it."""

from pathlib import Path

from pipeline.evaluation.rendering import PAGE_FILE_NAME, page, pictures
from pipeline.evaluation.reports import EvaluationReport
from pipeline.finetuning.model_card import write_model_card
from pipeline.references import FineTunedModel
from pipeline.storage import write_text


def publish_results(model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> None:
    """Write both result files and the report's page into the run folder, and the results into the model card."""
    run_folder = Path(model.run_folder)
    baseline.write_results(run_folder)
    post_train.write_results(run_folder)
    write_text(run_folder / PAGE_FILE_NAME, page(post_train, pictures(post_train)))
    write_model_card(model, (baseline, post_train))
