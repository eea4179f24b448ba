"""An export gives what the model's own `encode` gives, and needs no torch for it."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from exports import ODD_TEXTS, export_kind, exported_by, info_of, its_own
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import KINDS

from pipeline.core.errors import DamagedError, InputError, NotFoundError, NotInstalledError, PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.progress import Advanced, ProgressEvent
from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ParityLimits
from pipeline.exporting.record import read_record
from pipeline.models.loading import load_model

QUICK = ("prompt that pooling leaves out", "qwen")
"""Kinds that no other one stands for: padding on the left is rare, and so is a mask of its own."""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow])
        for kind in ("t5", "truncated, padded", "dense", *QUICK)
    ],
)
def test_an_export_of_each_kind_equals_encode(kind: str, tmp_path: Path) -> None:
    model, encoder = export_kind(tmp_path, kind)
    vectors = encoder.embed(ODD_TEXTS)
    np.testing.assert_allclose(vectors, its_own(model, ODD_TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for at, text in enumerate(ODD_TEXTS):
        np.testing.assert_allclose(encoder.embed([text])[0], vectors[at], atol=1e-5)
    assert encoder.dimensions == vectors.shape[1]


def test_the_rarest_case_among_them_is_a_prompt() -> None:
    assert KINDS[QUICK[0]]["default_prompt_name"] == "query"


TEXTS = st.lists(
    st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=300)), max_size=9
)


@given(TEXTS)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_the_vector_of_encode(exported: Path, tiny: Path, texts: list[str]) -> None:
    model, encoder = exported_by(tiny, exported)
    vectors = encoder.embed(texts)
    assert vectors.shape == (len(texts), encoder.dimensions)
    if texts:
        np.testing.assert_allclose(vectors, its_own(model, texts), atol=1e-5)


@given(TEXTS.filter(bool), st.randoms())
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_int8_vector_is_the_same_to_the_last_bit_whatever_stands_beside_it(
    exported_int8: Path, tiny: Path, texts: list[str], random: Random
) -> None:
    _, encoder = exported_by(tiny, exported_int8)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    order = list(range(len(texts)))
    random.shuffle(order)
    np.testing.assert_array_equal(encoder.embed([texts[i] for i in order]), alone[order])


def test_it_runs_where_torch_and_transformers_cannot_be_imported(exported: Path) -> None:
    code = f"""
import json, sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"torch", "transformers", "sentence_transformers", "pandas", "dagster"}}:
            raise RuntimeError("imports " + name)
sys.meta_path.insert(0, Refused())
from pathlib import Path
from pipeline.exporting.onnx_model import OnnxEncoder
encoder = OnnxEncoder(Path({str(exported)!r}))
print(json.dumps([encoder.embed(["why?", "how?"]).tolist(), encoder.precision, encoder.model_version]))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    vectors, precision, version = json.loads(result.stdout)
    encoder = OnnxEncoder(exported)
    np.testing.assert_allclose(np.array(vectors), encoder.embed(["why?", "how?"]), atol=1e-6)
    assert (precision, version) == ("fp32", encoder.model_version)


def test_progress_counts_every_text(exported: Path) -> None:
    seen: list[ProgressEvent] = []
    OnnxEncoder(exported, threads=1).embed(ODD_TEXTS * 40, seen.append, "at work")
    counts = [event.done for event in seen if isinstance(event, Advanced) and event.stage == "at work"]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 40 * len(ODD_TEXTS))


def test_parts_come_in_order(exported: Path) -> None:
    encoder = OnnxEncoder(exported)
    first, second = encoder.embed_parts([ODD_TEXTS[:2], ODD_TEXTS[2:4]])
    np.testing.assert_allclose(np.concatenate([first, second]), encoder.embed(ODD_TEXTS[:4]), atol=1e-6)


def test_half_of_a_surrogate_pair_is_named(exported: Path) -> None:
    with pytest.raises(InputError) as caught:
        OnnxEncoder(exported).embed(["fine", "\ud800"])
    assert caught.value.values == {"text": "\ud800"}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "decision.json", "export.json"])
def test_damage_is_named(exported_copy: Path, name: str) -> None:
    content = bytearray((exported_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (exported_copy / name).write_bytes(content)
    with pytest.raises(DamagedError) as caught:
        OnnxEncoder(exported_copy)
    assert caught.value.values == {"path": exported_copy / name}


@pytest.mark.parametrize("name", ["model.onnx", "decision.json"])
def test_a_file_that_is_gone_is_named(exported_copy: Path, name: str) -> None:
    (exported_copy / name).unlink()
    with pytest.raises(DamagedError) as caught:
        OnnxEncoder(exported_copy)
    assert caught.value.values == {"path": exported_copy / name}


def test_a_folder_without_a_record_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        OnnxEncoder(tmp_path)
    assert caught.value.values == {"folder": tmp_path}


def test_without_the_extra_the_error_says_what_to_install(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NotInstalledError, match=r"\[export\]") as caught:
        OnnxEncoder(exported)
    assert caught.value.values == {"packages": ("onnxruntime",)}


def test_a_vector_that_is_no_number_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def run(self, outputs: None, fed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.full((len(fed["input_ids"]), 16), np.nan, dtype=np.float32)]

    encoder = OnnxEncoder(exported)
    monkeypatch.setattr(encoder, "_session", Broken())
    with pytest.raises(PipelineError, match="NaN or infinite embeddings for 2 of 2 texts"):
        encoder.embed(["why?", "how?"])


@pytest.mark.slow
def test_the_bundled_model_is_exported_as_it_is(tmp_path: Path, real_or_sample: list[str]) -> None:
    info = info_of("bundled")
    made = export_model(ExportSource(info), ExportOptions(), ParityLimits(), tmp_path / "export")
    assert made.parity.min_cosine > 0.999999
    encoder, model = OnnxEncoder(tmp_path / "export"), load_model(info, "cpu")
    np.testing.assert_allclose(encoder.embed(real_or_sample), its_own(model, real_or_sample), atol=1e-5)
    assert read_record(tmp_path / "export").max_seq_length == 256
