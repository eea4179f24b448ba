"""Config files: run configuration in Dagster's shape, checked against the classes that define every setting.

The same file serves every command, `dagster asset materialize --config`, the jobs and the Launchpad::

    ops:
      <step>:
        config:
          <setting>: <value>

`python -m pipeline config` prints one with every setting, explained. The caller names the steps.
"""

import difflib
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.compute.base import Variable
from pipeline.core.errors import InputError, SettingError, excerpt
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.values import Settings
from pipeline.settings.yaml_text import config_text, load_yaml, load_yaml_texts

SettingsT = TypeVar("SettingsT", bound=BaseModel)

_LIKENESS = 0.5
"""Similarity of a name to the one that may be meant, between 0 and 1."""

_MOST_CHARACTERS = 240
"""Length of all problems in one line. Further ones are counted."""

StepSettings = Mapping[str, type[BaseModel]]
"""The class of the settings of each step."""


class RunSettings:
    """The complete, checked settings of all steps."""

    def __init__(self, classes: StepSettings, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Check the given settings. Those left out take their defaults.

        Raises:
            SettingError: for an unknown step or setting, or a value out of range; as many as fit in one line.
        """
        problems = [
            f"there is no step {excerpt(step)}; {_nearest(step, classes, 'steps')}"
            for step in given
            if step not in classes
        ]
        self._classes = classes
        self._settings: dict[str, BaseModel] = {}
        for step, cls in classes.items():
            try:
                self._settings[step] = cls.model_validate(
                    {str(name): value for name, value in (given.get(step) or {}).items()}
                )
            except ValidationError as error:
                problems += _problems(step, cls, error, classes)
        if problems:
            raise SettingError(_in_one_line(problems), problems=problems)

    def of(self, step: str, cls: type[SettingsT]) -> SettingsT:
        """The settings of one step, as its class."""
        settings = self._settings[step]
        if not isinstance(settings, cls):
            raise TypeError(f"the settings of {step} are {type(settings).__name__}, not {cls.__name__}")
        return settings

    def run_config(self, steps: Collection[str] | None = None) -> dict[str, Any]:
        """Dagster's run config of these steps (by default all), with every value written out."""
        chosen = self._settings if steps is None else steps
        return {"ops": {step: {"config": self._settings[step].model_dump()} for step in chosen}}

    def explained(self, variables: Sequence[Variable] = ()) -> str:
        """The run config of all steps as YAML, with a comment on each setting: meaning, allowed values and default.

        Args:
            variables: environment variables to explain above the settings.
        """
        lines = ["# Environment variables choose where things are:", *_explained(variables), ""] if variables else []
        lines += [
            "# All settings of all steps. Leave out those that you don't change: they take their defaults.",
            "ops:",
        ]
        for step, settings in self._settings.items():
            cls = self._classes[step]
            lines += ["", *_comment(_first_paragraph(cls.__doc__ or step), 2)]
            lines += [f"  {step}:", "    config:"]
            properties = cls.model_json_schema()["properties"]
            for name, field in cls.model_fields.items():
                default = _yaml(field.get_default(call_default_factory=True))
                lines += _comment(_meaning(cls, name), 6)
                lines += _comment(f"Allowed: {_allowed(properties[name])}. Default: {default}", 6)
                lines.append(f"      {name}: {_yaml(getattr(settings, name))}")
        return "\n".join(lines) + "\n"


def _meaning(cls: type[BaseModel], name: str) -> str:
    """The description of a setting, and its earlier names."""
    renamed = cls.renamed if issubclass(cls, Settings) else {}
    earlier = [f"`{old}`" for old, current in renamed.items() if current.name == name]
    meaning = cls.model_fields[name].description or ""
    return f"{meaning} Earlier name: {', '.join(earlier)}." if earlier else meaning


def _explained(variables: Sequence[Variable]) -> list[str]:
    return [
        line
        for variable in variables
        for line in _comment(f"{variable.name}: {variable.meaning}. Default: {variable.default}".replace("`", ""), 0)
    ]


def settings_page(classes: StepSettings, variables: Sequence[Variable]) -> str:
    """All environment variables and settings as a page of Markdown: meaning, allowed values and default."""
    lines = [
        "# Settings",
        "",
        "Environment variables choose *where* things are, settings choose *what* is done. Generated from the code by",
        "`python -m pipeline config --markdown`.",
        "",
        "## Environment variables",
        "",
        "| variable | default | |",
        "|---|---|---|",
        *(f"| `{variable.name}` | {variable.default} | {variable.meaning} |" for variable in variables),
        "",
        "## Steps",
        "",
        "Set them in a config file, with `--set step.setting=value`, or in the Launchpad.",
    ]
    for step, cls in classes.items():
        properties = cls.model_json_schema()["properties"]
        lines += ["", f"### `{step}`", "", _first_paragraph(cls.__doc__ or step), ""]
        lines += ["| setting | default | allowed | |", "|---|---|---|---|"]
        for name, field in cls.model_fields.items():
            default = _yaml(field.get_default(call_default_factory=True))
            cells = (f"`{name}`", f"`{default}`", _allowed(properties[name]), _meaning(cls, name))
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def read_settings(
    classes: StepSettings,
    path: Path | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunSettings:
    """Read a config file, apply overrides such as `step.setting=3`, then typed values.

    Raises:
        PipelineError: when the file is missing or no run config.
        SettingError: when a setting is refused.
    """
    read = _read(path) if path else {}
    steps = {step: _with_current_names(step, given, classes) for step, given in read.items()}
    for override in overrides:
        target, equals, text = override.partition("=")
        step, dot, name = target.partition(".")
        if not (equals and dot and name):
            meant = [f"{place}={text}" for place in _places(target, classes)] if equals else []
            raise SettingError(
                f"{excerpt(override)} sets nothing: write step.setting=value, such as --set "
                f"{excerpt(meant[0])[1:-1] if meant else _example(classes)}",
                override=override,
            )
        typed = {name: _typed(text, classes.get(step), name, target)}
        steps[step] = {**steps.get(step, {}), **_with_current_names(step, typed, classes)}
    for step, named in (values or {}).items():
        steps[step] = {**steps.get(step, {}), **named}
    return RunSettings(classes, steps)


def _with_current_names(step: str, given: Mapping[str, Any], classes: StepSettings) -> Mapping[str, Any]:
    cls = classes.get(step)
    if cls is None or not issubclass(cls, Settings):
        return given
    try:
        return cls.with_current_names(given)
    except ValueError as error:
        raise SettingError(f"{step}: {error}", step=step) from None


def _example(classes: StepSettings) -> str:
    """The first setting that is a number, with its default."""
    numbers = (
        f"{step}.{name}={field.default}"
        for step, cls in classes.items()
        for name, field in cls.model_fields.items()
        if field.annotation is int and not isinstance(field.default, bool)
    )
    return next(numbers, "step.setting=1")


def project_config(name: str) -> Path:
    """The file `configs/<name>.yaml` of this project."""
    return PROJECT_ROOT / "configs" / f"{name}.yaml"


_NULLS = ("", "null", "~")


def _typed(text: str, cls: type[BaseModel] | None, name: str, target: str) -> Any:
    """Convert a text by the type of its setting.

    A text stays as it was typed, but an empty one means none if the setting may be empty. Mappings and lists are YAML
    whose scalars are texts. pydantic converts the rest.
    """
    if cls is not None and issubclass(cls, Settings) and name in cls.renamed:
        name = cls.renamed[name].name
    if cls is None or name not in cls.model_fields:
        return text
    schema = cls.model_json_schema()["properties"][name]
    options = schema.get("anyOf", [schema])
    kinds = {option.get("type") for option in options}
    if kinds & {"object", "array"}:
        return load_yaml_texts(text, f"the value of {target}")
    if any(option.get("type") == "string" and not {"enum", "const"} & set(option) for option in options):
        return None if text == "" and "null" in kinds else text
    return None if text.strip().lower() in _NULLS else text.strip()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    steps = _only(load_yaml(config_text(path), f"the config file {path}"), "ops", path)
    return {str(step): _mapping(_only(entry, "config", path), path) for step, entry in _mapping(steps, path).items()}


def _only(value: Any, key: str, path: Path) -> Any:
    """The value of the only key that a mapping may have, or None."""
    mapping = _mapping(value, path)
    if surplus := [str(name) for name in mapping if name != key]:
        raise InputError(
            f"{path}: {excerpt(surplus[0])} is in the place of `{key}:`; write {_SHAPE}", path=path, found=surplus[0]
        )
    return mapping.get(key)


def _mapping(value: Any, path: Path) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(
            f"{path} is no run config: {excerpt(str(value))} is in the place of settings; write {_SHAPE}",
            path=path,
            found=value,
        )
    return value


_SHAPE = "`ops: <step>: config: <setting>: <value>`, a level a line"


def _comment(text: str, indent: int) -> list[str]:
    """A text as comment lines."""
    start = " " * indent + "# "
    return textwrap.wrap(text, 110, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def _first_paragraph(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].split())


def _yaml(value: Any) -> str:
    """A value as YAML in one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
        .partition("\n...")[0]
        .strip()
    )


def problems_in_one_line(step: str, cls: type[BaseModel], error: ValidationError) -> str:
    """The problems with the settings of one step, in the words of `RunSettings`."""
    return _in_one_line(_problems(step, cls, error, {step: cls}))


def _in_one_line(problems: Sequence[str]) -> str:
    """The first problems, as many as a short line holds, and the number of further ones."""
    # pydantic reports a value that fits none of several types once for each type.
    problems = list(dict.fromkeys(problems))
    shown = problems[0]
    for at, problem in enumerate(problems[1:], start=1):
        if len(shown) + len(problem) > _MOST_CHARACTERS:
            return f"{shown}; and {len(problems) - at:,} more"
        shown = f"{shown}; {problem}"
    return shown


def _places(name: str, classes: StepSettings) -> list[str]:
    """The settings with this name, or else with the most similar one, as `step.setting`."""
    names = {setting for cls in classes.values() for setting in cls.model_fields}
    wanted = [name] if name in names else difflib.get_close_matches(name, names, n=1, cutoff=_LIKENESS)
    return [f"{step}.{setting}" for setting in wanted for step, cls in classes.items() if setting in cls.model_fields]


def _nearest(name: str, known: Iterable[str], what: str) -> str:
    """A suggestion of similar names, and the command that lists all."""
    return _meant(difflib.get_close_matches(name, known, n=2, cutoff=_LIKENESS), what)


def _meant(names: Sequence[str], what: str) -> str:
    meant = f"did you mean {' or '.join(names)}? " if names else ""
    return f"{meant}`python -m pipeline config` lists the {what}"


def _problems(step: str, cls: type[BaseModel], error: ValidationError, classes: StepSettings) -> list[str]:
    return [_problem(step, cls, dict(detail), classes) for detail in error.errors()]


def _problem(step: str, cls: type[BaseModel], detail: dict[str, Any], classes: StepSettings) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        # A setting of another step with the same name is a better suggestion than one with a similar name.
        others = [place for place in _places(name, classes) if place.endswith(f".{name}")]
        advice = _meant(others[:2], "settings") if others else _nearest(name, cls.model_fields, "settings")
        return f"{step} has no setting {excerpt(name)}; {advice}"
    if not name:
        return f"{step}: {detail['msg'].removeprefix('Value error, ')}"
    if detail["type"] == "value_error":
        return f"{step}.{name}: {detail['msg'].removeprefix('Value error, ')}"
    schema = cls.model_json_schema()["properties"][name]
    given = detail["input"]
    shown = excerpt(given) if isinstance(given, str) else excerpt(str(given))[1:-1]
    quotes = " (in quotes)" if detail["type"] == "string_type" and given is not None else ""
    return f"{step}.{name} can't be {shown}: it must be {_allowed(schema)}{quotes}"


def _allowed(schema: dict[str, Any]) -> str:
    """The allowed values of a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(repr(value) for value in schema.get("enum", [schema.get("const")]))
    kinds = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
        "null": "empty",
        "object": "a mapping",
        "array": "a list",
    }
    words = kinds.get(schema.get("type", ""), "another type")
    if "maxLength" in schema:
        words += f" of {schema.get('minLength', 0):,} to {schema['maxLength']:,} characters"
    elif schema.get("minLength"):
        words += " that isn't empty"
    for key, what in (("items", "of values"), ("additionalProperties", "of names to values")):
        if isinstance(schema.get(key), dict):
            words += f" {what}, each {_allowed(schema[key])}"
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    limits = [f"{text} {schema[key]:,}" for key, text in bounds.items() if key in schema]
    return f"{words} {' and '.join(limits)}".strip()
