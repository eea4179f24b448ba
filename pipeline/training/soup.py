"""A model soup: several trainings of one recipe that differ by their seeds, and the average of their weights.

They start from the same weights, so they end in one basin of the loss, and the average does what their ensemble does in
the time of one (the uniform soup of Wortsman et al., "Model soups", ICML 2022, arXiv:2203.05482). The trainings run one
after the other, and their progress is reported as that of one training.
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
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

SOUP = "soup"
"""Below a run folder: a folder for each training of a soup, until the average of all is finished."""


@dataclass(frozen=True)
class Member:
    """One of the trainings.

    Attributes:
        folder: where it keeps its checkpoints and its model, below the run folder.
        description: for people.
        recipe: that it is trained by.
        epochs_before: of the members before it.
        epochs_after: of the members after it.
    """

    folder: str
    description: str
    recipe: Recipe
    epochs_before: int
    epochs_after: int

    @property
    def share(self) -> float:
        """Its epochs among those of all members."""
        return self.recipe.epochs / (self.epochs_before + self.recipe.epochs + self.epochs_after)

    def folder_in(self, run_folder: RunFolder) -> RunFolder:
        """Its folder, which is made where it isn't there."""
        path = run_folder.path / self.folder
        path.mkdir(parents=True, exist_ok=True)
        return RunFolder(path)


def members(recipe: Recipe) -> list[Member]:
    """The trainings of a recipe with a `soup_size` above 1, in their order."""
    single, size = recipe.model_copy(update={"soup_size": 1}), recipe.soup_size
    return [
        Member(
            folder=f"{SOUP}/{number + 1}",
            description=f"training {number + 1} of {size}, with seed {recipe.seed + number}",
            recipe=single.model_copy(update={"seed": recipe.seed + number}),
            epochs_before=number * recipe.epochs,
            epochs_after=(size - 1 - number) * recipe.epochs,
        )
        for number in range(size)
    ]


def averaged(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each tensor of some models with the same names and shapes; of integers, which no training changes,
    those of the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def counted_through(on_progress: OnProgress, member: Member, steps_before: int) -> OnProgress:
    """A sink for the progress of a member, as progress of the whole soup.

    The steps that are still to come are those of as many epochs at this member's steps an epoch.

    Args:
        steps_before: of the finished members.
    """
    before, epochs = member.epochs_before, member.recipe.epochs
    seconds_per_step = 0.0

    def after(total: int) -> int:
        return total * member.epochs_after // epochs

    def shifted(event: ProgressEvent) -> ProgressEvent:
        nonlocal seconds_per_step
        match event:
            case TrainingStep(step=step, total_steps=total, seconds_left=left):
                # The last step of a member has nothing left to go by.
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


def joined_evaluations(plan: Sequence[Member], results: Sequence[FineTunedModel]) -> list[DevEvaluation]:
    """The evaluations of all members, one after the other."""
    return [
        evaluation.model_copy(
            update={"epoch": member.epochs_before + evaluation.epoch, "step": steps + evaluation.step}
        )
        for member, steps, result in zip(plan, _steps_before(results), results, strict=True)
        for evaluation in result.dev_evaluations
    ]


def joined_losses(results: Sequence[FineTunedModel]) -> list[tuple[int, float]]:
    """(step, loss) of all members, one after the other."""
    return [
        (steps + step, loss)
        for steps, result in zip(_steps_before(results), results, strict=True)
        for step, loss in result.losses
    ]


def _steps_before(results: Sequence[FineTunedModel]) -> Iterator[int]:
    """Steps that were taken before each of the members."""
    steps = 0
    for result in results:
        yield steps
        steps += result.steps
