"""Exports of tiny models, each made once."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import make_kind

from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ParityLimits
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.vectors.blocks import unit

ODD_TEXTS = [
    "How do I learn to play the guitar?",
    "why",
    "",
    "   ",
    "WHAT IS the best way to learn, and why? " * 20,
    "Zürich ß é 如何学习 🙂 שלום",
    "[MASK] [PAD] query",
]


def info_of(model: Path | str) -> ModelInfo:
    return resolve_base_model(BaseModelChoice(model=str(model)))


def export_kind(folder: Path, kind: str) -> tuple[Any, OnnxEncoder]:
    """A model of that kind as the project loads it, and its export."""
    model, target = make_kind(folder / "model", kind), folder / "export"
    made = export_model(ExportSource(info_of(model)), ExportOptions(), ParityLimits(), target)
    assert made.check.passed, made.check.message
    return exported_by(model, target)


@cache
def exported_by(model: Path, export: Path) -> tuple[Any, OnnxEncoder]:
    return load_model(info_of(model), "cpu"), OnnxEncoder(export, threads=1)


def its_own(model: Any, texts: list[str]) -> np.ndarray:
    """What `encode` makes of texts, at length 1."""
    return unit(model.encode(texts, show_progress_bar=False))
