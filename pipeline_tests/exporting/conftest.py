"""A tiny model with a decision, and its exports, which all tests of a process share."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from deciding_model import made_decision
from exports import info_of
from small_data import sample_pairs
from tiny_models import make_model

from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.options import ExportOptions, ExportPrecision, ParityLimits
from pipeline.question_pairs.schema import PairTable


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def dev() -> PairTable:
    return sample_pairs().take(np.arange(300))


@pytest.fixture(scope="session")
def compared() -> PairTable:
    return sample_pairs().take(np.arange(300, 600))


@pytest.fixture(scope="session")
def source(tiny: Path, dev: PairTable, compared: PairTable) -> ExportSource:
    info = info_of(tiny)
    return ExportSource(info, made_decision(info.version), dev, compared)


def _exported(source: ExportSource, precision: ExportPrecision, folder: Path) -> Path:
    # A model with random weights loses more than a trained one.
    made = export_model(source, ExportOptions(precision=precision), ParityLimits(max_ap_loss=0.1), folder)
    assert made.check.passed, made.check.message
    return folder


@pytest.fixture(scope="session")
def exported(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _exported(source, "fp32", tmp_path_factory.mktemp("exported") / "fp32")


@pytest.fixture(scope="session")
def exported_int8(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _exported(source, "int8", tmp_path_factory.mktemp("exported") / "int8")


@pytest.fixture
def exported_copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


@pytest.fixture(scope="session")
def real_or_sample() -> list[str]:
    return sample_pairs().pairs["question1"].head(200).tolist()
