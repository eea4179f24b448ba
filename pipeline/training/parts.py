"""A training that is made of several, one after the other, and looks like one to everybody.

A *model soup* is trainings of one recipe that differ by their seeds, and the average of their weights. They start from
the same weights, so they end in one basin of the loss, and the average does what their ensemble does in the time of one
(the uniform soup of Wortsman et al., "Model soups", ICML 2022, arXiv:2203.05482).

A training by a teacher's vectors alone may come before them; all of them then start from its model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
from pipeline.training.recipe import EMBEDDING_DISTILLATION, Recipe
from pipeline.training.run_folder import RunFolder

SOUP = "soup"
"""Below a run folder: a folder for each training of a soup, until the average of all is finished."""

VECTORS = "vectors"
"""Below a run folder: the training by a teacher's vectors alone, likewise."""


@dataclass(frozen=True)
class Part:
    """One of the trainings that a recipe is made of.

    Attributes:
        folder: where it keeps its checkpoints and its model, below the run folder.
        description: for people.
        recipe: that it is trained by.
        comes_first: whether the others start from its model, which is no part of the average.
        epochs_before: of the parts before it.
        epochs_after: of the parts after it.
    """

    folder: str
    description: str
    recipe: Recipe
    comes_first: bool
    epochs_before: int = 0
    epochs_after: int = 0

    @property
    def share(self) -> float:
        """Its epochs among those of all parts."""
        return self.recipe.epochs / (self.epochs_before + self.recipe.epochs + self.epochs_after)

    def folder_in(self, run_folder: RunFolder) -> RunFolder:
        """Its folder, which is made where it isn't there."""
        path = run_folder.path / self.folder
        path.mkdir(parents=True, exist_ok=True)
        return RunFolder(path)


def trainings(recipe: Recipe) -> list[Part]:
    """The trainings that a recipe asks for, in their order; none where it is a single one."""
    if recipe.vector_epochs == 0 and recipe.soup_size == 1:
        return []
    single = recipe.model_copy(update={"soup_size": 1, "vector_epochs": 0, "vector_learning_rate": None})
    found = [
        Part(
            folder=f"{SOUP}/{number + 1}",
            description=f"training {number + 1} of {recipe.soup_size}, with seed {recipe.seed + number}",
            recipe=single.model_copy(update={"seed": recipe.seed + number}),
            comes_first=False,
        )
        for number in range(recipe.soup_size)
    ]
    if recipe.vector_epochs:
        of_first = single.model_copy(
            update={
                "epochs": recipe.vector_epochs,
                "learning_rate": recipe.vector_learning_rate or recipe.learning_rate,
                "loss": EMBEDDING_DISTILLATION,
                "loss_weights": {},
                # A teacher gives vectors of the labelled pairs' questions.
                "learn_from": "gold",
                "closure_cluster": 0,
            }
        )
        found.insert(0, Part(VECTORS, "training on the teacher's vectors alone", of_first, comes_first=True))
    epochs = [part.recipe.epochs for part in found]
    return [
        replace(part, epochs_before=sum(epochs[:number]), epochs_after=sum(epochs[number + 1 :]))
        for number, part in enumerate(found)
    ]


def averaged(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each tensor of some models with the same names and shapes; of integers, which no training changes,
    those of the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def counted_through(on_progress: OnProgress, part: Part, steps_before: int) -> OnProgress:
    """A sink for the progress of a part, as progress of all of them.

    The steps that are still to come are those of as many epochs at this part's steps an epoch.

    Args:
        steps_before: of the finished parts.
    """
    before, epochs = part.epochs_before, part.recipe.epochs
    seconds_per_step = 0.0

    def after(total: int) -> int:
        return total * part.epochs_after // epochs

    def shifted(event: ProgressEvent) -> ProgressEvent:
        nonlocal seconds_per_step
        match event:
            case TrainingStep(step=step, total_steps=total, seconds_left=left):
                # The last step of a part has nothing left to go by.
                seconds_per_step = left / (total - step) if step < total else seconds_per_step
                return replace(
                    event,
                    step=steps_before + step,
                    total_steps=steps_before + total + after(total),
                    epoch=before + event.epoch,
                    # What is left of this one, and as long for each step of the others.
                    seconds_left=left + after(total) * seconds_per_step,
                )
            case TrainingAdvanced(step=step, total_steps=total) | TrainingResumed(step=step, total_steps=total):
                return replace(event, step=steps_before + step, total_steps=steps_before + total + after(total))
            case DevEvaluated(step=step):
                return replace(event, step=steps_before + step, epoch=before + event.epoch)
            case CheckpointSaved(step=step):
                return replace(event, step=steps_before + step)
        return event

    return lambda event: on_progress(shifted(event))


def joined_evaluations(plan: Sequence[Part], results: Sequence[FineTunedModel]) -> list[DevEvaluation]:
    """The evaluations of all parts, one after the other."""
    return [
        evaluation.model_copy(update={"epoch": part.epochs_before + evaluation.epoch, "step": steps + evaluation.step})
        for part, steps, result in zip(plan, _steps_before(results), results, strict=True)
        for evaluation in result.dev_evaluations
    ]


def joined_losses(results: Sequence[FineTunedModel]) -> list[tuple[int, float]]:
    """(step, loss) of all parts, one after the other."""
    return [
        (steps + step, loss)
        for steps, result in zip(_steps_before(results), results, strict=True)
        for step, loss in result.losses
    ]


def _steps_before(results: Sequence[FineTunedModel]) -> Iterator[int]:
    """Steps that were taken before each of the parts."""
    steps = 0
    for result in results:
        yield steps
        steps += result.steps
