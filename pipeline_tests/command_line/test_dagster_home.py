"""Checks that a `DAGSTER_HOME` which Dagster would refuse with a traceback, or wait for, is one line."""

import os
import re
from pathlib import Path

import pytest

from pipeline.command_line import dagster_run
from pipeline.command_line.dagster_home import check_dagster_home
from pipeline.core.errors import PipelineError
from pipeline.orchestration.steps import load_settings


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("rel", "is 'rel', a relative path, which Dagster refuses: set it to /"),
        (".", "is '.', a relative path"),
        ("{tmp}/none", "which is no folder: make it, or unset the variable"),
        ("{tmp}/file", "which is no folder"),
        ("~nobody-at-all/x", "there is no such user"),
    ],
)
def test_a_dagster_home_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rel").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=re.escape(words)):
        check_dagster_home(home.format(tmp=tmp_path))


def test_a_tilde_in_dagster_home_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "history").mkdir()
    check_dagster_home("~/history")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "can't read"),
        ("- a\n", "holds no settings: correct it, or start from deploy/dagster.yaml"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ("x" * (1 << 21), "has more than 1,048,576 bytes"),
        (None, "is a pipe or a device"),
    ],
    ids=["no YAML", "a list", "deep", "large", "a pipe"],
)
def test_settings_of_dagster_that_are_none_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "dagster.yaml"
    if text is None:
        os.mkfifo(path)
    else:
        path.write_text(text)
    with pytest.raises(PipelineError) as caught:
        check_dagster_home(str(tmp_path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) <= 280


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo: 1\n", 'Received unexpected config entry "foo" at the root'),
        ("storage: {sqlite: 7}\n", "dagster.yaml"),
        ("run_storage: {module: none_such, class: Storage, config: {}}\n", "none_such"),
        ("run_queue: {}\nrun_coordinator: {}\n", "run_queue"),
    ],
)
def test_settings_that_dagster_refuses_are_refused_in_one_line(
    pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(PipelineError) as caught:
        dagster_run.execute(load_settings(), "base_model", verbose=False)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert len(message) <= 280
    assert words in message
    assert "start from deploy/dagster.yaml" in message
