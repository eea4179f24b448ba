"""Makes an export: graph, tokenizer, decision and record, as a folder that is there whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from pipeline.core.errors import PipelineError
from pipeline.core.files import flush_files, flush_folder, give_usual_permissions
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.metrics import has_both_classes
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.exporting.measuring import Embed, measure_parity
from pipeline.exporting.onnx_export import export_graph, export_tokenizer, module_names, refuse_unexportable
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ExportPrecision, ParityLimits
from pipeline.exporting.parity import Parity, Verdict, judge
from pipeline.exporting.quantization import quantize
from pipeline.exporting.record import GRAPH_FILE, TOKENIZER_FILE, ExportRecord, is_export, write_record
from pipeline.models.decision import Decision, write_decision
from pipeline.models.embedding import prompt_of
from pipeline.models.encoding import embed_questions
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model, quiet_libraries
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable

_TOKEN_BUDGET = 4_096
_LIBRARIES = ("onnx", "onnxruntime", "onnxscript", "sentence-transformers", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        decision: that the model carries; None for a model without one.
        dev: pairs that an int8 export's decision is chosen on; None where they are not at hand.
        compared: pairs that the export is held against the model on; None where none are at hand.
    """

    info: ModelInfo
    decision: Decision | None
    dev: PairTable | None
    compared: PairTable | None


@dataclass(frozen=True)
class Export:
    """An export that was made, and what it was found to be.

    Attributes:
        decision: that it carries.
        verdict: on its parity. Where that is against it, its folder isn't there.
        size: bytes of its files.
    """

    record: ExportRecord
    decision: Decision | None
    parity: Parity
    verdict: Verdict
    size: int


def require_free(folder: Path) -> None:
    """Refuse a folder that holds anything else than an earlier export.

    Raises:
        PipelineError: it names the folder.
    """
    if folder.exists() and not is_export(folder):
        raise PipelineError(f"{folder} is there already and is no export: name a folder that doesn't exist")


def export_model(
    source: Source, options: ExportOptions, limits: ParityLimits, folder: Path, on_progress: OnProgress = ignore
) -> Export:
    """Export a model into a folder, if the export holds what the limits ask for; an earlier one there is replaced then.

    Raises:
        PipelineError: when the model can't be loaded or exported, or the folder holds something else.
    """
    require_free(folder)
    if options.precision != "fp32" and (source.compared is None or not has_both_classes(source.compared.labels)):
        raise PipelineError(
            f"there are no labelled pairs of both classes for {source.info.label}, so nothing says what an "
            f"{options.precision} export loses: name some (--pairs)"
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
        verdict = judge(parity, options.precision, limits)
        size = sum(path.stat().st_size for path in staging.iterdir())
        if verdict.passed:
            publish()
    return Export(record, decision, parity, verdict, size)


def compare_with_model(encoder: OnnxEncoder, info: ModelInfo, pairs: PairTable, on_progress: OnProgress) -> Parity:
    """Measure an export again.

    Raises:
        PipelineError: when the model that it was made from can't be loaded.
    """
    quiet_libraries()
    return measure_parity(*_embedders(load_model(info, "cpu"), encoder, on_progress), pairs)


def _embedders(model: SentenceTransformer, encoder: OnnxEncoder, on_progress: OnProgress) -> tuple[Embed, Embed]:
    def own(texts: list[str]) -> np.ndarray:
        return embed_questions(model, texts, _TOKEN_BUDGET, on_progress, "embedding with the model")

    def exported(texts: list[str]) -> np.ndarray:
        return encoder.embed(texts, on_progress, "embedding with the export")

    return own, exported


def _write_model(model: SentenceTransformer, info: ModelInfo, precision: ExportPrecision, folder: Path) -> ExportRecord:
    """Write graph and tokenizer, and say what they are; the hashes aren't in it yet that its last file brings."""
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
    """Thresholds and a calibration of the export's own scores; None without dev pairs of both classes."""
    if dev is None or not has_both_classes(dev.labels):
        return None
    index = QuestionIndex.of(dev)
    vectors = exported(index.texts)
    scores = pair_scores(vectors[index.first], vectors[index.second])
    return decision_from(scores, dev.labels, model_version, dev.data_version)


@contextmanager
def _staged(folder: Path) -> "Iterator[tuple[Path, partial[None]]]":
    """A folder beside the wanted one, and what renames it to that; unless it is called, nothing is left."""
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
