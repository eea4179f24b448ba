"""Parts of a corpus are embedded in containers side by side, and come back in order."""

from pathlib import Path

import numpy as np
import pytest
from modal_loopback import LoopbackModal
from modal_training import Training

from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.client import ModalCompute
from pipeline.core.errors import DamagedError
from pipeline.core.progress import Advanced, ProgressEvent

pytestmark = pytest.mark.slow

PARTS = [["How do I learn Python?", "Why?"], ["🙂"], ["Where is my invoice?", "שלום", "x" * 1_000]]


def test_they_are_what_this_machine_would_have_embedded(
    training: Training, modal_compute: ModalCompute, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    there = list(modal_compute.embed_parts(training.base_model, PARTS, events.append))
    here = list(LocalCompute(tmp_path).embed_parts(training.base_model, PARTS, events.append))
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert [event.done for event in events[: len(PARTS)] if isinstance(event, Advanced)] == [2, 1, 3]
    # All were handed over before the first was waited for.
    assert len(modal_loopback.requests("FunctionMap")) == len(PARTS)
    assert list(modal_compute.embed_parts(training.base_model, [], events.append)) == []


def test_an_error_of_one_part_ends_the_others_in_one_line(
    training: Training, modal_compute: ModalCompute, tmp_path: Path
) -> None:
    gone = training.base_model.model_copy(update={"location": str(tmp_path / "gone")})
    with pytest.raises(DamagedError):
        list(modal_compute.embed_parts(gone, PARTS, lambda event: None))
