"""A model that carries a decision, made without a training."""

import shutil
from pathlib import Path

import numpy as np

from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES
from pipeline.models.base_model import model_folder_version
from pipeline.models.decision import Decision, write_decision


def made_decision(model_version: str = "m1", pairs: int = 400, seed: int = 0, positive_rate: float = 0.4) -> Decision:
    """The decision of a model that tells duplicates from others fairly well."""
    random = np.random.default_rng(seed)
    labels = (random.random(pairs) < positive_rate).astype(np.int64)
    cosine = np.clip(0.55 + 0.25 * labels + 0.12 * random.normal(size=pairs), -1, 1).astype(np.float32)
    scores = {name: 1 - cosine if name in LOWER_IS_BETTER else cosine for name in SIMILARITIES}
    return decision_from(scores, labels, model_version, "v1")


def make_deciding_model(tiny_model: Path, folder: Path) -> Path:
    """Copy the tiny model, and put a made decision beside its weights; returns its folder."""
    shutil.copytree(tiny_model, folder)
    write_decision(folder, made_decision(model_folder_version(folder)))
    return folder
