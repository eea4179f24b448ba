"""What the settings of every step have in common in Dagster: the whole run config is checked before any work is done.

Dagster itself checks types and choices before a run begins, but no bounds: it leaves those to each step, when that step
begins. A bad value of the training would be found after the baseline was measured.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.values import Renamed, Settings
from pipeline.orchestration.steps import ON_REQUEST_SETTINGS, STEP_SETTINGS
from pipeline.settings.run_config import RunSettings, problems_in_one_line

_CLASSES = {**STEP_SETTINGS, **ON_REQUEST_SETTINGS}
"""Of the steps of jobs that have several."""


class StepConfig(dg.Config):
    """Settings as Dagster hands them to a step. A class has this base next to the one in an `options.py`."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let Dagster's schema, which it makes of the fields, have earlier names and removed settings too."""
        super().__init_subclass__(**options)
        if not issubclass(cls, Settings):
            return
        descriptions = {earlier: f"Earlier name of {current.name}." for earlier, current in cls.renamed.items()}
        descriptions |= dict.fromkeys(cls.removed, "Removed: accepted only at the value that changed nothing.")
        for name, description in descriptions.items():
            cls.__annotations__[name] = Any
            setattr(cls, name, Field(default=None, exclude=True, description=description))

    def __init__(self, **values: Any) -> None:
        """Check the settings of every step of this run, then these.

        Raises:
            dg.Failure: for a value that is refused, in one line that names the step and the setting.
        """
        context = _current_step()
        given = {name for name, value in values.items() if value is not None}
        if context is not None:
            _require_sound(context.run.run_config)
            given = set(_given(context.run.run_config, context.op_def.name))
        for earlier, current in _renamed(type(self)).items():
            # Dagster gives every setting that was left out its default.
            value = values.pop(earlier, None)
            if earlier in given:
                values[current.name] = current.value(_resolved(value))
        for name in _removed(type(self)) - given:
            values.pop(name, None)
        try:
            super().__init__(**values)
        except ValidationError as error:
            if context is None:
                raise
            raise _failure(problems_in_one_line(context.op_def.name, type(self), error)) from None


def run_config(settings: Mapping[str, BaseModel]) -> dict[str, Any]:
    """The run config with these settings of steps: what the Launchpad of a job opens with. Without one it would fill in
    the resources too, which are for the environment to choose."""
    return {"ops": {step: {"config": each.model_dump()} for step, each in settings.items()}}


def _renamed(cls: type) -> Mapping[str, Renamed]:
    return cls.renamed if issubclass(cls, Settings) else {}


def _removed(cls: type) -> set[str]:
    return set(cls.removed) if issubclass(cls, Settings) else set()


def _current_step() -> dg.OpExecutionContext | None:
    """The step that this process is doing; None where settings are made elsewhere, such as by a test."""
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


def _given(config: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    """The settings of a step that the run config has."""
    return (config.get("ops", {}).get(step) or {}).get("config") or {}


def _require_sound(config: Mapping[str, Any]) -> None:
    given = {
        step: {name: _resolved(value) for name, value in _given(config, step).items()}
        for step, entry in config.get("ops", {}).items()
        if step in _CLASSES and entry
    }
    try:
        RunSettings({step: _CLASSES[step] for step in given}, given)
    except PipelineError as error:
        raise _failure(str(error)) from None


def _resolved(value: Any) -> Any:
    """A value of the run config; where it names an environment variable, as Dagster lets it, that variable's value."""
    if isinstance(value, dict) and list(value) == ["env"]:
        return dg.EnvVar(value["env"]).get_value()
    return value


def _failure(line: str) -> dg.Failure:
    return dg.Failure(line, allow_retries=False)
