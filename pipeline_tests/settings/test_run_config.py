"""Checks that config files are read whole, and that what is refused is named with what is allowed."""

import os
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.core.errors import PipelineError
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.steps import STEP_SETTINGS, load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.settings.run_config import project_config, read_settings
from pipeline.training.recipe import Recipe, TrainingOrder

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FILES = sorted((ROOT / "configs").glob("*.yaml"))


def refusal(path: Path | None = None, *overrides: str) -> str:
    """The one line with which these settings are refused."""
    with pytest.raises(PipelineError) as caught:
        load_settings(path, overrides)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert len(message) <= 280
    return message


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_project_has_the_files_that_it_speaks_of() -> None:
    assert {"quickstart", "laptop", "reference", "best"} <= {path.stem for path in PROJECT_FILES}
    assert project_config("quickstart") == ROOT / "configs" / "quickstart.yaml"


@pytest.mark.parametrize("path", PROJECT_FILES, ids=lambda path: path.stem)
def test_every_file_of_the_project_is_taken_with_all_it_says(path: Path) -> None:
    config = load_settings(path).run_config()
    for step, entry in yaml.safe_load(path.read_text(encoding="utf-8"))["ops"].items():
        for name, value in entry["config"].items():
            assert config["ops"][step]["config"][name] == value, f"{step}.{name}"


def test_nothing_given_means_the_defaults() -> None:
    settings = load_settings()
    assert settings.of("splits", SplitPlan) == SplitPlan()
    assert settings.of("fine_tuned_model", TrainingOrder) == TrainingOrder()
    assert settings.of("raw_quora_dataset", PairSource) == PairSource()
    assert settings.of("base_model", BaseModelChoice) == BaseModelChoice()
    assert settings.of("baseline_eval_report", EvaluationOptions) == EvaluationOptions()


def test_a_run_config_has_every_value_and_is_taken_again(tmp_path: Path) -> None:
    config = load_settings(project_config("laptop"), ["fine_tuned_model.epochs=3"]).run_config()
    assert set(config["ops"]) == set(STEP_SETTINGS)
    for step, cls in STEP_SETTINGS.items():
        assert set(config["ops"][step]["config"]) == set(cls.model_fields)
    again = load_settings(written(tmp_path, yaml.safe_dump(config)))
    assert again.run_config() == config


def test_a_run_config_of_some_steps_has_only_those() -> None:
    assert list(load_settings().run_config(["splits"])["ops"]) == ["splits"]


def test_an_override_wins_over_the_file_and_leaves_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, "ops:\n  fine_tuned_model:\n    config:\n      epochs: 10\n      batch_size: 16\n")
    recipe = load_settings(path, ["fine_tuned_model.epochs=2", "fine_tuned_model.epochs=3"]).of(
        "fine_tuned_model", Recipe
    )
    assert (recipe.epochs, recipe.batch_size) == (3, 16)


@pytest.mark.parametrize(
    ("override", "step", "name", "value"),
    [
        ("fine_tuned_model.learning_rate=3e-5", "fine_tuned_model", "learning_rate", 3e-5),
        ("fine_tuned_model.allow_slow=true", "fine_tuned_model", "allow_slow", True),
        ("splits.train_limit=100", "splits", "train_limit", 100),
        ("splits.train_limit=", "splits", "train_limit", None),
        ("splits.train_limit=null", "splits", "train_limit", None),
        ("base_model.model=/models/a=b.c", "base_model", "model", "/models/a=b.c"),
        ("base_model.revision=main", "base_model", "revision", "main"),
    ],
)
def test_an_override_is_read_by_the_type_of_its_setting(override: str, step: str, name: str, value: Any) -> None:
    found = load_settings(None, [override]).run_config()["ops"][step]["config"][name]
    assert (found, type(found)) == (value, type(value))


LOOKS_LIKE_YAML = (
    *("12345678", "1e5", "0x1F", "2024-01-01", "2024-13-45", "12:30", "1_000", "3.10", ".5", "~", "null", "no", "on"),
    *(
        "true",
        "a: b",
        "a # b",
        "[a, b]",
        "{a: b}",
        "'quoted'",
        '"',
        "*alias",
        "&anchor",
        "!tag",
        "@at",
        "%",
        "- a",
        "?",
    ),
    *(" blank ", "a=b", "C:\\pairs", "---", "\ta", "🌍", "[1", "|", ">"),
)


@pytest.mark.parametrize("text", LOOKS_LIKE_YAML)
@pytest.mark.parametrize("setting", ["base_model.model", "base_model.revision", "raw_quora_dataset.hub_id"])
def test_a_text_is_taken_as_it_was_typed(setting: str, text: str) -> None:
    step, _, name = setting.partition(".")
    assert load_settings(None, [f"{setting}={text}"]).run_config()["ops"][step]["config"][name] == text


@pytest.mark.parametrize("run_id", ["12345678", "1234e567", "00000000", "12345678-1234"])
def test_a_run_id_of_digits_is_no_number(run_id: str) -> None:
    assert (
        load_settings(None, [f"production_model.run_id={run_id}"]).run_config(["production_model"])["ops"][
            "production_model"
        ]["config"]["run_id"]
        == run_id
    )


@settings(max_examples=tries(60), deadline=None, derandomize=True)
@given(text=st.text(min_size=1))
def test_any_text_is_taken_as_it_was_typed(text: str) -> None:
    assert load_settings(None, [f"base_model.model={text}"]).of("base_model", BaseModelChoice).model == text
    source = load_settings(None, ["raw_quora_dataset.source=file", f"raw_quora_dataset.path={text}"])
    assert source.of("raw_quora_dataset", PairSource).path == text


def test_the_texts_in_a_mapping_or_list_are_taken_as_they_were_typed() -> None:
    given = load_settings(
        None,
        [
            "raw_quora_dataset.columns={question1: 1, question2: no, is_duplicate: 2024-01-01}",
            "model_leaderboard.base_models=[bundled, 12345, ~, on]",
            "fine_tuned_model.loss_weights={angle: 0.3}",
        ],
    ).run_config()["ops"]
    columns = {"question1": "1", "question2": "no", "is_duplicate": "2024-01-01"}
    assert given["raw_quora_dataset"]["config"]["columns"] == columns
    assert given["model_leaderboard"]["config"]["base_models"] == ["bundled", "12345", "~", "on"]
    assert given["fine_tuned_model"]["config"]["loss_weights"] == {"angle": 0.3}


def test_labels_are_read_as_they_are_written_though_yaml_has_booleans(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("ops:\n  raw_quora_dataset:\n    config:\n      labels: {yes: 0, no: 1, on: true, 2: 1}\n")
    from_file = load_settings(path).of("raw_quora_dataset", PairSource).labels
    typed = load_settings(None, ["raw_quora_dataset.labels={yes: 0, no: 1, on: 1, 2: 1}"])
    assert from_file == typed.of("raw_quora_dataset", PairSource).labels == {"yes": 0, "no": 1, "on": 1, "2": 1}


@pytest.mark.parametrize("override", ["", "epochs", "epochs=3", "fine_tuned_model=3", "fine_tuned_model.=3", "a.b"])
def test_an_override_that_sets_nothing_is_quoted(override: str) -> None:
    message = refusal(None, override)
    assert repr(override) in message
    assert "step.setting=value" in message


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("fine_tuned_model.epochs=0", ["fine_tuned_model.epochs", "0", "whole number", "at least 1", "at most 1,000"]),
        ("fine_tuned_model.epochs=many", ["fine_tuned_model.epochs", "'many'", "a whole number"]),
        ("fine_tuned_model.epochs=1.5", ["fine_tuned_model.epochs", "1.5", "a whole number"]),
        ("fine_tuned_model.epochs=", ["fine_tuned_model.epochs", "None", "a whole number"]),
        ("fine_tuned_model.epochs=true", ["fine_tuned_model.epochs", "'true'", "a whole number"]),
        ("base_model.model=", ["base_model.model can't be ''", "a text that isn't empty"]),
        ("fine_tuned_model.learning_rate=2", ["fine_tuned_model.learning_rate", "above 0", "at most 1"]),
        ("fine_tuned_model.learning_rate=.nan", ["fine_tuned_model.learning_rate", "nan", "above 0"]),
        ("fine_tuned_model.max_seq_length=2", ["fine_tuned_model.max_seq_length", "at least 4", "or empty"]),
        ("fine_tuned_model.allow_slow=perhaps", ["fine_tuned_model.allow_slow", "'perhaps'", "true or false"]),
        ("fine_tuned_model.device=tpu", ["fine_tuned_model.device", "'tpu'", "'auto'", "'cpu'", "'cuda'", "'mps'"]),
        ("fine_tuned_model.loss=cosine", ["fine_tuned_model.loss", "'cosine'", "'online_contrastive'"]),
        ("splits.eval_fraction=1", ["splits.eval_fraction", "above 0", "below 1"]),
        ("splits.strategy=random", ["splits.strategy", "'random'", "'reference'", "'question_disjoint'"]),
        ("post_train_eval_report.token_budget=0", ["post_train_eval_report.token_budget", "at least 64"]),
        ("raw_quora_dataset.source=file", ["raw_quora_dataset", "needs `path`"]),
        ("raw_quora_dataset.source=web", ["raw_quora_dataset.source", "'bundled_sample'", "'file'", "'hub'"]),
        ("raw_quora_dataset.max_rejected_share=1", ["raw_quora_dataset.max_rejected_share", "at least 0", "below 1"]),
        ("raw_quora_dataset.repeated_pairs=fail", ["raw_quora_dataset.repeated_pairs", "'keep' or 'drop'"]),
        ("raw_quora_dataset.columns=question1", ["raw_quora_dataset.columns", "a mapping of names to values"]),
        ("raw_quora_dataset.columns={q: x}", ["raw_quora_dataset", "the part 'q'", "question1"]),
        ("raw_quora_dataset.labels={same: 3}", ["raw_quora_dataset.labels", "'same' is 3", "1 for duplicate"]),
        ("raw_quora_dataset.labels={same: maybe}", ["raw_quora_dataset.labels", "maybe", "a whole number"]),
        ("raw_quora_dataset.path=a.tsv", ["raw_quora_dataset", "'a.tsv'", "'bundled_sample'"]),
    ],
)
def test_a_refused_value_is_named_with_what_is_allowed(override: str, parts: list[str]) -> None:
    message = refusal(None, override)
    assert [part for part in parts if part not in message] == [], message


def test_an_unknown_step_is_named_beside_the_known(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "ops:\n  fine_tuning:\n    config:\n      epochs: 3\n"))
    assert "'fine_tuning'" in message
    assert "did you mean fine_tuned_model" in message
    assert "`python -m pipeline config` lists the steps" in message


def test_an_unknown_setting_is_named_beside_the_known() -> None:
    message = refusal(None, "fine_tuned_model.epoch=3")
    assert "fine_tuned_model has no setting 'epoch'; did you mean epochs?" in message
    assert "`python -m pipeline config` lists the settings" in message


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("base_model.epochs=3", "base_model has no setting 'epochs'; did you mean fine_tuned_model.epochs?"),
        ("epochs=3", "'epochs=3' sets nothing: write step.setting=value, such as --set fine_tuned_model.epochs=3"),
        ("epoch=3", "such as --set fine_tuned_model.epochs=3"),
        ("unheard=3", "such as --set raw_quora_dataset.max_bytes="),
    ],
)
def test_a_setting_of_another_step_or_of_none_is_found_where_it_is(override: str, meant: str) -> None:
    assert meant in refusal(None, override)


def test_a_number_in_a_file_where_a_text_belongs_is_asked_for_in_quotes(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "ops: {base_model: {config: {revision: 1234567}}}"))
    assert message == "base_model.revision can't be 1234567: it must be a text or empty (in quotes)"


def test_problems_come_in_one_line_and_those_that_are_too_many_are_counted() -> None:
    message = refusal(None, "fine_tuned_model.epochs=0", "splits.seed=-1")
    assert "fine_tuned_model.epochs" in message
    assert "splits.seed" in message
    message = refusal(None, *(f"fine_tuned_model.{name}=?" for name in ("epochs", "batch_size", "margin", "seed")))
    assert "fine_tuned_model.epochs" in message
    assert message.endswith("; and 2 more")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in refusal(tmp_path / "none.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert f"the config {tmp_path} is a folder: name a file in it" in refusal(tmp_path)


def test_a_pipe_is_refused_before_anyone_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe or a device" in refusal(tmp_path / "pipe")
    assert "is a pipe or a device" in refusal(Path("/dev/zero"))


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "holds more than 100,000 values, including those of aliases"),
        ("ops: &a [*a]\n", "no run config"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ("{a: " * 100_000, "nested more than 20 levels deep"),
        ("- " * 100_000 + "a", "nested more than 20 levels deep"),
        ("x" * (1 << 21), "has more than 1,048,576 bytes"),
        ("a: [" + "x, " * 200_000 + "]", "holds more than 100,000 values"),
        ("ops: {base_model: {config: {revision: 2024-13-45}}}", "can't read"),
        ("ops: {[a]: 1}", "can't read"),
        ("ops: {{a: b}: 1}", "can't read"),
    ],
    ids=lambda value: value[:20],
)
def test_a_file_beyond_a_limit_is_refused_with_what_was_counted(tmp_path: Path, text: str, words: str) -> None:
    start = time.monotonic()
    assert words in refusal(written(tmp_path, text))
    assert time.monotonic() - start < 5


def test_aliases_and_merged_mappings_are_read(tmp_path: Path) -> None:
    text = "ops:\n  splits: {config: &a {seed: 7}}\n  fine_tuned_model: {config: {<<: *a, epochs: 2}}\n"
    recipe = load_settings(written(tmp_path, text)).of("fine_tuned_model", Recipe)
    assert (recipe.seed, recipe.epochs) == (7, 2)


@pytest.mark.parametrize("content", [b"ops: [unclosed", b"a: b: c", b"\tops:", b"\xff\xfe\x00o"])
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert str(path) in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "just a sentence",
        "- a\n- list",
        "3",
        "false",
        "epochs: 3",
        "fine_tuned_model: {config: {epochs: 3}}",
        "ops: text",
        "ops: [a]",
        "ops: {splits: 3}",
        "ops: {splits: text}",
        "ops: {splits: {config: 3}}",
        "ops: {splits: {config: [1, 2]}}",
        "ops: {splits: {config: text}}",
        "ops: {fine_tuned_model: {epochs: 3}}",
    ],
)
def test_a_file_of_another_shape_is_named_with_the_right_one(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    message = refusal(path)
    assert str(path) in message
    assert "ops" in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "ops:\n", "ops: {}", "ops: {splits: {config: }}"])
def test_a_file_that_sets_nothing_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_settings(written(tmp_path, text)).run_config() == load_settings().run_config()


def test_settings_asked_for_as_another_class_are_a_programming_error() -> None:
    with pytest.raises(TypeError, match="splits"):
        load_settings().of("splits", Recipe)


def test_a_setting_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("ops: {splits: {config: {1: 2}}}")
    assert "splits has no setting '1'" in refusal(path)


@pytest.mark.parametrize("value", ["[1", "a: b: c", "{a: *b}", "[" * 1_000])
def test_a_mapping_that_is_no_yaml_is_named(value: str) -> None:
    with pytest.raises(PipelineError, match=r"the value of fine_tuned_model\.loss_weights") as error:
        load_settings(overrides=[f"fine_tuned_model.loss_weights={value}"])
    assert "\n" not in str(error.value)


def test_the_explained_settings_are_all_there_and_are_taken_again(tmp_path: Path) -> None:
    text = load_settings().explained()
    assert load_settings(written(tmp_path, text)).run_config() == load_settings().run_config()
    assert max(map(len, text.splitlines())) <= 120
    words = " ".join(text.replace("\n      # ", " ").split())
    for cls in STEP_SETTINGS.values():
        for name, field in cls.model_fields.items():
            description = " ".join((field.description or "").split())
            assert any(f"{description} {word}: " in words for word in ("Allowed", "Earlier name")), name
    assert "# Allowed: a whole number at least 1 and at most 1,000. Default: 1\n      epochs: 1\n" in text
    assert "# Allowed: 'keep' or 'drop' or 'fail'. Default: keep\n      contradictory_pairs: keep\n" in text
    assert "# Allowed: a text or empty. Default: null\n      path: null\n" in text


def test_a_files_settings_are_explained_beside_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(
        project_config("laptop"), ["raw_quora_dataset.columns={question1: 'a: b', question2: 'ü'}"]
    )
    text = settings.explained()
    assert load_settings(written(tmp_path, text)).run_config() == settings.run_config()
    assert "Default: null\n      train_limit: 8192\n" in text
    assert "columns: {question1: 'a: b', question2: ü}\n" in text


class Odd(BaseModel):
    """Settings of every type that a step may have.

    More about them.
    """

    model_config = ConfigDict(extra="forbid")

    limit: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(default="auto", description="A word or a number.")
    weights: dict[str, float] = Field(default_factory=dict, description="Weights by name.")
    names: list[str] = Field(default=["a", "b"], description="Some names.")
    rate: float | None = Field(default=None, gt=0, description="A rate, or none.")

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("a weight is negative")
        return weights


def test_settings_of_every_type_are_explained_and_checked(tmp_path: Path) -> None:
    classes = {"odd": Odd}
    text = read_settings(classes, None, ["odd.weights={a: 0.5, b: 2}", "odd.limit=3"]).explained()
    assert "  # Settings of every type that a step may have.\n  odd:\n    config:\n" in text
    assert "# Allowed: 'auto' or a whole number at least 1. Default: auto\n      limit: 3\n" in text
    assert (
        "# Allowed: a mapping of names to values, each a number. Default: {}\n      weights: {a: 0.5, b: 2.0}" in text
    )
    assert "# Allowed: a list of values, each a text. Default: [a, b]\n      names: [a, b]\n" in text
    assert read_settings(classes, written(tmp_path, text)).of("odd", Odd).weights == {"a": 0.5, "b": 2.0}
    with pytest.raises(PipelineError) as caught:
        read_settings(classes, None, ["odd.limit=0", "odd.weights={a: -1}"])
    assert (
        str(caught.value)
        == "odd.limit can't be '0': it must be 'auto' or a whole number at least 1; odd.weights: a weight is negative"
    )
