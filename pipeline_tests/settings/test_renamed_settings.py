"""Settings are read as earlier releases named them, wherever they come from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
from pydantic import Field, ValidationError

from pipeline.core import values
from pipeline.core.errors import SettingError
from pipeline.core.values import Renamed, Settings, Stored
from pipeline.orchestration import step_config
from pipeline.orchestration.step_config import StepConfig
from pipeline.settings.run_config import read_settings, settings_page


class Knobs(Settings):
    """Two settings that were renamed, and one that wasn't; another one is gone."""

    renamed: ClassVar[Mapping[str, Renamed]] = {
        "stop_after": Renamed("max_steps"),
        "keep": Renamed("load_best", {"best": True, "last": False}),
    }
    removed: ClassVar[Mapping[str, Any]] = {"teacher": "none"}

    max_steps: int | None = Field(default=5, ge=1, description="Steps at most.")
    load_best: bool = True
    seed: int = 0


class KnobsConfig(Knobs, StepConfig):
    """As Dagster hands them to a step."""


class Holder(Stored):
    knobs: Knobs


CLASSES = {"train": Knobs}


def knobs(text: str | None, *overrides: str, folder: Path) -> Knobs:
    path = folder / "config.yaml"
    path.write_text(f"ops: {{train: {{config: {text}}}}}" if text else "")
    return read_settings(CLASSES, path, overrides).of("train", Knobs)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("{stop_after: 9, keep: last}", (), {"max_steps": 9, "load_best": False}),
        ("{stop_after: null, keep: true}", (), {"max_steps": None, "load_best": True}),
        (None, ("train.stop_after=7", "train.keep=last"), {"max_steps": 7, "load_best": False}),
        (None, ("train.stop_after=",), {"max_steps": None}),
        ("{max_steps: 3}", ("train.stop_after=7",), {"max_steps": 7}),
        ("{stop_after: 3}", ("train.max_steps=7",), {"max_steps": 7}),
        ("{teacher: none}", ("train.teacher=none",), {}),
    ],
)
def test_files_and_overrides_may_use_the_earlier_name(
    tmp_path: Path, text: str | None, overrides: tuple[str, ...], expected: dict[str, Any]
) -> None:
    found = knobs(text, *overrides, folder=tmp_path)
    assert found == Knobs(**expected)
    assert set(found.model_dump()) == {"max_steps", "load_best", "seed"}


def test_both_names_together_and_bad_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="stop_after and max_steps are the same setting"):
        knobs("{stop_after: 3, max_steps: 3}", folder=tmp_path)
    with pytest.raises(ValidationError, match="are the same setting"):
        Knobs.model_validate({"stop_after": 3, "max_steps": 3})
    for text, override in (("{teacher: large}", "train.seed=1"), (None, "train.teacher=large")):
        with pytest.raises(SettingError, match="train: teacher is large, but this setting was removed: leave it out"):
            knobs(text, override, folder=tmp_path)
    with pytest.raises(Exception, match=r"train.max_steps can't be 0"):
        knobs("{stop_after: 0}", folder=tmp_path)


def test_the_page_of_settings_names_the_earlier_name() -> None:
    assert "Steps at most. Earlier name: `stop_after`." in settings_page(CLASSES, [])


def test_a_warning_is_logged_once_and_not_for_stored_values(caplog: pytest.LogCaptureFixture) -> None:
    values._warn_renamed.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert Holder.from_stored({"knobs": {"stop_after": 3, "teacher": "none"}}).knobs == Knobs(max_steps=3)
        assert not caplog.records
        for _ in range(2):
            Knobs.model_validate({"stop_after": 3})
    assert [record.getMessage() for record in caplog.records] == ["The setting stop_after is now called max_steps."]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"stop_after": 9, "keep": "last"}, Knobs(max_steps=9, load_best=False)),
        ({"stop_after": None}, Knobs(max_steps=None)),
        ({"stop_after": {"env": "STEPS"}}, Knobs(max_steps=8)),
        ({"max_steps": 9, "teacher": "none"}, Knobs(max_steps=9)),
        ({}, Knobs()),
    ],
)
def test_a_run_config_of_dagster_may_use_the_earlier_name(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], expected: Knobs
) -> None:
    monkeypatch.setattr(step_config, "_CLASSES", CLASSES)
    monkeypatch.setenv("STEPS", "8")
    found: list[KnobsConfig] = []

    @dg.op
    def train(config: KnobsConfig) -> None:
        found.append(config)

    @dg.job
    def training() -> None:
        train()

    run_config = {"ops": {"train": {"config": config}}}
    assert dg.validate_run_config(training, run_config)
    assert training.execute_in_process(run_config=run_config).success
    assert found[0].model_dump() == expected.model_dump()
    for refused in ({"stop_after": 1, "max_steps": 1}, {"teacher": "large"}):
        result = training.execute_in_process(run_config={"ops": {"train": {"config": refused}}}, raise_on_error=False)
        failure = result.failure_data_for_node("train")
        assert failure is not None
        assert ("same setting" if len(refused) > 1 else "was removed") in str(failure.user_failure_data)


def test_dagster_refuses_names_that_never_were(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.op
    def train(config: KnobsConfig) -> None:
        assert config

    @dg.job
    def training() -> None:
        train()

    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(training, {"ops": {"train": {"config": {"stop_before": 1}}}})
