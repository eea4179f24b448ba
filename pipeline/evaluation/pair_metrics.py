"""Metrics of a model on labelled pairs, at the best thresholds for these very pairs."""

from sentence_transformers import SentenceTransformer

from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.metric_values import SimilarityMetrics
from pipeline.evaluation.pair_scores import embedding_metrics
from pipeline.models.encoding import embed_questions
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable


def evaluate_pairs(
    model: SentenceTransformer, table: PairTable, token_budget: int = 4_096, on_progress: OnProgress = ignore
) -> dict[str, SimilarityMetrics]:
    """Metrics of each similarity on the pairs of a table; embedded in fp32, each distinct text once.

    Raises:
        PipelineError: when the table is empty or has one class only, or embeddings are not finite.
    """
    index = QuestionIndex.of(table)
    embeddings = embed_questions(model, index.texts, token_budget, on_progress)
    return embedding_metrics(embeddings[index.first], embeddings[index.second], table.labels)
