"""Packed batches give the embeddings and gradients of padded ones, for each kind of model that they are used on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast, MPNetConfig, MPNetModel, RobertaConfig, RobertaModel

from pipeline.models import packing
from pipeline.models.base_model import resolve_base_model
from pipeline.models.bundled import bundled_folder
from pipeline.models.embedding import to_device
from pipeline.models.encoding import embed_questions
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.models.packing import pack, packed_attention, tokenize, uses_varlen, why_not_packed

QUESTIONS = [
    "Why?",
    "How do I repair my bicycle?",
    "  What is   the way to fix a kettle?  ",
    "",
    "🙂 ماذا؟",
    "?!",
    "word " * 500,
    "Why not?",
]


@pytest.fixture(scope="module")
def bundled() -> SentenceTransformer:
    return load_model(resolve_base_model(BaseModelChoice(model="bundled")), "cpu")


def saved(tmp_path: Path, model: torch.nn.Module, pooling: str = "mean", dense: bool = False) -> SentenceTransformer:
    """A sentence-embedding model of that architecture, with the bundled model's tokenizer."""
    model.save_pretrained(tmp_path)
    BertTokenizerFast.from_pretrained(str(bundled_folder())).save_pretrained(tmp_path)
    transformer = Transformer(str(tmp_path), max_seq_length=32)
    modules = [transformer, Pooling(16, pooling_mode=pooling)]
    if dense:
        modules.append(Dense(16, 8))
    return SentenceTransformer(modules=modules, device="cpu")


SMALL = {
    "vocab_size": 30_522,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


def test_packed_embeddings_equal_the_library_s(bundled: SentenceTransformer) -> None:
    expected = bundled.encode(QUESTIONS, show_progress_bar=False)
    assert why_not_packed(bundled) is None
    np.testing.assert_allclose(embed_questions(bundled, QUESTIONS, token_budget=48), expected, atol=2e-6)


def test_the_model_is_as_before_afterwards(bundled: SentenceTransformer) -> None:
    before = bundled[0].config._attn_implementation
    embed_questions(bundled, QUESTIONS, token_budget=48)
    assert bundled[0].config._attn_implementation == before
    with packed_attention(bundled):
        # Padded features still work meanwhile.
        assert bundled.encode(QUESTIONS, show_progress_bar=False).shape == (len(QUESTIONS), 384)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_other_poolings_and_a_dense_layer(tmp_path: Path, pooling: str) -> None:
    torch.manual_seed(0)
    model = saved(tmp_path, BertModel(BertConfig(**SMALL)), pooling, dense=True)
    assert why_not_packed(model) is None
    expected = model.encode(QUESTIONS, show_progress_bar=False)
    np.testing.assert_allclose(embed_questions(model, QUESTIONS, token_budget=64), expected, atol=2e-6)


def test_roberta_counts_positions_from_its_padding_index(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = saved(tmp_path, RobertaModel(RobertaConfig(**SMALL, pad_token_id=1)))
    expected = model.encode(QUESTIONS, show_progress_bar=False)
    assert why_not_packed(model) is None
    np.testing.assert_allclose(embed_questions(model, QUESTIONS, token_budget=64), expected, atol=2e-6)


def test_a_model_that_can_t_be_packed_is_padded(tmp_path: Path) -> None:
    # MPNet adds a bias by distance within the padded sequence, outside transformers' attention interface.
    torch.manual_seed(0)
    model = saved(tmp_path, MPNetModel(MPNetConfig(**SMALL)))
    assert why_not_packed(model) is not None
    expected = model.encode(QUESTIONS, show_progress_bar=False)
    np.testing.assert_allclose(embed_questions(model, QUESTIONS, token_budget=64), expected, atol=2e-6)


def test_gradients_equal_those_of_a_padded_batch(bundled: SentenceTransformer) -> None:
    bundled.eval()
    tokens = tokenize(bundled, QUESTIONS)
    order = np.argsort(tokens.lengths, kind="stable")
    weights = torch.randn(len(QUESTIONS), 384, generator=torch.Generator().manual_seed(0))
    gradients = []
    with packed_attention(bundled) as layout:
        for features in (pack(tokens, order, layout.first_position), bundled.preprocess([QUESTIONS[i] for i in order])):
            bundled.zero_grad()
            (bundled(to_device(features, bundled.device))["sentence_embedding"] * weights).sum().backward()
            gradients.append({n: p.grad.clone() for n, p in bundled.named_parameters() if p.grad is not None})
    bundled.zero_grad()
    packed, padded = gradients
    assert packed.keys() == padded.keys()
    for name in packed:
        torch.testing.assert_close(packed[name], padded[name], atol=1e-4, rtol=1e-3)


def test_truncated_questions_are_counted(bundled: SentenceTransformer) -> None:
    limit = bundled.max_seq_length
    exactly = "word " * (limit - 2)
    tokens = tokenize(bundled, [exactly, exactly + "more", "short"])
    assert tokens.lengths.tolist() == [limit, limit, 3]
    assert tokens.truncated == 1


def test_questions_must_come_shortest_first(bundled: SentenceTransformer) -> None:
    tokens = tokenize(bundled, QUESTIONS)
    with pytest.raises(ValueError, match="ascending"):
        pack(tokens, np.argsort(-tokens.lengths, kind="stable"))


@settings(max_examples=tries(50), deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12).map(sorted),
    heads=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_attention_stays_within_each_question(lengths: list[int], heads: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(1, heads, sum(lengths), 4, generator=generator) for _ in range(3))
    distinct, counts = np.unique(lengths, return_counts=True)
    groups = tuple(zip(distinct.tolist(), counts.tolist(), strict=True))
    output, _ = packing._packed_attention(torch.nn.Identity(), query, key, value, None, length_groups=groups)
    assert output.shape == (1, sum(lengths), heads, 4)
    start = 0
    for length in lengths:
        part = slice(start, start + length)
        alone = torch.nn.functional.scaled_dot_product_attention(query[:, :, part], key[:, :, part], value[:, :, part])
        torch.testing.assert_close(output[:, part], alone.transpose(1, 2), atol=1e-5, rtol=1e-4)
        start += length


def test_varlen_attention_is_for_half_precision_on_cuda_without_dropout() -> None:
    assert uses_varlen("cuda", torch.bfloat16, 0.0)
    assert not uses_varlen("cuda", torch.bfloat16, 0.1)
    assert not uses_varlen("cuda", torch.float32, 0.0)
    assert not uses_varlen("cpu", torch.bfloat16, 0.0)
