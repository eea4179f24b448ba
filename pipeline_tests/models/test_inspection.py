"""A base model is looked at before it is trusted: what can't be used is refused in a line, what is special is said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from effort import exhaustive, tries
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.cross_encoder import CrossEncoder
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sparse_encoder import SparseEncoder
from tiny_models import LIMIT, POSITIONS, WIDTH, dense, make_model, make_transformer, query_prompt, tiny_tokenizer

from pipeline.compute.local import LocalCompute
from pipeline.core.errors import ModelError, PipelineError, SettingError
from pipeline.core.store import VersionStore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import PROBE_QUESTIONS, ModelInfo, ModelProperties
from pipeline.models.inspection import inspect_model
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.workflow import find_base_model

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which nothing is wrong: BERT, mean pooling, a dense layer, unit length."""
    return make_model(tmp_path_factory.mktemp("whole") / "model", after=(dense(), Normalize()))


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def looked_at(folder: Path) -> ModelProperties:
    return inspect_model(resolve_base_model(BaseModelChoice(model=str(folder))))


def refusal(folder: Path) -> str:
    with pytest.raises(PipelineError) as caught:
        looked_at(folder)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert len(message.replace(str(folder.parent), "")) <= 300
    # Of a long path the end is kept.
    assert folder.name in message
    for advice in ("trust_remote_code", "ignore_mismatched_sizes", "from_pretrained", "pip install"):
        assert advice not in message
    return message


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


# --- what is special -------------------------------------------------------------------------------------------


def test_an_ordinary_model_has_its_properties_and_no_remarks(whole: Path) -> None:
    found = looked_at(whole)
    assert found.modules == ("Transformer (BertModel)", "Pooling (mean)", "Dense (8)", "Normalize")
    assert (found.dimensions, found.max_seq_length, found.positions) == (8, LIMIT, POSITIONS)
    assert found.unit_length
    assert found.remarks == []
    assert ModelProperties.from_stored(found.model_dump(mode="json")) == found


def test_the_bundled_model_is_an_ordinary_one() -> None:
    found = inspect_model(resolve_base_model(BaseModelChoice()))
    assert (found.dimensions, found.max_seq_length, found.positions) == (384, 256, 512)
    assert found.remarks == []


def test_a_prompt_is_said(tmp_path: Path) -> None:
    found = looked_at(make_model(tmp_path / "m", **query_prompt()))
    assert (found.prompt, found.prompt_tokens) == ("What is the query: ", 5)
    assert any("'What is the query: ' stands before each question" in remark for remark in found.remarks)


def test_prompts_that_nobody_uses_are_said(tmp_path: Path) -> None:
    found = looked_at(make_model(tmp_path / "m", prompts={"query": "query: ", "document": ""}))
    assert found.prompt == ""
    assert found.other_prompts == ("query",)
    assert any("The prompts query are not used" in remark for remark in found.remarks)


def test_dimensions_and_similarity_of_the_model_s_own_are_said(tmp_path: Path) -> None:
    found = looked_at(make_model(tmp_path / "m", after=(Normalize(),), truncate_dim=5, similarity_fn_name="dot"))
    assert (found.dimensions, found.dimensions_before_cut, found.unit_length) == (5, WIDTH, False)
    said = " ".join(found.remarks)
    assert "the first 5 of 16 dimensions" in said
    assert "the similarity dot" in said


def old_layout(folder: Path) -> Path:
    """As sentence-transformers 1 wrote it."""
    make_model(folder)
    transformer = folder / "0_Transformer"
    transformer.mkdir()
    for name in ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"):
        (folder / name).rename(transformer / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def reranker(folder: Path) -> Path:
    plain = make_transformer(folder.with_name("plain"), "bert")
    CrossEncoder(str(plain), num_labels=1, device="cpu").save_pretrained(str(folder))
    return folder


def splade(folder: Path) -> Path:
    plain = make_transformer(folder.with_name("plain"), "bert")
    SparseEncoder(str(plain), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("make", "chosen_for"),
    [
        (lambda folder: make_transformer(folder, "bert"), "BertModel"),
        (old_layout, ""),
        (reranker, "CrossEncoder"),
        (splade, "SparseEncoder"),
    ],
)
def test_a_model_that_does_not_normalise_can_be_used_and_that_is_said(
    tmp_path: Path, make: Callable[[Path], Path], chosen_for: str
) -> None:
    found = looked_at(make(tmp_path / "m"))
    assert not found.unit_length
    assert any("don't have length 1" in remark for remark in found.remarks)
    assert found.chosen_for == chosen_for
    assert bool(chosen_for) == any(f"those of a {chosen_for} model" in remark for remark in found.remarks)
    assert found.modules == ("Transformer (BertModel)", "Pooling (mean)")


# --- how long a question may be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "positions"),
    [("bert", 128), ("roberta", 127), ("mpnet", 126), ("t5", None), ("modernbert", None), ("deberta", 128)],
)
def test_the_limit_fits_the_positions(tmp_path: Path, architecture: str, positions: int | None) -> None:
    # RoBERTa's family begins to count behind its padding. None of these tokenizers has a limit.
    folder = make_transformer(tmp_path / "m", architecture)
    found = looked_at(folder)
    assert found.positions == positions
    info = resolve_base_model(BaseModelChoice(model=str(folder)))
    for reference in (info, info.model_copy(update={"properties": found})):
        model = load_model(reference, "cpu")
        if positions:
            assert model.max_seq_length == found.max_seq_length == positions
        assert model.encode(PROBE_QUESTIONS[-1]).shape == (WIDTH,)


def test_a_limit_beyond_the_positions_is_lowered_and_that_is_said(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", limit=512)
    for file in ("tokenizer_config.json", "sentence_bert_config.json"):
        edit(folder / file, **{"model_max_length" if "tokenizer" in file else "max_seq_length": 512})
        found = looked_at(folder)
        assert (found.max_seq_length, found.stated_length) == (POSITIONS, 512)
        assert any("no more; its files say 512" in remark for remark in found.remarks)


def test_a_limit_that_is_asked_for_must_fit(tmp_path: Path) -> None:
    info = resolve_base_model(BaseModelChoice(model=str(make_model(tmp_path / "m", **query_prompt()))))
    known = info.model_copy(update={"properties": inspect_model(info)})
    for reference, wanted, said in (
        (known, 512, "max_seq_length is 512, but .* has positions for 128 tokens only: set it to at most 128"),
        (info, 512, "max_seq_length is 512, but .* has positions for 128 tokens only: set it to at most 128"),
        (known, 8, "max_seq_length is 8, but the prompt of .* alone has 5 tokens: set it to at least 9"),
    ):
        with pytest.raises(PipelineError, match=said):
            load_model(reference, "cpu", wanted)
    with pytest.raises(SettingError) as caught:
        known.require_length(129)
    assert caught.value.values["max_seq_length"] == 129
    known.require_length(128)
    assert load_model(known, "cpu", 100).max_seq_length == 100
    static = resolve_base_model(BaseModelChoice(model=str(make_model(tmp_path / "s", "static"))))
    with pytest.raises(SettingError) as caught:
        load_model(static, "cpu", 16)
    assert caught.value.values["max_seq_length"] == 16


# --- what can't be used ----------------------------------------------------------------------------------------


def own_code(folder: Path) -> None:
    edit(folder / "config.json", model_type="x_bert", auto_map={"AutoModel": "modeling_x.XModel"})
    (folder / "modeling_x.py").write_text("raise RuntimeError('this code was run')\n")


def own_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "custom_pooling.Mine"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "custom_pooling.py").write_text("raise RuntimeError('this code was run')\n")


def lost_shard(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    save_file({name: tensors[name] for name in names[:9]}, folder / "model-00001-of-00002.safetensors")
    shards = {name: f"model-0000{1 if at < 9 else 2}-of-00002.safetensors" for at, name in enumerate(names)}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


def other_dense(folder: Path) -> None:
    edit(folder / "2_Dense/config.json", in_features=99)
    change_weights(folder / "2_Dense" / WEIGHTS, lambda all_of: all_of.update({"linear.weight": torch.randn(8, 99)}))


def larger_tokenizer(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["kayaks", "orchids"])
    tokenizer.save_pretrained(folder)


def smaller_tokenizer(folder: Path) -> None:
    edit(folder / "config.json", vocab_size=1_000)
    change_weights(
        folder / WEIGHTS, lambda all_of: all_of.update({"embeddings.word_embeddings.weight": torch.randn(1_000, WIDTH)})
    )


def no_padding(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def foreign_words(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {word if word.startswith("[") else f"я{at}": at for at, word in enumerate(vocabulary)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def not_numbers(folder: Path) -> None:
    change_weights(folder / WEIGHTS, lambda all_of: all_of["encoder.layer.1.output.dense.weight"].fill_(torch.nan))


def one_embedding_for_all(folder: Path) -> None:
    change_weights(folder / "2_Dense" / WEIGHTS, lambda all_of: all_of["linear.weight"].zero_())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "code of its own": (own_code, "config.json names custom code (auto_map)"),
    "a module of its own": (own_module, "modules.json names custom code (custom_pooling.Mine)"),
    "no settings of the pooling": (lambda f: shutil.rmtree(f / "1_Pooling"), "1_Pooling/config.json is missing"),
    "empty settings of the pooling": (lambda f: (f / "1_Pooling/config.json").write_text("{}"), "can't be loaded"),
    "a missing shard": (lost_shard, "model-00002-of-00002.safetensors is missing"),
    "no weights of the dense layer": (lambda f: (f / "2_Dense" / WEIGHTS).unlink(), "2_Dense/model.safetensors is"),
    "a dense layer of another size": (
        lambda f: edit(f / "2_Dense/config.json", in_features=99),
        "linear.weight of shape (8, 16), but config.json next to it asks for (8, 99)",
    ),
    "a dense layer of another model": (other_dense, "can't embed a question"),
    "a tokenizer larger than the embedding": (larger_tokenizer, "has 103 tokens, but its weights have embeddings for"),
    "a tokenizer of a smaller model": (smaller_tokenizer, "has only 101 tokens, its weights have embeddings for 1,000"),
    "a tokenizer without padding": (no_padding, "has no token to pad with"),
    "a tokenizer of another language": (foreign_words, "knows no word of"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no vocabulary of a tokenizer"),
    "half a tokenizer": (lambda f: (f / "tokenizer.json").write_text('{"model": '), "can't be loaded"),
    "a missing weight": (
        lambda f: change_weights(f / WEIGHTS, lambda t: t.pop("encoder.layer.1.output.LayerNorm.bias")),
        "1 of 37 weights of",
    ),
    "no weight that fits": (
        lambda f: change_weights(f / WEIGHTS, lambda t: [t.update({f"x.{name}": t.pop(name)}) for name in list(t)]),
        "37 of 37 weights of",
    ),
    "weights of another size": (
        lambda f: edit(f / "config.json", intermediate_size=48),
        "has the shape (32,), but its config.json asks for (48,)",
    ),
    "fewer layers than weights": (lambda f: edit(f / "config.json", num_hidden_layers=1), "have layers that its"),
    "weights that are not numbers": (not_numbers, "NaN or infinite"),
    "the same embedding for all": (one_embedding_for_all, "the same embedding"),
    "an adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter"),
    "quantised weights": (lambda f: edit(f / "config.json", quantization_config={"bits": 4}), "are quantised"),
    "an architecture of tomorrow": (lambda f: edit(f / "config.json", model_type="bert9000"), "can't be loaded"),
    "no architecture": (lambda f: (f / "config.json").write_text("{}"), "names no architecture"),
    "a config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json is no JSON"),
    "modules that are no JSON": (lambda f: (f / "modules.json").write_text("["), "modules.json is no JSON"),
    "no modules": (lambda f: (f / "modules.json").write_text("[]"), "modules.json lists no modules"),
    "a default prompt that isn't there": (
        lambda f: edit(f / "config_sentence_transformers.json", default_prompt_name="passage"),
        "can't be loaded (Default prompt name 'passage' not found",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_model_that_can_t_be_used_is_refused_in_one_line_that_names_the_file(model: Path, name: str) -> None:
    damage, said = DAMAGES[name]
    damage(model)
    assert said in refusal(model)


def test_a_decoder_whose_pooling_is_an_encoder_s_is_refused(tmp_path: Path) -> None:
    # The first token of a decoder sees no other one, and no token here stands before the text.
    folder = make_model(tmp_path / "m", "qwen", pooling="cls")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refusal(folder)
    assert "'How do I learn to play the guitar?' and 'How do I bake bread?' the same embedding" in said


@exhaustive
def test_without_any_one_weight_a_model_is_refused_or_the_same(whole: Path, tmp_path: Path) -> None:
    names = sorted(load_file(whole / WEIGHTS))
    expected = SentenceTransformer(str(whole), device="cpu").encode(PROBE_QUESTIONS)
    for name in names[:: len(names) // tries(5, len(names))]:
        folder = Path(shutil.copytree(whole, tmp_path / name))
        change_weights(folder / WEIGHTS, lambda tensors, name=name: tensors.pop(name))  # type: ignore[misc]
        if name.startswith("pooler."):
            # No embedding comes through it.
            assert looked_at(folder).dimensions == 8
            assert (SentenceTransformer(str(folder), device="cpu").encode(PROBE_QUESTIONS) == expected).all()
        else:
            assert f"in no file (the first: {name})" in refusal(folder)


@exhaustive
def test_without_any_one_file_a_model_is_refused_or_the_same(whole: Path, tmp_path: Path) -> None:
    expected = SentenceTransformer(str(whole), device="cpu").encode(PROBE_QUESTIONS[:-1])
    # Those two are what makes a folder a model of the library, with prompts or without.
    files = [
        path.relative_to(whole)
        for path in sorted(whole.rglob("*"))
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json")
    ]
    assert len(files) >= 7
    for at, file in enumerate(files):
        folder = Path(shutil.copytree(whole, tmp_path / str(at)))
        (folder / file).unlink()
        try:
            looked_at(folder)
        except PipelineError:
            refusal(folder)
            continue
        found = SentenceTransformer(str(folder), device="cpu").encode(PROBE_QUESTIONS[:-1])
        assert abs(found - expected).max() < 1e-6, file


# --- once ------------------------------------------------------------------------------------------------------


class CountingCompute(LocalCompute):
    """Counts how often it looks."""

    looks: list[ModelInfo] = []  # noqa: RUF012

    def inspect(self, model: ModelInfo) -> ModelProperties:
        self.looks.append(model)
        return super().inspect(model)


def test_each_version_of_a_model_is_looked_at_once(model: Path, tmp_path: Path) -> None:
    compute, store = CountingCompute(tmp_path / "runs"), VersionStore(str(tmp_path / "home"))
    compute.looks.clear()
    first = find_base_model(BaseModelChoice(model=str(model)), compute, store)
    assert first.properties
    assert find_base_model(BaseModelChoice(model=str(model)), compute, store) == first
    assert len(compute.looks) == 1
    (kept,) = (tmp_path / "home" / "model_properties").iterdir()
    kept.write_text("{")
    assert find_base_model(BaseModelChoice(model=str(model)), compute, store) == first
    assert len(compute.looks) == 2
    one_embedding_for_all(model)
    for _ in range(2):
        with pytest.raises(ModelError):
            find_base_model(BaseModelChoice(model=str(model)), compute, store)
    assert [path.name for path in (tmp_path / "home" / "model_properties").iterdir()] == [kept.name]


def test_a_look_leaves_the_random_state_as_it_was(model: Path) -> None:
    before = torch.random.get_rng_state()
    looked_at(model)
    assert torch.equal(torch.random.get_rng_state(), before)
