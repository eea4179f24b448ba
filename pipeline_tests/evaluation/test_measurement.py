"""A measurement is the same after it was sent as bytes."""

import numpy as np
import pytest

from pipeline.core.errors import DamagedError
from pipeline.evaluation.measurement import SIMILARITIES, Measurement


def a_measurement() -> Measurement:
    scores = {name: np.linspace(0, 1, 4, dtype=np.float32) + i for i, name in enumerate(SIMILARITIES)}
    return Measurement(scores, {name: values[:0] for name, values in scores.items()}, None, 1.5, 7, "cpu", "fp32")


def test_a_measurement_survives_its_bytes() -> None:
    measured = a_measurement()
    again = Measurement.from_bytes(measured.to_bytes())
    for name in SIMILARITIES:
        np.testing.assert_array_equal(again.eval_scores[name], measured.eval_scores[name])
        assert len(again.dev_scores[name]) == 0
    assert (again.seconds, again.questions, again.device, again.precision) == (1.5, 7, "cpu", "fp32")
    assert again.tasks is None


@pytest.mark.parametrize("damaged", [a_measurement().to_bytes()[:-40], b"no measurement", b""])
def test_other_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(DamagedError) as caught:
        Measurement.from_bytes(damaged)
    assert caught.value.values == {"bytes": len(damaged)}
