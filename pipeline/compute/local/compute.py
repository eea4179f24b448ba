"""Trains and measures in this process, on this machine's CPU or GPU.

Torch is imported where work begins: steps that only verify or add files do without it, and start in a moment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np

from pipeline.compute.base import Compute, MeasuringJob, Usage, Work, WorkRecord
from pipeline.compute.interrupts import interrupts_let_through
from pipeline.core.files import add_to_folder
from pipeline.core.locks import held_alone
from pipeline.core.progress import OnProgress
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.options import EvaluationOptions
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training import distributed
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.manifest import verify_model
from pipeline.training.run_folder import RunFolder

ResultT = TypeVar("ResultT")


class _InThisProcess(Work[ResultT], Generic[ResultT]):
    """Work that is done while it is followed, and ends with its caller."""

    def __init__(self, do: Callable[[OnProgress], ResultT]) -> None:
        self._do = do
        self._result: ResultT | None = None

    def follow(self, on_progress: OnProgress) -> Usage | None:
        with interrupts_let_through():
            self._result = self._do(on_progress)
        return None

    def cancel(self) -> None:
        """Nothing is left to end: an interrupt has ended it."""

    def collect(self) -> ResultT:
        if self._result is None:
            raise RuntimeError("the work was collected before it was followed")
        return self._result


@dataclass(frozen=True)
class LocalCompute(Compute):
    """Trains and measures here.

    Attributes:
        runs_folder: where the run folders `sentence-transformers-ft-<UNIX_TIMESTAMP>` are made.
    """

    kind: ClassVar[str] = "local"

    runs_folder: Path

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """See `Compute.start_training`. The run folder of the same run and training is found again by its owner."""
        from pipeline.models.loading import resolve_device
        from pipeline.training.fine_tune import fine_tune

        distributed.join(resolve_device(job.recipe.device))
        folder = distributed.from_main(lambda: RunFolder.claim(self.runs_folder, run, job.fingerprint))

        def do(on_progress: OnProgress) -> FineTunedModel:
            with ExitStack() as stack:
                # The same run, re-executed twice at once, finds the same folder twice.
                distributed.from_main(lambda: stack.enter_context(held_alone(folder.path, "trains in")))
                return fine_tune(job, folder, on_progress)

        return _InThisProcess(do)

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """See `Compute.start_measuring`."""

        def do(on_progress: OnProgress) -> Measurement:
            from pipeline.evaluation.measure import measure
            from pipeline.models.loading import load_model, quiet_libraries, resolve_device

            quiet_libraries()
            model = load_model(job.model, resolve_device(job.options.device))
            stage = f"evaluating {job.model.name}"
            return measure(model, job.eval_split, job.dev_split, job.options, on_progress, stage)

        return _InThisProcess(do)

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        """See `Compute.add_files`."""
        add_to_folder(Path(model.run_folder), files, replace)

    def verify(self, model: FineTunedModel) -> None:
        """See `Compute.verify`."""
        verify_model(Path(model.run_folder), model.model.version)

    def download(self, model: FineTunedModel) -> FineTunedModel:
        """See `Compute.download`: it is here already."""
        self.verify(model)
        return model

    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        """See `Compute.embed`."""
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        return embed_questions(load_model(model, resolve_device("auto")), questions, EvaluationOptions().token_budget)

    def embed_parts(
        self, model: ModelInfo, parts: Sequence[list[str]], on_progress: OnProgress
    ) -> Iterator[np.ndarray]:
        """See `Compute.embed_parts`: the model is loaded once."""
        if not parts:
            return
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        loaded, budget = load_model(model, resolve_device("auto")), EvaluationOptions().token_budget
        for part in parts:
            yield embed_questions(loaded, part, budget, on_progress)
