"""A model that carries a decision, made without a training."""

import shutil
from pathlib import Path

from pipeline.evaluation.decision import decide
from pipeline.models.base_model import model_folder_version, resolve_base_model
from pipeline.models.decision import write_decision
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs


def make_deciding_model(tiny_model: Path, folder: Path) -> Path:
    """Copy the tiny model, and add the decision of its own scores on generated pairs; returns its folder."""
    shutil.copytree(tiny_model, folder)
    dev = load_pairs(PairSource(fraction=0.05))
    model = load_model(resolve_base_model(BaseModelChoice(model=str(folder))), "cpu")
    decision = decide(model, model_folder_version(folder), dev)
    assert decision is not None
    write_decision(folder, decision)
    return folder
