"""The form of every error line: a kind, one line without a period at its end, and a way out."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from error_lines import faults

from pipeline.core import errors
from pipeline.core.errors import InputError, PipelineError
from pipeline.core.files import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "pipeline"
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PipelineError)}


@dataclass(frozen=True)
class Site:
    """Where an error is made.

    Attributes:
        text: the literal parts of its message, with `…` for the rest; None where the message is no literal.
    """

    place: str
    kind: str
    text: str | None
    has_advice: bool


def sites() -> Iterator[Site]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parts[-2:] == ("core", "errors.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                advice = len(node.args) > 1 or any(keyword.arg == "make_again" for keyword in node.keywords)
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield Site(place, node.func.id, literal(node.args[0]), advice)


def literal(message: ast.expr) -> str | None:
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return message.value
    if isinstance(message, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in message.values)
    if isinstance(message, ast.BinOp):
        left, right = literal(message.left), literal(message.right)
        return None if left is None and right is None else f"{left or '…'}{right or '…'}"
    return None


SITES = list(sites())


def test_every_error_has_a_kind() -> None:
    assert len(SITES) > 50
    assert [site.place for site in SITES if site.kind == "PipelineError"] == []


def test_every_message_is_one_line_with_a_way_out() -> None:
    found = {site.place: (site.text, faults(site.text, site.has_advice)) for site in SITES if site.text is not None}
    assert {place: text for place, (text, wrong) in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("it lacks the column id: add it", []),
        ("it lacks the column id", ["no way out"]),
        ("it lacks the column id: add it.", ["ends with a period"]),
        ("it lacks:\nadd it", ["several lines", "no way out"]),
    ],
)
def test_the_faults_of_a_line_are_found(message: str, wrong: list[str]) -> None:
    assert faults(message, has_advice=False) == wrong
    assert "no way out" not in faults(message, has_advice=True)


def test_a_line_of_any_length_is_bounded() -> None:
    error = InputError(f"/{'a' * 1_000} lacks the column id: add it", path=Path("a"))
    assert len(str(error)) <= 280
    assert str(error).endswith("lacks the column id: add it")
