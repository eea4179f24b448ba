"""A compute on the loopback Modal server, in this process, and a training that takes seconds there."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from modal_loopback import LoopbackModal
from modal_training import Training, fresh_compute
from small_data import sample_pairs

from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
from pipeline.training.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute


@pytest.fixture
def training(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """40 steps of a tiny model, a checkpoint at every fifth."""
    # Threads of several processes on a few cores spend their time waiting for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pairs = sample_pairs()
    return Training(
        base_model=resolve_base_model(BaseModelChoice(model=str(tiny_model))),
        train=pairs.take(np.arange(160)),
        dev=pairs.take(np.arange(160, 224)),
        recipe=Recipe(epochs=2, batch_size=8, learning_rate=1e-3, save_steps=5, device="cpu", allow_slow=True),
    )


@pytest.fixture
def modal_compute(
    training: Training, modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> "ModalCompute":
    """The compute, without a GPU. Its modules are imported anew: an app belongs to the server that it was made on."""
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    return fresh_compute(monkeypatch, tmp_path / "runs")
