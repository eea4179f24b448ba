"""The model in production on the Hugging Face hub, pushed by the job `publish`.

Nothing else pushes it (see `is_left_out`), and the Launchpad opens with a placeholder for the repository, which is
refused.
"""

from collections.abc import Iterator

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import SettingError
from pipeline.core.store import VersionStore
from pipeline.orchestration.assets.common import OWNERS
from pipeline.orchestration.assets.on_request import is_left_out
from pipeline.orchestration.assets.production import GROUP, in_production
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import PRODUCTION, PUBLISHED
from pipeline.reporting.options import REPOSITORY_PLACEHOLDER, Publication

JOB = "publish"
_STEP = "publish_production_model"


class PublicationConfig(Publication, StepConfig):
    """Where a model is published."""


@dg.multi_asset(
    name=_STEP,
    outs={
        PUBLISHED: dg.AssetOut(
            is_required=False,
            group_name=GROUP,
            kinds={"huggingface"},
            owners=OWNERS,
            code_version="1",
            description="The model in production, pushed to the Hugging Face hub. *Materialize all* leaves it out. "
            "**Next:** launch the job `publish` with `repository: owner/name`, and HF_TOKEN set to a token that may "
            "write there.",
            dagster_type=dg.Nothing,
        )
    },
    deps=[PRODUCTION],
)
def publish_production_model(
    context: dg.AssetExecutionContext,
    config: PublicationConfig,
    compute: dg.ResourceParam[Compute],
    store: dg.ResourceParam[VersionStore],
) -> Iterator[dg.MaterializeResult[None]]:
    """Verify the files of the model in production and push them as one commit."""
    from pipeline.reporting.hub_upload import publish

    if is_left_out(context, JOB):
        return
    with one_line_failures():
        if config.repository == REPOSITORY_PLACEHOLDER:
            raise SettingError(
                f"{_STEP}.repository is the placeholder {REPOSITORY_PLACEHOLDER}: write the id of your repository on "
                f"the hub in the Launchpad of the job `{JOB}`",
                setting=f"{_STEP}.repository",
                value=config.repository,
            )
        current = in_production(store)
        compute.verify(current.model)
        commit = publish(current.model, config)
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(commit),
        metadata={
            "repository": config.repository,
            "commit": commit,
            "private": config.private,
            "model_version": current.model.model.version,
            "trained_by": dg.MetadataValue.dagster_run(current.run_id),
            "synthetic": current.model.origin.synthetic,
        },
    )
