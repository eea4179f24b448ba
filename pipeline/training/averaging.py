"""An exponential moving average of the weights: the averaged model is evaluated, kept and returned."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

FILE_NAME = "average.safetensors"
"""In a checkpoint, next to the weights in training."""


class WeightAverage:
    """The average of a model's parameters over the steps of a training.

    `average ← decay × average + (1 − decay) × parameters` after each step (Polyak averaging with exponential decay;
    torch's `get_ema_multi_avg_fn`). It starts from the parameters as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._average = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._update = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Take in the parameters as they are now."""
        current = [parameter.detach() for parameter in self._parameters.values()]
        self._update(list(self._average.values()), current, None)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights in the block, and its own again after it."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._average[name] = self._average[name], parameter.data

    def save(self, folder: Path) -> None:
        """Write the average as safetensors."""
        save_file({name: tensor.contiguous().cpu() for name, tensor in self._average.items()}, folder / FILE_NAME)

    def load(self, folder: Path) -> None:
        """Read the average that `save` wrote."""
        for name, tensor in load_file(folder / FILE_NAME).items():
            self._average[name].copy_(tensor)
