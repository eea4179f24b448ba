"""Checks the ranges of the settings of silver pairs."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.distillation.options import SilverOptions


@pytest.mark.parametrize(
    "setting",
    [
        {"folds": 1},
        {"folds": 21},
        {"sources": "words"},
        {"bm25_per_question": 0},
        {"neighbours_per_question": 101},
        {"pairs_per_gold": 0},
        {"pairs_per_gold": 20.1},
        {"seed": -1},
        {"unknown": 1},
    ],
)
def test_a_setting_out_of_range_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SilverOptions.model_validate(setting)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in SilverOptions.model_fields.values())


def test_both_are_the_two_sources_words_first() -> None:
    assert SilverOptions(sources="both").used_sources == ("bm25", "neighbours")
    assert SilverOptions().used_sources == ("bm25",)
