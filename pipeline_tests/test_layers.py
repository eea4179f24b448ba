"""What the folders promise besides their imports: who may name an asset, and who may name Modal."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.files import PROJECT_ROOT
from pipeline.definitions import defs

PACKAGE = PROJECT_ROOT / "pipeline"
MODAL, REGISTRY = PACKAGE / "compute" / "modal", PACKAGE / "compute" / "choice.py"
ENTRY = PACKAGE / "compute" / "modal_app.py"

ABOVE = ("orchestration", "command_line", "definitions.py", "__main__.py", "duplicates")
"""Dagster's folder, what stands on it, and what uses the model that an asset has put into production."""

NOT_ASSETS = {"questions", "base_model"}
"""Names of assets that are also a common word, or a field of a fine-tuned model."""


def strings(path: Path) -> Iterator[tuple[str, str]]:
    """(place, text) of every string in a file, docstrings included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node.value


def below_orchestration() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in ABOVE:
            yield from strings(path)


def test_nothing_below_orchestration_names_an_asset_or_says_rematerialise() -> None:
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()} - NOT_ASSETS
    found = {place: text for place, text in below_orchestration() if assets & set(re.split(r"[\s`/.,]+", text))}
    found |= {place: text for place, text in below_orchestration() if "aterialis" in text.lower()}
    assert found == {}


def test_no_setting_of_modal_and_no_branch_on_it_is_outside_its_folder() -> None:
    outside = [p for p in sorted(PACKAGE.rglob("*.py")) if MODAL not in p.parents and p not in (REGISTRY, ENTRY)]
    found = {
        place: text
        for path in outside
        for place, text in strings(path)
        if "PIPELINE_MODAL" in text or "modal-volume" in text or text.strip().lower() == "modal"
    }
    assert len(outside) > 100
    assert found == {}


def test_the_registry_knows_modal_by_one_line() -> None:
    (line,) = [line for line in REGISTRY.read_text().splitlines() if "modal" in line.lower()]
    assert line.strip() == '"modal": "pipeline.compute.modal.backend",'
