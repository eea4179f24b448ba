"""The metrics on real Quora pairs, against sentence-transformers' evaluator and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import BinaryClassificationEvaluator
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from pipeline.evaluation.measure import measure
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES, EvaluationOptions, SimilarityMetrics
from pipeline.evaluation.metrics import is_called_duplicate, similarity_metrics
from pipeline.evaluation.pair_scores import embedding_metrics, pair_scores
from pipeline.models.base_model import resolve_base_model
from pipeline.models.loading import load_model
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs

pytestmark = pytest.mark.slow

ROWS = 1_000
Metrics = dict[str, SimilarityMetrics]


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return load_model(resolve_base_model(BaseModelChoice()), "cpu")


@pytest.fixture(scope="module")
def table(real_pairs_path: Path) -> PairTable:
    pairs = load_pairs(PairSource(source="file", path=str(real_pairs_path)))
    return PairTable(pairs.pairs.sample(ROWS, random_state=0).reset_index(drop=True), pairs.origin)


@pytest.fixture(scope="module")
def embeddings(model: SentenceTransformer, table: PairTable) -> tuple[np.ndarray, np.ndarray]:
    """The library's own, of both sides."""
    return model.encode(list(table.pairs["question1"])), model.encode(list(table.pairs["question2"]))


def the_evaluators(
    model: SentenceTransformer, table: PairTable, embeddings: tuple[np.ndarray, np.ndarray] | None = None
) -> Metrics:
    """What `BinaryClassificationEvaluator` says; of given embeddings, or of those that it makes at its defaults."""
    first, second = list(table.pairs["question1"]), list(table.pairs["question2"])
    evaluator = BinaryClassificationEvaluator(
        first, second, table.labels.tolist(), similarity_fn_names=list(SIMILARITIES)
    )
    if embeddings:
        # It asks for distinct questions, in an order of its own.
        by_text = dict(zip([*first, *second], np.concatenate(embeddings), strict=True))
        evaluator.embed_inputs = lambda model, texts: np.stack([by_text[text] for text in texts])
    found = evaluator.compute_metrics(model)
    return {
        name: SimilarityMetrics(**{metric: float(found[name][metric]) for metric in SimilarityMetrics.model_fields})
        for name in SIMILARITIES
    }


def require_equal(ours: Metrics, theirs: Metrics, tolerance: float) -> None:
    for name in SIMILARITIES:
        for metric in SimilarityMetrics.model_fields:
            mine, other = getattr(ours[name], metric), getattr(theirs[name], metric)
            assert mine == pytest.approx(other, abs=tolerance, rel=0), f"{name} {metric}"


def test_of_the_same_embeddings_they_are_the_evaluators(
    model: SentenceTransformer, table: PairTable, embeddings: tuple[np.ndarray, np.ndarray]
) -> None:
    by_text = dict(zip([*table.pairs["question1"], *table.pairs["question2"]], np.concatenate(embeddings), strict=True))
    first, second = (np.stack([by_text[text] for text in table.pairs[side]]) for side in ("question1", "question2"))
    ours = embedding_metrics(first, second, table.labels)
    require_equal(ours, the_evaluators(model, table, embeddings), 1e-6)


def test_of_the_same_scores_they_are_scikit_learns(table: PairTable, embeddings: tuple[np.ndarray, np.ndarray]) -> None:
    labels = table.labels
    for name, scores in pair_scores(*embeddings).items():
        lower = name in LOWER_IS_BETTER
        found = similarity_metrics(scores, labels, lower)
        called = is_called_duplicate(scores, found.f1_threshold, lower)
        assert found.ap == pytest.approx(average_precision_score(labels, -scores if lower else scores), abs=1e-6)
        assert found.f1 == pytest.approx(f1_score(labels, called), abs=1e-6)
        assert found.precision == pytest.approx(precision_score(labels, called), abs=1e-6)
        assert found.recall == pytest.approx(recall_score(labels, called), abs=1e-6)
        accuracy = (is_called_duplicate(scores, found.accuracy_threshold, lower) == labels).mean()
        assert found.accuracy == pytest.approx(accuracy, abs=1e-6)


def test_embedding_included_they_are_the_evaluators_but_for_the_last_bits(
    model: SentenceTransformer, table: PairTable
) -> None:
    # How a batch is cut moves the last bits of an embedding, and with them pairs that are nearly tied.
    table = PairTable(table.pairs.head(800), table.origin)
    measured = measure(model, table, table, EvaluationOptions(precision="fp32", task_questions=0))
    ours = {
        name: similarity_metrics(scores, table.labels, name in LOWER_IS_BETTER)
        for name, scores in measured.eval_scores.items()
    }
    require_equal(ours, the_evaluators(model, table), 1e-5)
