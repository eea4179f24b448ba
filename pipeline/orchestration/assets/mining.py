"""Duplicates in a corpus, mined with the model in production by the job `mine`.

A run that also decides what is in production, such as *Materialize all*, leaves these assets out: embedding a corpus
may take hours (see `is_left_out`).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import MismatchError, PipelineError
from pipeline.core.progress import OnProgress
from pipeline.core.store import VersionStore
from pipeline.duplicates.options import IndexOptions, MiningJobOptions, QuestionSource
from pipeline.duplicates.stored import MinedDuplicates, QuestionEmbeddings, QuestionIndex, QuestionSet
from pipeline.models.info import ModelInfo
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into, readable
from pipeline.orchestration.assets.on_request import is_left_out
from pipeline.orchestration.execution import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import EMBEDDINGS, INDEX, MINED, PRODUCTION, QUESTIONS
from pipeline.quality.rules import Finding
from pipeline.question_pairs.schema import PairTable, Splits

if TYPE_CHECKING:
    import numpy as np

    from pipeline.duplicates.chosen_model import ChosenModel
    from pipeline.duplicates.corpus import Corpus
    from pipeline.duplicates.review import Embed
    from pipeline.vectors.blocks import Vectors

GROUP = "mining"
JOB = "mine"


def _out(asset: str, kinds: set[str], description: str) -> dict[str, dg.AssetOut]:
    return {
        asset: dg.AssetOut(
            is_required=False,
            group_name=GROUP,
            kinds=kinds,
            owners=OWNERS,
            code_version="1",
            description=f"{description} *Materialize all* leaves it out. **Next:** launch the job `{JOB}`.",
            dagster_type=dg.Any,
        )
    }


def _check(asset: str, name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset, description=f"{description} A warning: nothing stops.")


class QuestionsConfig(QuestionSource, StepConfig):
    """Which questions are mined."""


class MiningConfig(MiningJobOptions, StepConfig):
    """What counts as duplicates, and how they are found."""


class IndexConfig(IndexOptions, StepConfig):
    """The index that new questions are looked up in."""


@dg.multi_asset(
    name="read_questions",
    outs=_out(QUESTIONS, {"parquet"}, "The distinct questions of the dataset, or of your own file."),
    deps=["raw_quora_dataset"],
)
def read_questions(
    context: dg.AssetExecutionContext, config: QuestionsConfig, store: dg.ResourceParam[VersionStore]
) -> Iterator[dg.MaterializeResult[QuestionSet]]:
    """Read the questions, and keep each distinct one."""
    from pipeline.duplicates.corpus import Corpus, read_corpus
    from pipeline.duplicates.stored import question_set, write_files

    if is_left_out(context, JOB):
        return
    with one_line_failures():
        if config.path:
            corpus, synthetic = read_corpus(config.path, config.column), False
        else:
            table: PairTable = load_value(store, "raw_quora_dataset")
            corpus, synthetic = Corpus.of_pairs(table).require_questions(), table.origin.synthetic
        value, files = question_set(corpus, synthetic)
        write_files(store, QUESTIONS, value.data_version, files)
    yield dg.MaterializeResult(
        value=value,
        data_version=dg.DataVersion(value.data_version),
        metadata={
            "dagster/row_count": value.questions,
            "source": value.source,
            "synthetic": synthetic,
            "repeated": value.repeated,
            "blank": value.blank,
        },
    )


@dg.multi_asset(
    name="embed_questions",
    outs=_out(EMBEDDINGS, {"pytorch", "numpy"}, "Their vectors by the model in production."),
    deps=[PRODUCTION],
    pool=COMPUTE_POOL,
)
def embed_questions(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
    questions: QuestionSet,
) -> Iterator[dg.MaterializeResult[QuestionEmbeddings]]:
    """Embed the questions whose vectors by the model in production are not in the cache yet."""
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model
    from pipeline.duplicates.stored import read_question_set
    from pipeline.vectors.encoder import PRECISION

    if is_left_out(context, JOB):
        return
    with one_line_failures():
        chosen = find_model(IN_PRODUCTION, store)
        corpus = read_question_set(store, QUESTIONS, questions)
        vectors = _vectors(compute, corpus, chosen, progress_into(context))
    value = QuestionEmbeddings(
        corpus_version=questions.corpus_version,
        model=chosen.info,
        questions=len(vectors),
        dimensions=vectors.dimensions,
        precision=PRECISION,
    )
    metadata = {"dagster/row_count": len(vectors), "dimensions": vectors.dimensions, **_model_metadata(chosen.info)}
    yield dg.MaterializeResult(value=value, data_version=dg.DataVersion(value.data_version), metadata=metadata)


@dg.multi_asset(
    name="mine_questions",
    outs=_out(
        MINED,
        {"parquet"},
        "The pairs of questions that ask the same, which belong together, and labels that are likely wrong.",
    ),
    check_specs=[
        _check(MINED, "recall_sample", "The engine found enough of the pairs of a sample."),
        _check(MINED, "share_of_duplicates", "The share of questions with a duplicate is about the same as last time."),
    ],
    can_subset=True,
    pool=COMPUTE_POOL,
)
def mine_questions(
    context: dg.AssetExecutionContext,
    config: MiningConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
    questions: QuestionSet,
    question_embeddings: QuestionEmbeddings,
    base_model: ModelInfo,
    train_split: PairTable,
    dev_split: PairTable,
    eval_split: PairTable,
) -> Iterator[dg.MaterializeResult[MinedDuplicates] | dg.AssetCheckResult]:
    """Find the pairs that ask the same, and the labels that are likely wrong; or check again what was found last."""
    from pipeline.duplicates.stored import read_question_set, recall_of_pairs, share_change, write_files

    if is_left_out(context, JOB):
        return
    before = _mined_before(context, store)
    with one_line_failures():
        if _is_made(context, MINED):
            splits = Splits(train_split, dev_split, eval_split)
            chosen = _chosen(store, question_embeddings)
            corpus = read_question_set(store, QUESTIONS, questions)
            value, files, report = _mine(context, config, compute, corpus, chosen, splits, base_model)
            write_files(store, MINED, value.data_version, files)
            yield dg.MaterializeResult(
                asset_key=MINED,
                value=value,
                data_version=dg.DataVersion(value.data_version),
                metadata=_mined_metadata(value, report, chosen.info),
            )
        else:
            value, before = load_value(store, MINED), None
    found = {
        "recall_sample": recall_of_pairs(value),
        "share_of_duplicates": share_change(value, before, config.max_share_change),
    }
    yield from _warnings(context, MINED, found)


@dg.multi_asset(
    name="build_question_index",
    outs=_out(INDEX, {"numpy"}, "The index that new questions are looked up in."),
    check_specs=[
        _check(INDEX, "matches_model", "The index belongs to the same questions and the same model as the vectors."),
        _check(INDEX, "recall_sample", "The index finds enough of the nearest questions of a sample."),
    ],
    can_subset=True,
    pool=COMPUTE_POOL,
)
def build_question_index(
    context: dg.AssetExecutionContext,
    config: IndexConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
    questions: QuestionSet,
    question_embeddings: QuestionEmbeddings,
) -> Iterator[dg.MaterializeResult[QuestionIndex] | dg.AssetCheckResult]:
    """Build the index, and measure what it finds; or check again the index that was built last."""
    from pipeline.duplicates.question_index import build_index
    from pipeline.duplicates.stored import index_matches, read_question_set, recall_of_index
    from pipeline.settings import environment

    if is_left_out(context, JOB):
        return
    with one_line_failures():
        if _is_made(context, INDEX):
            chosen = _chosen(store, question_embeddings)
            corpus = read_question_set(store, QUESTIONS, questions)
            vectors = _vectors(compute, corpus, chosen, progress_into(context))
            folder = environment.vectors_folder() / "indexes"
            value = build_index(vectors, questions.corpus_version, chosen.info.version, folder, progress_into(context))
            metadata = {"dagster/row_count": value.questions, "kind": value.kind, "recall": value.recall}
            yield dg.MaterializeResult(
                asset_key=INDEX,
                value=value,
                data_version=dg.DataVersion(value.data_version),
                metadata=readable({**metadata, **_model_metadata(chosen.info)}),
            )
        else:
            value = load_value(store, INDEX)
    found = {
        "matches_model": index_matches(value, question_embeddings.corpus_version, question_embeddings.model.version),
        "recall_sample": recall_of_index(value, config.min_recall),
    }
    yield from _warnings(context, INDEX, found)


# --- what the assets share -------------------------------------------------------------------------------------


def _is_made(context: dg.AssetExecutionContext, asset: str) -> bool:
    """Whether this step makes the asset; else it runs the asset's checks alone."""
    return dg.AssetKey(asset) in context.selected_asset_keys


def _warnings(
    context: dg.AssetExecutionContext, asset: str, findings: dict[str, Finding]
) -> Iterator[dg.AssetCheckResult]:
    """The results of the checks that this step is asked for."""
    for name, finding in findings.items():
        if dg.AssetCheckKey(dg.AssetKey(asset), name) in context.selected_asset_check_keys:
            yield finding_result(finding, asset, name, is_warning=True)


def _mined_before(context: dg.AssetExecutionContext, store: VersionStore) -> MinedDuplicates | None:
    """What was mined the last time. It serves for a warning alone: one that can't be read stops nothing."""
    if not store.has(MINED):
        return None
    try:
        before: MinedDuplicates = load_value(store, MINED)
    except PipelineError as error:
        context.log.warning(f"what was mined before can't be compared with: {error}")
        return None
    return before


def _chosen(store: VersionStore, embeddings: QuestionEmbeddings) -> "ChosenModel":
    """The model in production, which must be the one that embedded the questions.

    Raises:
        MismatchError: when another model was promoted since.
    """
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model

    chosen = find_model(IN_PRODUCTION, store)
    if chosen.info.version != embeddings.model.version:
        raise MismatchError(
            f"the questions were embedded by model version {embeddings.model.version}, but {chosen.info.version} is in "
            f"production now: launch the job {JOB} again",
            embedded_by=embeddings.model.version,
            in_production=chosen.info.version,
        )
    return chosen


def _mine(
    context: dg.AssetExecutionContext,
    config: MiningConfig,
    compute: Compute,
    corpus: "Corpus",
    chosen: "ChosenModel",
    splits: Splits,
    base: ModelInfo,
) -> tuple[MinedDuplicates, dict[str, bytes], str]:
    """What was mined, its tables and the report on it."""
    from pipeline.duplicates.mining_job import mine_and_review
    from pipeline.vectors.index import engine_for

    progress = progress_into(context)
    vectors = _vectors(compute, corpus, chosen, progress)
    engine = engine_for(config.engine, len(corpus), progress)
    return mine_and_review(corpus, vectors, chosen, config, splits, base, _embed(compute, progress), engine, progress)


def _mined_metadata(value: MinedDuplicates, report: str, model: ModelInfo) -> dict[str, Any]:
    figures = value.model_dump(mode="json", exclude={"sha256", "schema", "corpus_version", "model_version", "pairs"})
    return readable(
        {
            "report": dg.MetadataValue.md(report),
            "dagster/row_count": value.pairs,
            **{name: figure for name, figure in figures.items() if figure is not None},
            **_model_metadata(model),
        }
    )


def _vectors(compute: Compute, corpus: "Corpus", chosen: "ChosenModel", on_progress: OnProgress) -> "Vectors":
    """The vectors of the questions; those that the cache has lost meanwhile are embedded again."""
    from pipeline.duplicates.compute_encoder import ComputeEncoder
    from pipeline.settings import environment
    from pipeline.vectors.cache import VectorCache

    cache = VectorCache(environment.vectors_folder())
    return cache.vectors(corpus.texts, ComputeEncoder(compute, chosen.info), on_progress)


def _embed(compute: Compute, on_progress: OnProgress) -> "Callable[[ModelInfo], Embed]":
    """What makes of a model what embeds texts with it, by the cache."""
    from pipeline.duplicates.compute_encoder import ComputeEncoder
    from pipeline.settings import environment
    from pipeline.vectors.cache import VectorCache

    cache = VectorCache(environment.vectors_folder())

    def of(model: ModelInfo) -> "Embed":
        def embed(texts: list[str]) -> "np.ndarray":
            vectors = cache.vectors(texts, ComputeEncoder(compute, model), on_progress)
            return vectors.block(0, len(vectors))

        return embed

    return of


def _model_metadata(model: ModelInfo) -> dict[str, Any]:
    return {"model": dg.MetadataValue.path(model.location), "model_version": model.version}


ASSETS = [read_questions, embed_questions, mine_questions, build_question_index]
