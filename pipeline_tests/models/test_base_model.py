"""Checks that a model is found by name, told from others by its content, and never swapped for another one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from loopback_hub import LoopbackHub, Repository, loopback_hub

from pipeline.core.errors import (
    DamagedError,
    MismatchError,
    ModelError,
    NotFoundError,
    PipelineError,
    SettingError,
    UnavailableError,
)
from pipeline.core.files import PROJECT_ROOT
from pipeline.models.base_model import resolve_base_model
from pipeline.models.bundled import BUNDLED_NAME, bundled_folder
from pipeline.models.info import ModelInfo
from pipeline.models.loading import describe_device, load_model, resolve_device
from pipeline.models.options import BaseModelChoice


@pytest.fixture(scope="module")
def bundled() -> ModelInfo:
    return resolve_base_model(BaseModelChoice())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The bundled model as an ordinary folder."""
    return Path(shutil.copytree(bundled_folder(), tmp_path / "my-model"))


def test_the_bundled_model_has_a_content_version_and_loads(bundled: ModelInfo) -> None:
    assert (bundled.kind, bundled.name, bundled.revision) == ("bundled", BUNDLED_NAME, None)
    assert len(bundled.version) == 16
    assert int(bundled.version, 16)
    assert bundled.data_version == bundled.version
    model = load_model(bundled, "cpu")
    embeddings = model.encode(["How do I learn to swim?", "What is a good way to learn swimming?", "Who was Nero?"])
    assert embeddings.shape == (3, 384)
    assert embeddings[0] @ embeddings[1] > 0.7 > 0.3 > embeddings[0] @ embeddings[2]


def test_texts_of_every_kind_and_length_are_embedded(bundled: ModelInfo) -> None:
    texts = ["word " * 20_000, "😀" * 100_000, "ما هو الحل الأفضل؟ \u200fשלום", " \t \u00a0 ", "", "?!… —"]
    embeddings = load_model(bundled, "cpu").encode(texts)
    assert np.isfinite(embeddings).all()
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-3)


def test_a_length_limit_reaches_the_model(bundled: ModelInfo) -> None:
    assert load_model(bundled, "cpu", max_seq_length=16).max_seq_length == 16


def test_a_copy_has_the_same_version_whatever_its_name_and_card(bundled: ModelInfo, copy: Path) -> None:
    (copy / "README.md").write_text("# Another card\n")
    reference = resolve_base_model(BaseModelChoice(model=str(copy)))
    assert (reference.kind, reference.name, reference.location) == ("folder", "my-model", str(copy))
    assert reference.version == bundled.version


def test_a_relative_folder_becomes_absolute(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.parent)
    assert resolve_base_model(BaseModelChoice(model="my-model")).location == str(copy)


def test_changed_weights_change_the_version_and_are_not_loaded(copy: Path) -> None:
    choice = BaseModelChoice(model=str(copy))
    reference = resolve_base_model(choice)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert resolve_base_model(choice).version != reference.version
    with pytest.raises(MismatchError) as caught:
        load_model(reference, "cpu")
    assert caught.value.values["expected"] == reference.version


def test_a_folder_that_is_gone_is_not_loaded(copy: Path) -> None:
    reference = resolve_base_model(BaseModelChoice(model=str(copy)))
    shutil.rmtree(copy)
    with pytest.raises(NotFoundError) as caught:
        load_model(reference, "cpu")
    assert caught.value.values["path"] == copy


def test_half_precision_weights_are_loaded_in_full_precision(bundled: ModelInfo, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    load_model(bundled, "cpu").half().save_pretrained(str(folder), create_model_card=False)
    reference = resolve_base_model(BaseModelChoice(model=str(folder)))
    assert reference.version != bundled.version
    assert {weights.dtype for weights in load_model(reference, "cpu").parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({}, r"no \*\.safetensors weights: save"),
        ({"pytorch_model.bin": b"a pickle"}, r"no \*\.safetensors weights, only pickled ones \(pytorch_model\.bin\)"),
        ({"model.safetensors": b""}, r"model\.safetensors are damaged"),
        ({"model.safetensors": b"\xff" * 100}, r"model\.safetensors are damaged"),
    ],
)
def test_a_folder_without_sound_weights_is_refused(tmp_path: Path, others: dict[str, bytes], message: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=message) as caught:
        resolve_base_model(BaseModelChoice(model=str(tmp_path)))
    assert str(caught.value).splitlines() == [str(caught.value)]


def test_weights_that_are_cut_short_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(DamagedError) as caught:
        resolve_base_model(BaseModelChoice(model=str(copy)))
    assert caught.value.values["path"] == weights


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_base_model(BaseModelChoice(model=str(tmp_path)))
    assert caught.value.values["path"] == tmp_path


@pytest.mark.parametrize("name", ["no-such-model", "/no/such/folder", "./model", "~/model", "a/b/c"])
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotFoundError) as caught:
        resolve_base_model(BaseModelChoice(model=name))
    assert caught.value.values == {"model": name}


def test_a_hub_model_that_cannot_be_fetched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError):
        resolve_base_model(BaseModelChoice(model="no-such-owner/no-such-model"))


def test_a_revision_of_what_has_none_is_refused(copy: Path) -> None:
    for model in ("bundled", str(copy)):
        with pytest.raises(SettingError) as caught:
            resolve_base_model(BaseModelChoice(model=model, revision="main"))
        assert caught.value.values["revision"] == "main"


def test_the_cpu_is_always_there_and_auto_takes_what_is() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cuda", "mps", "cpu")
    assert describe_device("cpu") == f"cpu ({torch.get_num_threads()} threads)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_refused_and_nothing_stands_in() -> None:
    with pytest.raises(SettingError) as caught:
        resolve_device("cuda")
    assert caught.value.values == {"device": "cuda"}


RESOLVE = """
import sys
from pipeline.core.errors import PipelineError
from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
try:
    print(resolve_base_model(BaseModelChoice(model="me/model", revision=sys.argv[1] or None)).model_dump_json())
except PipelineError as error:
    print(error)
"""


def resolved(hub: LoopbackHub, cache: Path, revision: str = "") -> str:
    """What a fresh process says that resolves `me/model` on this hub."""
    result = subprocess.run(
        [sys.executable, "-c", RESOLVE, revision],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"},
    )
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    return line


@pytest.mark.slow
def test_a_hub_model_is_pinned_to_its_commit(tmp_path: Path) -> None:
    files = {path.relative_to(bundled_folder()).as_posix(): path for path in bundled_folder().rglob("*.json")}
    weights = next(bundled_folder().rglob("*.safetensors"))
    model = Repository({name: path.read_bytes() for name, path in files.items()} | {weights.name: weights.read_bytes()})
    with loopback_hub() as hub:
        hub.repositories["models", "me/model"] = model
        reference = ModelInfo.from_stored_json(resolved(hub, tmp_path))
        assert (reference.kind, reference.revision, reference.version) == ("hub", model.commit, model.commit)
        assert "no such revision of base model 'me/model' at revision 'v9'" in resolved(hub, tmp_path, "v9")


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        (None, "there is no base model 'me/model' on the Hugging Face hub, or it is private"),
        (Repository({"config.json": b"{}"}, gated=True), "base model 'me/model' is gated: accept its terms"),
        (Repository({"config.json": b"{}", "pytorch_model.bin": b"x"}), "has no safetensors weights"),
    ],
)
def test_a_hub_model_that_is_no_use_is_refused(tmp_path: Path, repository: Repository | None, message: str) -> None:
    with loopback_hub() as hub:
        if repository:
            hub.repositories["models", "me/model"] = repository
        assert message in resolved(hub, tmp_path)
