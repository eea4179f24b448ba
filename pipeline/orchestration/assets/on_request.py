"""Assets that are made on request: by their own job, or by *Materialize* on the asset itself.

`published_model`, `exported_model` and the assets of `mining` are made from the model in production. Publishing sends a
model out, and embedding a corpus may take hours, so a run of the pipeline as a whole makes none of them. The jobs
`quickstart` and `retrain` and `python -m pipeline materialize` don't select them. Dagster's *Materialize all* and
`dagster asset materialize --select '*'` select everything that can be made, and Dagster has no asset that can be made
from the UI, but only by itself. So the steps decide: in a run that also decides which model is in production they make
nothing, and log which job does.
"""

import dagster as dg

from pipeline.orchestration.steps import PRODUCTION


def is_left_out(context: dg.AssetExecutionContext, job: str) -> bool:
    """Whether this run leaves the asset of this step out, as it makes `production_model` too; the log says so.

    Args:
        job: that makes the asset.
    """
    if not context.job_def.has_node_named(PRODUCTION):
        return False
    context.log.info(f"left out: this run also makes {PRODUCTION}; launch the job `{job}` after it")
    return True
