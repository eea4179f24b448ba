"""What a teacher's settings mean, and what of them is refused."""

from typing import Any

import pytest

from pipeline.distillation.teacher_options import TeacherOptions
from pipeline.models.options import BaseModelChoice


def test_members_start_from_the_base_model_of_the_student_unless_another_is_named() -> None:
    assert TeacherOptions().base_model_choice is None
    named = TeacherOptions(base_model="BAAI/bge-base-en-v1.5", base_model_revision="main")
    assert named.base_model_choice == BaseModelChoice(model="BAAI/bge-base-en-v1.5", revision="main")


def test_a_revision_needs_the_model_that_it_is_of() -> None:
    with pytest.raises(ValueError, match="base_model_revision is 'main', and no model is named"):
        TeacherOptions(base_model_revision="main")


def test_members_differ_by_their_seeds_alone() -> None:
    options = TeacherOptions(seed=7, members=2, base_model="bundled")
    assert options.recipe_of(0).model_copy(update={"seed": 8}) == options.recipe_of(1)


def test_seeds_beyond_the_largest_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves no seeds for 2 members"):
        TeacherOptions(seed=2**32 - 1, members=2)


@pytest.mark.parametrize(
    "knobs",
    [{"vector_epochs": 1}, {"loss": "distillation_mse"}, {"loss_weights": {"distillation_embeddings": 1.0}}],
    ids=["vector_epochs", "scores", "vectors"],
)
def test_a_teacher_has_no_teacher(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a teacher learns from labels, not from another teacher"):
        TeacherOptions(**knobs)
