"""Runs the work in this process, on this machine's CPU or GPU."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.compute.base import NO_HOOKS, RemoteHooks, RunIdentity
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress, ignore
from pipeline.core.references import FineTunedModel, ModelReference
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.measuring import EvaluationOptions, embed_questions, measure
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.embedding_models import load_model, quiet_libraries, resolve_device
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.results import publish_results
from pipeline.training import distributed
from pipeline.training.manifest import read_manifest, verify_files
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder


@dataclass(frozen=True)
class LocalCompute:
    """Trains and evaluates here.

    Attributes:
        runs_folder: where the run folders `sentence-transformers-ft-<UNIX_TIMESTAMP>` are made.
    """

    runs_folder: Path

    def fine_tune(
        self,
        train: PairTable,
        dev: PairTable,
        base_model: ModelReference,
        recipe: Recipe,
        run: RunIdentity,
        on_progress: OnProgress = ignore,
        hooks: RemoteHooks = NO_HOOKS,
    ) -> FineTunedModel:
        """See `Compute.fine_tune`."""
        # Imports torch, which the definitions must not.
        from pipeline.training.fine_tune import fine_tune

        distributed.join(resolve_device(recipe.device))
        folder = distributed.from_main(lambda: RunFolder.claim(self.runs_folder, run.unix_time, run.owner))
        return fine_tune(train, dev, base_model, recipe, folder, on_progress)

    def evaluate(
        self,
        model: ModelReference,
        eval_split: PairTable,
        dev_split: PairTable,
        options: EvaluationOptions,
        on_progress: OnProgress = ignore,
        hooks: RemoteHooks = NO_HOOKS,
    ) -> Measurement:
        """See `Compute.evaluate`."""
        quiet_libraries()
        loaded = load_model(model, resolve_device(options.device))
        return measure(loaded, eval_split, dev_split, options, on_progress, stage=f"evaluating {model.name}")

    def publish(self, model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> None:
        """See `Compute.publish`."""
        publish_results(model, baseline, post_train)

    def verify(self, model: FineTunedModel) -> None:
        """See `Compute.verify`."""
        root = Path(model.run_folder)
        manifest = read_manifest(root)
        if manifest.result.model.version != model.model.version:
            raise PipelineError(
                f"{root} is sealed for model version {manifest.result.model.version}, not {model.model.version}: "
                "rematerialise fine_tuned_model"
            )
        verify_files(root, manifest)

    def embed(self, model: ModelReference, questions: list[str]) -> np.ndarray:
        """See `Compute.embed`."""
        quiet_libraries()
        return embed_questions(load_model(model, resolve_device("auto")), questions, EvaluationOptions().token_budget)
