"""What `modal run` and `modal deploy` are pointed at: the app of `pipeline.compute.modal.app`, with a command line.

modal run -m pipeline.compute.modal_app --epochs 1          evaluate, train, evaluate, without Dagster
modal run -m pipeline.compute.modal_app --config FILE       the same with a run config
modal run -m pipeline.compute.modal_app -- --help           all options
modal deploy -m pipeline.compute.modal_app                  by hand what the assets do when the code has changed
"""

from pipeline.command_line import modal_run
from pipeline.compute.modal.app import app
from pipeline.compute.modal.client import ModalCompute, of_this_app
from pipeline.settings import environment


@app.local_entrypoint()
def main(*arguments: str) -> None:
    """Evaluate, train, evaluate, and print both results: what the reference's `modal run main.py` does."""
    # `modal run` shows the containers' logs itself.
    compute = ModalCompute(environment.runs_folder(), of_this_app, for_people=True)
    modal_run.main(arguments, compute)
