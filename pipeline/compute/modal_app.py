"""What `modal run` and `modal deploy` are pointed at: the app of `pipeline.compute.modal.app`, and its command line.

modal run -m pipeline.compute.modal_app --epochs 1      evaluate, train, evaluate, without Dagster
modal deploy -m pipeline.compute.modal_app              by hand what the assets do when the code has changed
"""

import sys

from pipeline.command_line.modal_run import run_once
from pipeline.compute.modal.app import app, evaluate, fine_tune, sealed_result
from pipeline.core.errors import PipelineError


@app.local_entrypoint()
def main(
    pairs: str = "bundled_sample",
    fraction: float = 1.0,
    base_model: str = "bundled",
    epochs: int = 1,
    batch_size: int = 32,
    loss: str = "online_contrastive",
) -> None:
    """Evaluate, train, evaluate, and print both results: what the reference's `modal run main.py` does.

    Args:
        pairs: `bundled_sample`, `hub` for Quora's pairs from the Hugging Face hub, or a file of question pairs.
        fraction: share of the pairs to use, from the first on.
        base_model: `bundled`, a folder, or a Hugging Face id.
        epochs: passes over the training pairs.
        batch_size: pairs in an optimiser step.
        loss: what a batch costs.
    """
    functions = {"fine_tune": fine_tune, "evaluate": evaluate, "sealed_result": sealed_result}
    recipe = {"epochs": epochs, "batch_size": batch_size, "loss": loss}
    try:
        run_once(functions.__getitem__, pairs, fraction, base_model, recipe, print)
    except PipelineError as error:
        sys.exit(f"Error: {error}")
