"""A model soup: trainings of one recipe that differ by their seeds, and the average of their weights.

They start from the same base model, so they end in one basin of the loss, and the average of their weights does what
their ensemble does in the time of one (the uniform soup of Wortsman et al., "Model soups", ICML 2022,
arXiv:2203.05482).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from pipeline.core.progress import (
    CheckpointSaved,
    DevEvaluated,
    OnProgress,
    ProgressEvent,
    TrainingAdvanced,
    TrainingResumed,
    TrainingStep,
)
from pipeline.models.fine_tuned import DevEvaluation, FineTunedModel
from pipeline.training.job import TrainingJob
from pipeline.training.run_folder import RunFolder

FOLDER = "soup"
"""Below a run folder: a folder for each training, until the average of all is finished."""


def trainings(job: TrainingJob) -> list[TrainingJob]:
    """The trainings whose weights are averaged, with the seeds `seed`, `seed` + 1 and so on."""
    recipe = job.recipe
    return [
        replace(job, recipe=recipe.model_copy(update={"soup_size": 1, "seed": recipe.seed + number}))
        for number in range(recipe.soup_size)
    ]


def folder_of(run_folder: RunFolder, number: int) -> RunFolder:
    """Where one of the trainings keeps its checkpoints and its model."""
    path = run_folder.path / FOLDER / str(number + 1)
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path)


def averaged(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each tensor of some models with the same names and shapes; of integers, which no training changes,
    those of the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def counted_through(on_progress: OnProgress, number: int, size: int, epochs: int) -> OnProgress:
    """A sink for the progress of one of several trainings, as progress of all of them: they have as many steps each."""
    per_training = 0

    def shifted(event: ProgressEvent) -> ProgressEvent:
        nonlocal per_training
        match event:
            case TrainingStep(step=step, total_steps=total, seconds_left=left):
                per_training = total
                # What is left of this one, and as long for each step of the others.
                others = (size - number - 1) * total * left / max(total - step, 1)
                return replace(
                    event,
                    step=number * total + step,
                    total_steps=size * total,
                    epoch=number * epochs + event.epoch,
                    seconds_left=left + others,
                )
            case TrainingAdvanced(step=step, total_steps=total) | TrainingResumed(step=step, total_steps=total):
                per_training = total
                return replace(event, step=number * total + step, total_steps=size * total)
            case DevEvaluated(step=step):
                return replace(event, step=number * per_training + step, epoch=number * epochs + event.epoch)
            case CheckpointSaved(step=step):
                return replace(event, step=number * per_training + step)
        return event

    return lambda event: on_progress(shifted(event))


def joined_evaluations(results: Sequence[FineTunedModel], epochs: int) -> list[DevEvaluation]:
    """The evaluations of all trainings, one after the other."""
    return [
        evaluation.model_copy(update={"epoch": number * epochs + evaluation.epoch, "step": steps + evaluation.step})
        for number, (steps, result) in enumerate(zip(_steps_before(results), results, strict=True))
        for evaluation in result.dev_evaluations
    ]


def joined_losses(results: Sequence[FineTunedModel]) -> list[tuple[int, float]]:
    """(step, loss) of all trainings, one after the other."""
    return [
        (steps + step, loss)
        for steps, result in zip(_steps_before(results), results, strict=True)
        for step, loss in result.losses
    ]


def _steps_before(results: Sequence[FineTunedModel]) -> list[int]:
    """Steps that were taken before each of the trainings."""
    before = [0]
    for result in results[:-1]:
        before.append(before[-1] + result.steps)
    return before
