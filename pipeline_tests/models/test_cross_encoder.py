"""Cross-encoders: made from a base model by a seed, loaded again, and scoring pairs as the library's `predict` does."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers import CrossEncoder
from tiny_models import ARCHITECTURES, LIMIT, make_model, make_transformer

from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, ProgressEvent
from pipeline.models.base_model import model_folder_version, resolve_base_model
from pipeline.models.cross_encoder import load_cross_encoder, make_cross_encoder
from pipeline.models.embedding import to_device
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.models.packing import pack, packed_attention
from pipeline.models.pair_packing import (
    logits_of,
    packed_pairs,
    pair_features,
    tokenize_pairs,
    why_not_packed_pairs,
)
from pipeline.models.pair_scoring import score_pairs, score_pairs_both_ways

PAIRS = [
    ("Why?", "Why not?"),
    ("How do I learn to play the guitar?", "What is the best way to learn guitar?"),
    ("  What is   the way to fix a kettle?  ", "How can I repair my kettle?"),
    ("", "why"),
    ("", ""),
    ("🙂 ماذا؟", "?!"),
    (
        "Is it true that " + "the more one reads, the more one forgets, and " * 9 + "why?",
        "Does reading make me forget?",
    ),
    ("word " * 400, "other " * 300),
    ("Why?", "Why not?"),
]
FIRST, SECOND = ([pair[side] for pair in PAIRS] for side in (0, 1))

PACKED = {"bert", "roberta", "xlm-roberta", "distilbert", "albert", "electra"}
PADDED = {
    "mpnet": "it gives logits of shape (1,) for 3 packed pairs",
    "modernbert": "its attention sees a window",
    "deberta": "",
}


def resolved(model: str | Path) -> ModelInfo:
    return resolve_base_model(BaseModelChoice(model=str(model)))


def saved(model: CrossEncoder, folder: Path) -> ModelInfo:
    """What a training would say of the model in that folder."""
    model.save_pretrained(str(folder), create_model_card=False)
    return ModelInfo(kind="fine_tuned", name=folder.name, location=str(folder), version=model_folder_version(folder))


def predicted(model: CrossEncoder, first: list[str] = FIRST, second: list[str] = SECOND) -> np.ndarray:
    """The logits by the library's own way, in padded batches of four."""
    pairs = list(zip(first, second, strict=True))
    logits: np.ndarray = model.predict(pairs, batch_size=4, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    return logits


def weights(model: CrossEncoder) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


def differing(one: CrossEncoder, other: CrossEncoder) -> set[str]:
    return {name for name, tensor in weights(one).items() if not torch.equal(tensor, weights(other)[name])}


@pytest.fixture(scope="module")
def bundled() -> CrossEncoder:
    return make_cross_encoder(resolved("bundled"), "cpu", seed=1)


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], CrossEncoder]:
    """Gives a cross-encoder of an architecture with random weights."""

    def make(name: str) -> CrossEncoder:
        folder = make_transformer(tmp_path_factory.mktemp("plain") / name, name, model_max_length=LIMIT)
        return make_cross_encoder(resolved(folder), "cpu", seed=3)

    return make


# --- scores -----------------------------------------------------------------------------------------------------


def test_packed_scores_are_the_library_s(bundled: CrossEncoder) -> None:
    assert why_not_packed_pairs(bundled) is None
    scores = score_pairs(bundled, FIRST, SECOND, token_budget=700)
    assert scores.dtype == np.float32
    assert scores.shape == (len(PAIRS),)
    np.testing.assert_allclose(scores, predicted(bundled), atol=1e-4)


def test_packed_scores_of_real_pairs_are_the_library_s(bundled: CrossEncoder, real_pairs_path: Path) -> None:
    pairs = pd.read_parquet(real_pairs_path).head(64)
    first, second = pairs["question1"].tolist(), pairs["question2"].tolist()
    scores = score_pairs(bundled, first, second, token_budget=1_024)
    np.testing.assert_allclose(scores, predicted(bundled, first, second), atol=1e-4)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - {"qwen", "t5"}))
def test_every_architecture_scores_as_the_library(name: str, architecture: Callable[[str], CrossEncoder]) -> None:
    model = architecture(name)
    reason = why_not_packed_pairs(model)
    assert (reason is None) == (name in PACKED), reason
    assert PADDED.get(name, "") in (reason or "")
    expected = predicted(model)
    scores = score_pairs(model, FIRST, SECOND, token_budget=160)
    assert np.ptp(expected) > 1e-5
    np.testing.assert_allclose(scores, expected, atol=min(1e-4, 0.01 * np.ptp(expected)), rtol=0)


def test_both_sides_have_token_types_of_their_own(bundled: CrossEncoder) -> None:
    tokens = tokenize_pairs(bundled, ["Why?"], ["Why not?"])
    assert tokens.types is not None
    assert tokens.types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert bundled.tokenizer.decode(tokens.ids.tolist()) == "[CLS] why? [SEP] why not? [SEP]"


def test_pairs_beyond_the_limit_are_cut_and_counted() -> None:
    model = make_cross_encoder(resolved("bundled"), "cpu", seed=1, max_seq_length=16)
    exactly = "word " * 6
    tokens = tokenize_pairs(model, [exactly, exactly + "more", "short"], [exactly + "one", exactly + "one", "one"])
    assert tokens.lengths.tolist() == [16, 16, 5]
    assert tokens.truncated == 1
    scores = score_pairs(model, FIRST, SECOND, token_budget=64)
    np.testing.assert_allclose(scores, predicted(model), atol=1e-4)


def test_the_mean_of_both_orders_is_symmetric(architecture: Callable[[str], CrossEncoder]) -> None:
    model = architecture("bert")
    there, back = score_pairs(model, FIRST, SECOND, 160), score_pairs(model, SECOND, FIRST, 160)
    both = score_pairs_both_ways(model, FIRST, SECOND, 160)
    assert np.abs(there - back).max() > 1e-3
    np.testing.assert_allclose(both, (there + back) / 2, atol=1e-5)
    np.testing.assert_allclose(both, score_pairs_both_ways(model, SECOND, FIRST, 160), atol=1e-5)


def test_progress_counts_pairs(architecture: Callable[[str], CrossEncoder]) -> None:
    events: list[ProgressEvent] = []
    score_pairs(architecture("bert"), FIRST, SECOND, 160, events.append)
    assert events[0] == Advanced("scoring pairs", 0, len(PAIRS))
    assert events[-1] == Advanced("scoring pairs", len(PAIRS), len(PAIRS))


def test_bf16_scores_are_close(bundled: CrossEncoder) -> None:
    half = score_pairs(bundled, FIRST, SECOND, 700, precision="bf16")
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, predicted(bundled), atol=0.05)


def test_gradients_equal_those_of_a_padded_batch(architecture: Callable[[str], CrossEncoder]) -> None:
    model = architecture("bert").eval()
    tokens = tokenize_pairs(model, FIRST, SECOND)
    order = np.argsort(tokens.lengths, kind="stable")
    padded = pair_features(model, [FIRST[i] for i in order], [SECOND[i] for i in order])
    gradients = []
    with packed_pairs(model) as layout:
        for features in (pack(tokens, order, layout.first_position), padded):
            model.zero_grad()
            logits = logits_of(model(to_device(features, model.device)))
            (logits * torch.linspace(1, 2, len(PAIRS))).sum().backward()
            gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], atol=1e-4, rtol=1e-3)


def test_a_block_within_a_block_changes_nothing_and_nothing_is_left_behind(
    architecture: Callable[[str], CrossEncoder],
) -> None:
    model = architecture("bert")
    expected = predicted(model)
    with packed_pairs(model):
        np.testing.assert_allclose(score_pairs(model, FIRST, SECOND, 160), expected, atol=1e-4)
        np.testing.assert_allclose(predicted(model), expected, atol=1e-6)
    np.testing.assert_allclose(predicted(model), expected, atol=1e-6)
    with packed_attention(model):
        tokens = tokenize_pairs(model, FIRST[:2], SECOND[:2])
        # Without the block the head sees one sequence.
        assert model(pack(tokens, np.arange(2)))["scores"].shape == (1, 1)


def test_no_pairs_and_broken_weights_are_refused(architecture: Callable[[str], CrossEncoder]) -> None:
    model = architecture("bert")
    with pytest.raises(PipelineError, match="there are no pairs to score"):
        score_pairs(model, [], [], 160)
    with torch.no_grad():
        model[0].model.classifier.bias.fill_(float("nan"))
    with pytest.raises(PipelineError, match=r"NaN or infinite scores for 9 of 9 pairs"):
        score_pairs(model, FIRST, SECOND, 160)


# --- made and loaded --------------------------------------------------------------------------------------------


def test_the_seed_decides_the_head_and_nothing_else(bundled: CrossEncoder) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    again, other = (make_cross_encoder(resolved("bundled"), "cpu", seed) for seed in (1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert differing(bundled, again) == set()
    assert differing(bundled, other) == {"0.model.classifier.weight"}
    assert {tensor.dtype for tensor in weights(bundled).values()} == {torch.float32}


def test_a_saved_one_loads_again_and_scores_the_same(bundled: CrossEncoder, tmp_path: Path) -> None:
    info = saved(bundled, tmp_path / "bundled-ft")
    assert list(tmp_path.rglob("*.bin")) == []
    again = load_cross_encoder(info, "cpu")
    assert differing(bundled, again) == set()
    np.testing.assert_array_equal(score_pairs(again, FIRST, SECOND, 700), score_pairs(bundled, FIRST, SECOND, 700))
    np.testing.assert_allclose(
        predicted(CrossEncoder(info.location)), score_pairs(again, FIRST, SECOND, 700), atol=1e-4
    )


def test_a_base_model_of_several_modules_gives_its_transformer(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", "bert", prompts={"query": "query: "}, default_prompt_name="query")
    model = make_cross_encoder(resolved(folder), "cpu", seed=1)
    assert [type(module).__name__ for module in model] == ["Transformer"]
    assert model.max_seq_length == LIMIT
    assert not any(model.prompts.values())


def test_what_can_t_read_two_questions_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "static", "static")
    with pytest.raises(PipelineError, match="begins with StaticEmbedding, which can't read two questions at once"):
        make_cross_encoder(resolved(folder), "cpu", seed=1)


@pytest.mark.parametrize("name", ["qwen", "t5"])
def test_a_transformer_whose_head_fails_is_refused(name: str, tmp_path: Path) -> None:
    # One has no padding token in its config, the other no token to begin an answer with.
    folder = make_transformer(tmp_path / name, name)
    with pytest.raises(PipelineError, match=r"can't score pairs \(.*\): choose another base model"):
        make_cross_encoder(resolved(folder), "cpu", seed=1)


def test_a_limit_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    folder = make_transformer(tmp_path / "bert", "bert")
    with pytest.raises(PipelineError, match=r"max_seq_length is 500, but .* has positions for 128 tokens only"):
        make_cross_encoder(resolved(folder), "cpu", seed=1, max_seq_length=500)


def test_an_embedding_model_is_not_loaded_as_a_cross_encoder(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", "bert")
    with pytest.raises(PipelineError, match="is a SentenceTransformer model, which has no head that scores pairs"):
        load_cross_encoder(resolved(folder), "cpu")


def test_a_fine_tuned_cross_encoder_embeds_no_questions(bundled: CrossEncoder, tmp_path: Path) -> None:
    info = saved(bundled, tmp_path / "bundled-ft")
    with pytest.raises(PipelineError, match="is a cross-encoder, which can't embed single questions"):
        load_model(info, "cpu")


def test_changed_weights_are_not_loaded(bundled: CrossEncoder, tmp_path: Path) -> None:
    info = saved(bundled, tmp_path / "bundled-ft")
    (tmp_path / "bundled-ft" / "config.json").write_text("{}")
    with pytest.raises(PipelineError, match="have changed"):
        load_cross_encoder(info, "cpu")
    shutil.rmtree(tmp_path / "bundled-ft")
    with pytest.raises(PipelineError, match="is gone"):
        load_cross_encoder(info, "cpu")
