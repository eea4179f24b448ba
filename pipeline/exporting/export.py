"""Export a model: write graph, tokenizer, decision and record as a folder, if the export is close to the model."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from pipeline.core.errors import NotFoundError, SettingError
from pipeline.core.files import flush_files, flush_folder, give_usual_permissions
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.metrics import has_both_classes, similarity_metrics
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.exporting.onnx_export import export_graph, export_tokenizer, module_names, quantize, refuse_unexportable
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ExportPrecision, ParityLimits
from pipeline.exporting.parity import Parity, ParityCheck, check_parity
from pipeline.exporting.record import GRAPH_FILE, TOKENIZER_FILE, ExportRecord, is_export, write_record
from pipeline.models.decision import Decision, write_decision
from pipeline.models.embedding import prompt_of
from pipeline.models.encoding import embed_questions
from pipeline.models.info import PROBE_QUESTIONS, ModelInfo
from pipeline.models.loading import load_model, quiet_libraries
from pipeline.models.options import TOKEN_BUDGET
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable
from pipeline.vectors.blocks import unit

Embed = Callable[[list[str]], np.ndarray]
"""From texts to float32 of shape (texts, dimensions)."""

_LIBRARIES = ("onnx", "onnxruntime", "onnxscript", "sentence-transformers", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class ExportSource:
    """A model to export, with pairs to check the export on.

    Attributes:
        decision: the model's own; None for a model without one.
        dev: pairs to choose an int8 export's decision on; None if they are unavailable.
        compared: pairs to compare the export with the model on; None if none are available.
    """

    info: ModelInfo
    decision: Decision | None = None
    dev: PairTable | None = None
    compared: PairTable | None = None


@dataclass(frozen=True)
class Export:
    """An export and its check against the model.

    Attributes:
        decision: the export's own thresholds and calibration.
        check: of its parity. If that failed, the folder was not written.
        size: bytes of its files.
    """

    record: ExportRecord
    decision: Decision | None
    parity: Parity
    check: ParityCheck
    size: int


def require_free(folder: Path) -> None:
    """Refuse a folder with anything else than an earlier export.

    Raises:
        SettingError: it names the folder.
    """
    if folder.exists() and not is_export(folder):
        raise SettingError(f"{folder} exists and is no export: choose a folder that doesn't exist", folder=folder)


def export_model(
    source: ExportSource, options: ExportOptions, limits: ParityLimits, folder: Path, on_progress: OnProgress = ignore
) -> Export:
    """Export a model into a folder, replacing an earlier export, if the result is within the limits.

    Raises:
        PipelineError: when the model can't be loaded or exported, or the folder contains something else.
    """
    require_free(folder)
    if options.precision != "fp32" and (source.compared is None or not has_both_classes(source.compared.labels)):
        raise NotFoundError(
            f"there are no labelled pairs of both classes for {source.info.label} to measure the loss of an "
            f"{options.precision} export on: name some (--pairs)",
            model=source.info.label,
            precision=options.precision,
        )
    quiet_libraries()
    model = load_model(source.info, "cpu")
    refuse_unexportable(model, source.info.label)
    with _staged(folder) as (staging, publish):
        on_progress(LogLine(f"exporting {source.info.label} as {options.precision}"))
        record = _write_model(model, source.info, options.precision, staging)
        write_record(staging, record)
        encoder = OnnxEncoder(staging)
        own, exported = _embedders(model, encoder, on_progress)
        decision = source.decision
        if options.precision != "fp32":
            decision = _decide(exported, record.model_version, source.dev)
        if decision:
            write_decision(staging, decision)
        give_usual_permissions(staging)
        record = record.sealed(staging)
        write_record(staging, record)
        parity = measure_parity(own, exported, source.compared)
        check = check_parity(parity, options.precision, limits)
        size = sum(path.stat().st_size for path in staging.iterdir())
        if check.passed:
            publish()
    return Export(record, decision, parity, check, size)


def compare_with_model(encoder: OnnxEncoder, info: ModelInfo, pairs: PairTable, on_progress: OnProgress) -> Parity:
    """Compare an existing export with its model again.

    Raises:
        PipelineError: when the model can't be loaded.
    """
    quiet_libraries()
    return measure_parity(*_embedders(load_model(info, "cpu"), encoder, on_progress), pairs)


def measure_parity(model: Embed, export: Embed, pairs: PairTable | None) -> Parity:
    """Embed the questions of the pairs, or probe questions without pairs, with both, and compare.

    Raises:
        PipelineError: when either gives values that are not finite.
    """
    index = DistinctQuestions.of(pairs) if pairs is not None and len(pairs) else None
    texts = index.texts if index else PROBE_QUESTIONS
    theirs, ours = unit(model(texts)), unit(export(texts))
    cosine = np.einsum("ij,ij->i", theirs.astype(np.float64), ours.astype(np.float64))
    # Two zero vectors are equal, although their cosine is undefined.
    cosine[~theirs.any(axis=1) & ~ours.any(axis=1)] = 1
    measured: list[float] = []
    if index and pairs is not None and has_both_classes(pairs.labels):
        for vectors in (theirs, ours):
            scores = np.einsum("ij,ij->i", vectors[index.first], vectors[index.second])
            measured.append(similarity_metrics(scores, pairs.labels).ap)
    return Parity(
        questions=len(texts),
        min_cosine=float(cosine.min()),
        mean_cosine=float(cosine.mean()),
        pairs=len(pairs) if measured and pairs is not None else 0,
        ap_of_model=measured[0] if measured else None,
        ap_of_export=measured[1] if measured else None,
    )


def _embedders(model: SentenceTransformer, encoder: OnnxEncoder, on_progress: OnProgress) -> tuple[Embed, Embed]:
    def own(texts: list[str]) -> np.ndarray:
        return embed_questions(model, texts, TOKEN_BUDGET, on_progress, "embedding with the model")

    def exported(texts: list[str]) -> np.ndarray:
        return encoder.embed(texts, on_progress, "embedding with the export")

    return own, exported


def _write_model(model: SentenceTransformer, info: ModelInfo, precision: ExportPrecision, folder: Path) -> ExportRecord:
    """Write graph and tokenizer, and return their record, which the caller seals again after adding the decision."""
    if precision == "fp32":
        inputs, opset = export_graph(model, info.label, folder / GRAPH_FILE)
    else:
        whole = folder / "fp32"
        whole.mkdir()
        inputs, opset = export_graph(model, info.label, whole / GRAPH_FILE)
        is_large = len(list(whole.iterdir())) > 1
        quantize(whole / GRAPH_FILE, folder / GRAPH_FILE, external_data=is_large)
        shutil.rmtree(whole)
    export_tokenizer(model, folder / TOKENIZER_FILE)
    dimensions = model.get_embedding_dimension()
    record = ExportRecord(
        identity="",
        model_name=info.name,
        model_version=info.version,
        precision=precision,
        dimensions=dimensions,
        max_seq_length=model.max_seq_length,
        prompt=prompt_of(model) or "",
        modules=module_names(model),
        inputs=inputs,
        opset=opset,
        libraries={name: version(name) for name in _LIBRARIES},
        files={},
    )
    return record.sealed(folder)


def _decide(exported: Embed, model_version: str, dev: PairTable | None) -> Decision | None:
    """Choose thresholds and a calibration on the export's own scores; None without dev pairs of both classes."""
    if dev is None or not has_both_classes(dev.labels):
        return None
    index = DistinctQuestions.of(dev)
    vectors = exported(index.texts)
    scores = pair_scores(vectors[index.first], vectors[index.second])
    return decision_from(scores, dev.labels, model_version, dev.data_version)


@contextmanager
def _staged(folder: Path) -> "Iterator[tuple[Path, partial[None]]]":
    """Yield a temporary folder next to the target, and a function that renames it to the target."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    staging.mkdir()
    try:
        yield staging, partial(_publish, staging, folder)
    finally:
        _remove([staging])


def _publish(staging: Path, folder: Path) -> None:
    flush_files(staging)
    earlier = folder.parent / f"{staging.name[: -len('.tmp')]}.old.tmp"
    require_free(folder)
    if folder.exists():
        folder.rename(earlier)
    try:
        staging.rename(folder)
    except OSError:
        if earlier.exists():
            earlier.rename(folder)
        raise
    flush_folder(folder.parent)
    _remove([earlier])


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
