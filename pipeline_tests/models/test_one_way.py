"""Training and reports give the embeddings that `SentenceTransformer.encode` of the same folder gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_models import KINDS, LIMIT, make_kind, query_prompt

from pipeline.core.progress import ignore
from pipeline.evaluation.measurement import SIMILARITIES
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.models.base_model import resolve_base_model
from pipeline.models.embedding import features_of, to_device
from pipeline.models.encoding import embed_questions
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.models.packing import tokenize
from pipeline.models.precision import Hardware
from pipeline.question_pairs.schema import DataOrigin, PairTable
from pipeline.training.batches import TrainingPairs
from pipeline.training.fine_tune import _Session, _session, fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.losses import Batch
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

QUESTIONS = [
    "How do I learn to play the guitar?",
    "What is the best way to learn guitar?",
    "Why?",
    "why",
    "What is the query: to be or not to be?",
    "  One   one ",
    "",
    "Is it 5 or 7?",
    "How do I play " + "the best of the best " * 12 + "?",
    "Is it true that " + "the more one reads, the more one forgets, and " * 20 + "why?",
]
"""Some are longer than a window of attention, and the last is longer than the models' limit."""

PACKED = {
    "bert", "roberta", "xlm-roberta", "distilbert", "albert", "electra", "not normalised", "cls", "two poolings",
    "weighted mean", "dense", "prompt", "prompt that pooling leaves out", "prompt that cls pooling leaves out",
    "prompt in RoBERTa", "prompts, none by default", "truncated", "dot product",
}  # fmt: skip


@pytest.fixture(scope="session")
def kind_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a kind of model, which is made once."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_kind(tmp_path_factory.mktemp("kind") / "model", kind)
        return made[kind]

    return folder


def pairs() -> PairTable:
    """Each question with the one before it."""
    n = len(QUESTIONS)
    frame = pd.DataFrame(
        {
            "pair_id": range(n),
            "question1_id": range(n),
            "question2_id": [*range(1, n), 0],
            "question1": QUESTIONS,
            "question2": QUESTIONS[1:] + QUESTIONS[:1],
            "is_duplicate": [at % 2 == 0 for at in range(n)],
        }
    )
    return PairTable(frame, DataOrigin(source="test", synthetic=True))


def job(folder: Path, **knobs: Any) -> TrainingJob:
    recipe = Recipe(batch_size=10, epochs=1, device="cpu", precision="fp32", load_best_model_at_end=False, **knobs)
    table = pairs()
    return TrainingJob(
        table, table.take(np.array([], dtype=int)), resolve_base_model(BaseModelChoice(model=str(folder))), recipe
    )


def embeddings_in_training(session: _Session) -> tuple[list[str], np.ndarray]:
    """The distinct questions of a batch of all pairs, and what the losses are given for them."""
    trainer = session.trainer
    collator, given = trainer._collator, []

    def keep(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
        given.append(embeddings)
        return embeddings.sum()

    trainer.loss._terms = [(1.0, keep)]
    batch = collator(np.arange(len(QUESTIONS)))
    trainer.model.eval()
    inputs = {**batch, "features": to_device(batch["features"], trainer.args.device)}
    trainer.compute_loss(trainer.model, inputs).backward()
    places = {place: at for at, place in enumerate(batch["first"].tolist())}
    return [QUESTIONS[places[place]] for place in range(len(places))], given[0].detach().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_gives_what_encode_gives(kind: str, kind_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = kind_folder(kind)
    expected = SentenceTransformer(str(folder), device="cpu").encode(QUESTIONS)
    tolerance = 2e-5 * float(np.abs(expected).max())
    asked = job(folder)

    measured = embed_questions(load_model(asked.base_model, "cpu"), QUESTIONS, token_budget=160)
    np.testing.assert_allclose(measured, expected, atol=tolerance, rtol=0)

    hardware = Hardware("cpu", "fp32")
    with _session(
        asked, TrainingPairs.of(asked.train), hardware, 4_096, RunFolder(tmp_path / "run"), ignore
    ) as session:
        assert (session.layout == "packed") == (kind in PACKED), session.layout
        questions, trained = embeddings_in_training(session)
    order = [QUESTIONS.index(question) for question in questions]
    np.testing.assert_allclose(trained, expected[order], atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    "kind", ["static with a prompt", "prompt that pooling leaves out", "qwen", "truncated", "dot product"]
)
def test_a_fine_tuned_model_keeps_the_settings_and_is_measured_as_its_folder_encodes(
    kind: str, kind_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = kind_folder(kind)
    result = fine_tune(job(folder, learning_rate=0.01), RunFolder(tmp_path / "run"))
    base, tuned = (SentenceTransformer(str(place), device="cpu") for place in (folder, result.model.location))
    assert (tuned.prompts, tuned.default_prompt_name) == (base.prompts, base.default_prompt_name)
    assert (tuned.truncate_dim, tuned.max_seq_length) == (base.truncate_dim, base.max_seq_length)
    assert tuned.similarity_fn_name == "cosine"
    expected = tuned.encode(QUESTIONS)
    assert np.abs(expected - base.encode(QUESTIONS)).max() > 1e-3
    measured = embed_questions(load_model(result.model, "cpu"), QUESTIONS, token_budget=160)
    np.testing.assert_allclose(measured, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_scores_are_the_library_s_similarities_of_what_encode_gives(kind_folder: Callable[[str], Path]) -> None:
    folder = kind_folder("prompt")
    embeddings = SentenceTransformer(str(folder), device="cpu").encode(QUESTIONS)
    scores = pair_scores(embeddings[:-1], embeddings[1:])
    for name in SIMILARITIES:
        model = SentenceTransformer(str(folder), device="cpu", similarity_fn_name=name)
        ours = -scores[name] if name in ("manhattan", "euclidean") else scores[name]
        np.testing.assert_allclose(
            ours, model.similarity_pairwise(embeddings[:-1], embeddings[1:]).numpy(), rtol=1e-5, atol=1e-6
        )


def test_the_prompt_is_counted_among_the_tokens_and_cut_questions_are_counted(
    kind_folder: Callable[[str], Path],
) -> None:
    model = load_model(job(kind_folder("prompt")).base_model, "cpu")
    tokens = tokenize(model, ["why", QUESTIONS[-1]])
    (with_prompt,) = model.tokenizer.batch_decode(features_of(model, ["why"])["input_ids"])
    assert with_prompt == "[CLS] what is the query : why [SEP]"
    assert tokens.lengths.tolist() == [len(with_prompt.split()), LIMIT]
    assert tokens.truncated == 1
    assert query_prompt()["default_prompt_name"] == model.default_prompt_name


def test_decoders_and_windows_of_attention_are_not_packed(kind_folder: Callable[[str], Path], tmp_path: Path) -> None:
    for kind, reason in (("qwen", "its attention is causal"), ("modernbert", "its attention sees a window")):
        asked = job(kind_folder(kind))
        with _session(
            asked, TrainingPairs.of(asked.train), Hardware("cpu", "fp32"), 4_096, RunFolder(tmp_path / kind), ignore
        ) as session:
            assert session.layout == f"padded: {reason}"
