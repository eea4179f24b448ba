"""A setting that was removed is ignored at the value that changed nothing, and refused by name at any other."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from pipeline.core.values import Settings
from pipeline.duplicates.options import MiningOptions


class Knobs(Settings):
    removed: ClassVar[Mapping[str, Any]] = {"mode": "plain", "rate": None, "extra": 0, "swap": False}

    width: int = 1


@pytest.mark.parametrize(
    "given",
    [{"mode": "plain"}, {"rate": None}, {"rate": ""}, {"extra": 0}, {"extra": "0"}, {"swap": False}, {"swap": "false"}],
)
def test_at_the_value_that_changed_nothing_it_is_ignored(given: dict[str, Any]) -> None:
    assert Knobs.model_validate(given) == Knobs()


@pytest.mark.parametrize("given", [{"mode": "fancy"}, {"rate": 0.1}, {"rate": "0.1"}, {"extra": 1}, {"swap": "true"}])
def test_at_any_other_value_it_is_refused_by_name(given: dict[str, Any]) -> None:
    ((name, value),) = given.items()
    with pytest.raises(ValidationError, match=f"{name} is {value}, but this setting was removed"):
        Knobs.model_validate(given)


def test_saved_settings_of_mining_without_a_recall_are_read() -> None:
    assert MiningOptions.model_validate({"floor": 0.8, "recall": None}).floor == 0.8
    with pytest.raises(ValidationError):
        MiningOptions.model_validate({"recall": 0.9})
