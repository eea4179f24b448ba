"""What the folders promise beside their imports: who may name an asset, who may name Modal, and what it costs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.files import PROJECT_ROOT
from pipeline.definitions import defs

PACKAGE = PROJECT_ROOT / "pipeline"
PLAIN_WORDS = {"questions"}
"""Names of assets that are words of every sentence."""

ASSETS = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()} - PLAIN_WORDS
ABOVE = ("orchestration", "command_line", "definitions.py", "__main__.py", "duplicates")
"""Dagster's folder, what stands on it, and what uses the model that an asset has put into production."""

BELOW = sorted(
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ABOVE and path.name != "app.py"
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string in a file, docstrings included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("path", BELOW, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_below_orchestration_names_an_asset_or_says_rematerialise(path: Path) -> None:
    for line, text in texts(path):
        words = set(text.replace("`", " ").replace("/", " ").replace(".", " ").replace(",", " ").split())
        # A field of a fine-tuned model has the name of an asset.
        if text == "base_model":
            continue
        assert not words & ASSETS, f"{path}:{line} names {words & ASSETS}"
        assert "aterialis" not in text.lower(), f"{path}:{line} says {text!r}"


MODAL = PACKAGE / "compute" / "modal"
REGISTRY = PACKAGE / "compute" / "choice.py"
ENTRY = PACKAGE / "compute" / "modal_app.py"
OUTSIDE = sorted(path for path in PACKAGE.rglob("*.py") if MODAL not in path.parents and path not in (REGISTRY, ENTRY))


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_setting_of_modal_and_no_branch_on_it_stands_outside_its_folder(path: Path) -> None:
    for line, text in texts(path):
        assert "PIPELINE_MODAL" not in text, f"{path}:{line}"
        assert text.strip().lower() != "modal", f"{path}:{line} compares with {text!r}"
        assert "modal-volume" not in text, f"{path}:{line}"


def test_the_registry_knows_modal_by_one_line() -> None:
    (line,) = [line for line in REGISTRY.read_text().splitlines() if "modal" in line.lower()]
    assert line.strip() == '"modal": "pipeline.compute.modal.backend",'
