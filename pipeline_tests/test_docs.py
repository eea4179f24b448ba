"""Checks that the worked examples of the docs print what the docs say."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.steps import STEP_SETTINGS

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of a page that are in this language."""
    text = (PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8")
    return [content for language, content in FENCE.findall(text) if language == kind]


def run(arguments: list[str], folder: Path) -> str:
    """What a command prints, errors too."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    return result.stdout


@pytest.mark.slow
def test_the_example_of_own_pairs_prints_what_its_page_says(tmp_path: Path) -> None:
    (script,) = blocks("your-own-pairs.md", "python")
    (settings,) = blocks("your-own-pairs.md", "yaml")
    assert run(["-c", script], tmp_path) == ""
    (reviews,) = blocks("your-own-pairs.md", "csv")
    (tmp_path / "tickets.yaml").write_text(settings)
    (tmp_path / "reviewed.csv").write_text(reviews)
    for block in blocks("your-own-pairs.md", "console"):
        command, _, printed = block.partition("\n")
        assert run(shlex.split(command.removeprefix("$ python ")), tmp_path) == printed


def test_the_page_of_settings_is_what_the_classes_say(tmp_path: Path) -> None:
    printed = run(["-m", "pipeline", "config", "--markdown"], tmp_path)
    assert (PROJECT_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == printed
    for step, cls in STEP_SETTINGS.items():
        section = printed.split(f"## `{step}`")[1].partition("\n## ")[0]
        for name, field in cls.model_fields.items():
            assert f"| `{name}` |" in section
            assert field.description, f"{step}.{name} has no description"


@pytest.mark.parametrize("page", sorted(path.name for path in (PROJECT_ROOT / "docs").glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (PROJECT_ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("page", ["architecture.md", "internals.md"])
def test_files_that_the_map_names_exist(page: str) -> None:
    text = (PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/.]+\.(?:py|jinja|csv))`", text):
        if "/" in name:
            assert (PROJECT_ROOT / "pipeline" / name).is_file() or (PROJECT_ROOT / name).is_file(), name
        else:
            assert any((PROJECT_ROOT / "pipeline").rglob(name)), name
