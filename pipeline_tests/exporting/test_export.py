"""What an export's folder holds, when there is none, and what can't be exported."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deciding_model import made_decision
from exports import info_of, its_own
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW, Pooling, Router, StaticEmbedding, Transformer
from tiny_models import LIMIT, WIDTH, make_transformer, tiny_tokenizer

from pipeline.core.errors import ModelError, NotFoundError, SettingError
from pipeline.core.files import PROJECT_ROOT, file_sha256
from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.exporting import export as exporting
from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.onnx_export import export_graph, refuse_unexportable
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ParityLimits
from pipeline.exporting.record import read_record
from pipeline.models.decision import read_decision
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable


def test_a_folder_holds_graph_tokenizer_decision_and_their_hashes(exported: Path, source: ExportSource) -> None:
    record = read_record(exported)
    assert sorted(path.name for path in exported.iterdir()) == [
        "decision.json",
        "export.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert record.files == {name: file_sha256(exported / name) for name in record.files}
    assert set(record.files) == {"decision.json", "model.onnx", "tokenizer.json"}
    assert (record.model_version, record.precision) == (source.info.version, "fp32")
    assert (record.dimensions, record.max_seq_length, record.prompt) == (WIDTH, LIMIT, "")
    assert record.modules == ("Transformer (BertModel)", "Pooling")
    assert record.inputs == ("input_ids", "attention_mask")
    assert record.libraries["torch"]
    assert len(record.identity) == 16


def test_fp32_takes_the_decision_of_the_model(exported: Path, source: ExportSource) -> None:
    assert read_decision(exported) == source.decision
    assert OnnxEncoder(exported).decision == source.decision


def test_int8_is_smaller_and_chooses_its_own_decision_on_dev(
    exported: Path, exported_int8: Path, source: ExportSource, dev: PairTable
) -> None:
    encoder, index = OnnxEncoder(exported_int8), DistinctQuestions.of(dev)
    vectors = encoder.embed(index.texts)
    scores = pair_scores(vectors[index.first], vectors[index.second])
    assert encoder.decision == decision_from(scores, dev.labels, source.info.version, dev.data_version)
    assert encoder.decision != source.decision
    assert encoder.precision == "int8"
    assert read_record(exported_int8).identity != read_record(exported).identity
    assert np.abs(vectors - OnnxEncoder(exported).embed(index.texts)).max() > 1e-4


@pytest.fixture
def known_graph(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of `tiny`, which takes seconds to make, as it was made before."""

    def copied(model: Any, label: str, path: Path) -> tuple[tuple[str, ...], int]:
        path.write_bytes((exported / "model.onnx").read_bytes())
        return ("input_ids", "attention_mask"), 20

    monkeypatch.setattr(exporting, "export_graph", copied)


@pytest.mark.usefixtures("known_graph")
def test_int8_without_dev_pairs_carries_no_decision(source: ExportSource, tmp_path: Path) -> None:
    without = replace(source, dev=None)
    made = export_model(without, ExportOptions(precision="int8"), ParityLimits(max_ap_loss=0.1), tmp_path / "export")
    assert made.decision is None
    assert OnnxEncoder(tmp_path / "export").decision is None


@pytest.mark.usefixtures("known_graph")
def test_int8_without_labelled_pairs_is_not_judged_and_not_written(source: ExportSource, tmp_path: Path) -> None:
    without = replace(source, compared=None)
    with pytest.raises(NotFoundError) as caught:
        export_model(without, ExportOptions(precision="int8"), ParityLimits(), tmp_path / "export")
    assert caught.value.values == {"model": source.info.label, "precision": "int8"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("known_graph")
def test_an_export_that_isnt_the_model_is_not_written_and_the_earlier_one_stays(
    source: ExportSource, exported_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_record(exported_copy)
    right = OnnxEncoder.embed
    monkeypatch.setattr(OnnxEncoder, "embed", lambda *given: np.roll(right(*given), 1, axis=1))
    other = replace(source, decision=made_decision("m9"))
    made = export_model(other, ExportOptions(), ParityLimits(), exported_copy)
    assert not made.check.passed
    assert made.record != before
    assert made.check.value == made.parity.min_cosine < made.check.threshold
    assert read_record(exported_copy) == before
    assert [path.name for path in exported_copy.parent.iterdir()] == ["copy"]


@pytest.mark.usefixtures("known_graph")
def test_an_earlier_export_is_replaced_and_any_other_folder_is_refused(
    source: ExportSource, exported_copy: Path, tmp_path: Path
) -> None:
    (exported_copy / "decision.json").write_text("{}")
    export_model(replace(source, decision=made_decision("m9")), ExportOptions(), ParityLimits(), exported_copy)
    assert OnnxEncoder(exported_copy).decision == made_decision("m9")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("…")
    with pytest.raises(SettingError) as caught:
        export_model(source, ExportOptions(), ParityLimits(), mine)
    assert caught.value.values == {"folder": mine}
    assert (mine / "thesis.tex").is_file()


def test_a_kill_in_the_middle_leaves_no_export(tiny: Path, exported: Path, tmp_path: Path) -> None:
    code = f"""
import os, shutil, signal
from pathlib import Path
from pipeline.exporting import export
from pipeline.exporting.options import ExportOptions, ParityLimits
from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice

def copied(model, label, path):
    shutil.copy({str(exported / "model.onnx")!r}, path)
    return ("input_ids", "attention_mask"), 20

export.export_graph = copied
export.measure_parity = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
source = export.ExportSource(resolve_base_model(BaseModelChoice(model={str(tiny)!r})))
export.export_model(source, ExportOptions(), ParityLimits(), Path({str(tmp_path / "export")!r}))
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (left,) = tmp_path.iterdir()
    # What `prune` takes away.
    assert left.match(".*.tmp")
    assert not (tmp_path / "export").exists()


@pytest.mark.slow
def test_weights_of_more_than_2_gb_lie_beside_the_graph(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.onnx._internal.exporter import _onnx_program

    # As if this one were larger.
    monkeypatch.setattr(_onnx_program, "_LARGE_MODEL_THRESHOLD", 1_000)
    made = export_model(ExportSource(info_of(tiny)), ExportOptions(), ParityLimits(), tmp_path / "export")
    assert len(made.record.files) == 3
    assert "model.onnx.data" in made.record.files
    model = SentenceTransformer(str(tiny), device="cpu")
    np.testing.assert_allclose(OnnxEncoder(tmp_path / "export").embed(["why?"]), its_own(model, ["why?"]), atol=1e-5)


# --- what can't be exported ------------------------------------------------------------------------------------


def _router(folder: Path) -> SentenceTransformer:
    parts = [Transformer(str(make_transformer(folder / name, "bert"))) for name in ("query", "document")]
    poolings = [Pooling(WIDTH), Pooling(WIDTH)]
    routed = Router.for_query_document([parts[0], poolings[0]], [parts[1], poolings[1]])
    return SentenceTransformer(modules=[routed], device="cpu")


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (
            lambda _: SentenceTransformer(modules=[StaticEmbedding(tiny_tokenizer(), embedding_dim=8)], device="cpu"),
            "StaticEmbedding",
        ),
        (
            lambda _: SentenceTransformer(modules=[BoW(["why", "how"])], device="cpu"),
            "BoW",
        ),
        (_router, "Router"),
    ],
    ids=["static", "bag of words", "router"],
)
def test_what_has_no_graph_is_refused(make: Callable[[Path], SentenceTransformer], module: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        refuse_unexportable(make(tmp_path), "m")
    assert refused.value.values == {"model": "m", "module": module}


def test_a_tokenizer_in_python_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        pass

    model = SentenceTransformer(str(tiny), device="cpu")
    monkeypatch.setattr(Transformer, "tokenizer", property(lambda _: Slow()))
    with pytest.raises(ModelError) as refused:
        refuse_unexportable(model, "m")
    assert refused.value.values == {"model": "m", "tokenizer": "Slow"}


def test_a_model_of_pictures_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformer(str(tiny), device="cpu")
    monkeypatch.setattr(Transformer, "modalities", property(lambda _: ["image"]))
    with pytest.raises(ModelError) as refused:
        refuse_unexportable(model, "m")
    assert refused.value.values == {"model": "m", "modalities": ("image",)}


@pytest.mark.slow
def test_code_that_the_exporter_cant_follow_is_named(tiny: Path, tmp_path: Path) -> None:
    class ByValue(Pooling):
        def forward(self, features: dict[str, Any], **settings: Any) -> dict[str, Any]:
            outputs: dict[str, Any] = super().forward(features)
            if outputs["sentence_embedding"].sum() > 0:
                outputs["sentence_embedding"] = -outputs["sentence_embedding"]
            return outputs

    model = SentenceTransformer(modules=[SentenceTransformer(str(tiny))[0], ByValue(WIDTH)], device="cpu")
    with pytest.raises(ModelError) as refused:
        export_graph(model, "m", tmp_path / "model.onnx")
    assert refused.value.values == {"model": "m", "modules": ("Transformer (BertModel)", "ByValue")}
    assert model[0].model.config._attn_implementation != "eager"
