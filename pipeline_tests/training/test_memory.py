"""What a training does when the memory is too small: halve, or say what would fit."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils.memory import should_reduce_batch_size
from run_folders import folder_for
from small_data import sample_pairs
from tiny_model import make_tiny_model

from pipeline.core.errors import ResourceError
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.trainer import PairTrainer

pytestmark = pytest.mark.slow

RECIPE = Recipe(batch_size=32, device="cpu", load_best_model_at_end=False, allow_slow=True)


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    return resolve_base_model(BaseModelChoice(model=str(make_tiny_model(tmp_path_factory.mktemp("model")))))


@pytest.fixture(scope="module")
def job(base_model: ModelInfo) -> TrainingJob:
    """A training on 64 pairs, without a dev split."""
    pairs = sample_pairs()
    return TrainingJob(pairs.take(np.arange(64)), pairs.take(np.arange(0)), base_model, RECIPE)


def with_budget(job: TrainingJob, tokens: int) -> TrainingJob:
    return replace(job, recipe=RECIPE.model_copy(update={"token_budget": tokens}))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens that fit, as its one element; a batch with more fails as torch's CPU allocator does."""
    fits = [10**9]
    compute = PairTrainer.forward_backward

    def forward_backward(self: PairTrainer, indices: np.ndarray) -> None:
        if self._collator.tokens(indices).sum() > fits[0]:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        compute(self, indices)

    monkeypatch.setattr(PairTrainer, "forward_backward", forward_backward)
    return fits


def test_torch_s_own_message_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.int8)
    assert should_reduce_batch_size(caught.value)


def test_auto_halves_the_budget_until_it_fits(
    job: TrainingJob, memory: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory[0] = 300
    with caplog.at_level(logging.WARNING):
        result = fine_tune(job, folder_for(job, tmp_path))
    assert result.token_budget == 256
    assert result.steps > 2
    assert result.pair_visits == 64
    assert "out of memory with 512 tokens" in caplog.text


def test_a_budget_of_one_s_own_is_refused_with_one_that_fits(
    job: TrainingJob, memory: list[int], tmp_path: Path
) -> None:
    memory[0] = 300
    job = with_budget(job, 1000)
    folder = folder_for(job, tmp_path)
    with pytest.raises(ResourceError) as caught:
        fine_tune(job, folder)
    assert (caught.value.values["token_budget"], caught.value.values["fits"]) == (1_000, 250)
    assert not folder.manifest.exists()


def test_a_memory_too_small_for_anything_is_said(job: TrainingJob, memory: list[int], tmp_path: Path) -> None:
    memory[0] = 0
    with pytest.raises(ResourceError) as caught:
        fine_tune(job, folder_for(job, tmp_path))
    assert caught.value.values == {"token_budget": 64}


def test_a_budget_that_binds_ends_batches_early_and_visits_all_pairs(job: TrainingJob, tmp_path: Path) -> None:
    job = with_budget(job, 128)
    result = fine_tune(job, folder_for(job, tmp_path))
    assert result.steps > 2
    assert result.pair_visits == 64
