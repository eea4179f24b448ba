"""The model in production on the Hugging Face hub.

An asset that Dagster knows but can't materialise by itself, and a job that does it: so neither *Materialize all* nor
`--select '*'` nor the schedule ever pushes a model to the hub. Only the job `publish` does, and its
Launchpad has a placeholder for where to, which is refused.
"""

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.store import VersionStore
from pipeline.orchestration.assets.common import OWNERS
from pipeline.orchestration.assets.production import GROUP
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.production_record import UnreadableRecord, current_production
from pipeline.reporting.options import REPOSITORY_PLACEHOLDER, Publication

published_model = dg.AssetSpec(
    "published_model",
    deps=["production_model"],
    group_name=GROUP,
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="1",
    description="The model in production, pushed to the Hugging Face hub. *Materialize all* leaves it out. **Next:** "
    "launch the job `publish` with `repository: owner/name`, and HF_TOKEN set to a token that may write there.",
)


class PublicationConfig(Publication, StepConfig):
    """Where a model is published."""


@dg.op
def publish_production_model(
    context: dg.OpExecutionContext,
    config: PublicationConfig,
    compute: dg.ResourceParam[Compute],
    store: dg.ResourceParam[VersionStore],
) -> None:
    """Verify the files of the model in production and push them as one commit."""
    from pipeline.reporting.hub_upload import publish

    with one_line_failures():
        current = current_production(store, PRODUCTION)
        if current is None:
            raise PipelineError("nothing is in production yet: materialise production_model first")
        if isinstance(current, UnreadableRecord):
            raise PipelineError(
                f"{current.said}: materialise production_model, with `run_id` to choose an earlier model"
            )
        compute.verify(current.model)
        commit = publish(current.model, config)
    context.log_event(
        dg.AssetMaterialization(
            published_model.key,
            metadata={
                "repository": config.repository,
                "commit": commit,
                "private": config.private,
                "model_version": current.model.model.version,
                "trained_by": dg.MetadataValue.dagster_run(current.run_id),
                "synthetic": current.model.origin.synthetic,
            },
        )
    )


_PLACEHOLDER = {"repository": REPOSITORY_PLACEHOLDER, "private": True}


@dg.job(
    name="publish",
    tags={"purpose": "publish", "owner": OWNERS[0]},
    config={"ops": {"publish_production_model": {"config": _PLACEHOLDER}}},
)
def publish_job() -> None:
    """Push the model in production to the Hugging Face hub, to a private repository unless told otherwise."""
    publish_production_model()
