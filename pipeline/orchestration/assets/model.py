"""The models: the one to start from, and the one that comes out."""

from typing import Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.compute.choice import backend
from pipeline.core.store import VersionStore
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.assets.common import OWNERS, properties_metadata, readable, training_progress_into
from pipeline.orchestration.execution import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.runs import run_identity
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.work_records import StepRecords
from pipeline.question_pairs.schema import PairTable
from pipeline.settings import environment
from pipeline.training.job import TrainingJob
from pipeline.training.recipe import TrainingOrder

GROUP = "model"


class BaseModelConfig(BaseModelChoice, StepConfig):
    """Which model to start from."""


class FineTuneConfig(TrainingOrder, StepConfig):
    """How the model is fine-tuned."""


@dg.asset(group_name=GROUP, kinds={"huggingface"}, owners=OWNERS, code_version="1")
def base_model(
    config: BaseModelConfig, compute: dg.ResourceParam[Compute], store: dg.ResourceParam[VersionStore]
) -> dg.MaterializeResult[ModelInfo]:
    """The sentence-embedding model to start from, pinned to a commit or to a hash of its files.

    Resolved once, so that the baseline report and the training use the same model. It is inspected first: a few
    questions are embedded, and a model that can't be used is refused here.

    **Next:** materialise `baseline_eval_report`, or choose another `model` in the Launchpad.
    """
    from pipeline.workflow import find_base_model

    with one_line_failures():
        model = find_base_model(config, compute, store)
    return dg.MaterializeResult(
        value=model,
        data_version=dg.DataVersion(model.data_version),
        metadata={
            "model": model.name,
            "kind": model.kind,
            "location": model.location,
            "version": model.version,
            **properties_metadata(model),
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"pytorch", "huggingface", *backend(environment.compute_kind()).asset_kinds},
    owners=OWNERS,
    code_version="1",
    pool=COMPUTE_POOL,
)
def fine_tuned_model(
    context: dg.AssetExecutionContext,
    config: FineTuneConfig,
    compute: dg.ResourceParam[Compute],
    store: dg.ResourceParam[VersionStore],
    train_split: PairTable,
    dev_split: PairTable,
    base_model: ModelInfo,
) -> dg.MaterializeResult[FineTunedModel]:
    """The base model, fine-tuned on `train_split` so that duplicate questions have similar embeddings.

    It is stored in a run folder `sentence-transformers-ft-<UNIX_TIMESTAMP>` with its checkpoints, and loads with
    `SentenceTransformer(path)`. An interrupted run that is re-executed resumes from its newest checkpoint.

    **Next:** materialise `post_train_eval_report` to see the difference to the baseline.
    """
    from pipeline.workflow import find_teacher, fine_tune

    records, recipe, progress = StepRecords(context, compute.kind), config.recipe, training_progress_into(context)
    with one_line_failures():
        teacher = find_teacher(recipe, compute, store)
        job = TrainingJob(train_split, dev_split, base_model, recipe, teacher)
        result = fine_tune(compute, job, run_identity(context), progress, records, config.orders)
    result = result.model_copy(update={"cost": records.cost})
    return dg.MaterializeResult(
        value=result,
        data_version=dg.DataVersion(result.data_version),
        metadata=readable({**_training_metadata(result), **records.metadata}),
    )


def _training_metadata(result: FineTunedModel) -> dict[str, Any]:
    from pipeline.reporting.model_card import model_card_text

    metadata: dict[str, Any] = {
        "model": dg.MetadataValue.path(result.model.location),
        "run_folder": dg.MetadataValue.path(result.run_folder),
        "model_card": dg.MetadataValue.md(model_card_text(result)),
        "base_model": result.base_model.name,
        **properties_metadata(result.model),
        "source": result.origin.source,
        "synthetic": result.origin.synthetic,
        "device": result.device,
        "train_pairs": result.train_pairs,
        **({"teacher_version": result.teacher_version} if result.teacher_version else {}),
        "steps": result.steps,
        "training_seconds": result.seconds,
        "pair_visits": result.pair_visits,
        "pairs_per_second": result.pair_visits / result.seconds,
        "kept_step": result.kept_step,
        "precision": result.precision,
        "layout": result.layout,
        "token_budget": result.token_budget,
        "truncated_questions": result.truncated_questions,
        "recipe": dg.MetadataValue.json(result.recipe),
        "loss_curve": dg.MetadataValue.table(
            records=[dg.TableRecord({"step": step, "loss": loss}) for step, loss in result.losses],
            schema=dg.TableSchema([dg.TableColumn("step", "int"), dg.TableColumn("loss", "float")]),
        ),
    }
    if result.losses:
        metadata["final_loss"] = result.losses[-1][1]
    if result.dev_evaluations:
        metadata["dev_average_precision"] = max(e.average_precision for e in result.dev_evaluations)
        metadata["dev_evaluations"] = dg.MetadataValue.table(
            records=[
                dg.TableRecord({**evaluation.model_dump(), "epoch": round(evaluation.epoch, 2)})
                for evaluation in result.dev_evaluations
            ],
            schema=dg.TableSchema(
                [
                    dg.TableColumn("epoch", "float"),
                    dg.TableColumn("step", "int"),
                    dg.TableColumn("average_precision", "float"),
                ]
            ),
        )
    else:
        metadata["dev_evaluations"] = "none: dev_split is empty (dev_fraction: 0)"
    return metadata
