"""Duplicates in a corpus, mined with the model in production.

Assets that Dagster knows but can't materialise by themselves, and a job that makes them: so neither *Materialize all*
nor `--select '*'` nor a retraining embeds a corpus. Only the job `mine` does, and a sensor that is off by default
starts it after a promotion.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress
from pipeline.core.store import VersionStore
from pipeline.duplicates.options import IndexOptions, MiningJobOptions, QuestionSource
from pipeline.models.info import ModelInfo
from pipeline.orchestration.after_promotion import launched_after_promotion
from pipeline.orchestration.ancestry import with_ancestors
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into
from pipeline.orchestration.assets.job_values import keep_value, report_check
from pipeline.orchestration.executor import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig, run_config
from pipeline.orchestration.steps import EMBEDDINGS, INDEX, MINED, MINING_SETTINGS, PRODUCTION, QUESTIONS
from pipeline.question_pairs.schema import PairTable, Splits

if TYPE_CHECKING:
    import numpy as np

    from pipeline.duplicates.chosen_model import ChosenModel
    from pipeline.duplicates.corpus import Corpus
    from pipeline.duplicates.review import Embed
    from pipeline.duplicates.stored import MinedDuplicates, QuestionEmbeddings, QuestionSet
    from pipeline.duplicates.vectors import Vectors

GROUP = "mining"


def _spec(name: str, deps: list[str], kinds: set[str], description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=deps,
        group_name=GROUP,
        kinds=kinds,
        owners=OWNERS,
        code_version="1",
        description=f"{description} *Materialize all* leaves it out. **Next:** launch the job `mine`.",
    )


SPECS = [
    _spec(QUESTIONS, ["raw_quora_dataset"], {"parquet"}, "The distinct questions of the dataset, or of your own file."),
    _spec(EMBEDDINGS, [QUESTIONS, PRODUCTION], {"pytorch", "numpy"}, "Their vectors by the model in production."),
    _spec(
        MINED,
        [EMBEDDINGS, "base_model", "train_split", "dev_split", "eval_split"],
        {"parquet"},
        "The pairs of questions that ask the same, which belong together, and labels that are likely wrong.",
    ),
    _spec(INDEX, [EMBEDDINGS], {"numpy"}, "What new questions are looked for in."),
]


class QuestionsConfig(QuestionSource, StepConfig):
    """Which questions are mined."""


class MiningConfig(MiningJobOptions, StepConfig):
    """What counts as duplicates, and how they are found."""


class IndexConfig(IndexOptions, StepConfig):
    """What new questions are looked for in."""


def _after() -> dict[str, dg.In]:
    return {"after": dg.In(dg.Nothing)}


@dg.op(out=dg.Out(dg.Nothing))
def read_questions(
    context: dg.OpExecutionContext, config: QuestionsConfig, store: dg.ResourceParam[VersionStore]
) -> None:
    """Read the questions, and keep each distinct one."""
    from pipeline.duplicates.corpus import Corpus, read_corpus
    from pipeline.duplicates.stored import question_set

    with one_line_failures():
        if config.path:
            corpus, synthetic = read_corpus(config.path, config.column), False
        else:
            table: PairTable = load_value(store, "raw_quora_dataset")
            corpus, synthetic = Corpus.of_pairs(table).require_questions(), table.origin.synthetic
        value, files = question_set(corpus, synthetic)
    metadata = {"dagster/row_count": value.questions, "source": value.source, "synthetic": synthetic}
    keep_value(context, store, QUESTIONS, value, {**metadata, "repeated": value.repeated, "blank": value.blank}, files)


@dg.op(ins=_after(), out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def embed_questions(
    context: dg.OpExecutionContext, store: dg.ResourceParam[VersionStore], compute: dg.ResourceParam[Compute]
) -> None:
    """Embed those questions whose vectors by the model in production aren't there yet."""
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model
    from pipeline.duplicates.encoder import PRECISION
    from pipeline.duplicates.stored import QuestionEmbeddings

    with one_line_failures():
        questions, corpus = _questions(context, store)
        chosen = find_model(IN_PRODUCTION, store)
        vectors = _vectors(compute, corpus, chosen, progress_into(context))
    value = QuestionEmbeddings(
        corpus_version=questions.corpus_version,
        model=chosen.info,
        questions=len(vectors),
        dimensions=vectors.dimensions,
        precision=PRECISION,
    )
    metadata = {"dagster/row_count": len(vectors), "dimensions": vectors.dimensions, **_model_metadata(chosen.info)}
    keep_value(context, store, EMBEDDINGS, value, metadata)


@dg.op(ins=_after(), out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def mine_questions(
    context: dg.OpExecutionContext,
    config: MiningConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> None:
    """Find the pairs that ask the same, and the labels that are likely wrong."""
    from pipeline.duplicates.engines import engine_for, sharded_join
    from pipeline.duplicates.mined_value import mine_and_review
    from pipeline.settings import environment

    with one_line_failures():
        _, corpus = _questions(context, store)
        embeddings, chosen = _embeddings(context, store)
        splits = Splits(*(load_value(store, f"{side}_split") for side in ("train", "dev", "eval")))
        before = _mined_before(context, store)
        vectors = _vectors(compute, corpus, chosen, progress_into(context))
        base: ModelInfo = load_value(store, "base_model")
        embed = _embed(compute, progress_into(context))
        engine = engine_for(
            config.engine,
            len(corpus),
            progress_into(context),
            lambda: sharded_join(environment.shards_location(), compute, config.recall),
        )
        value, files, report = mine_and_review(
            corpus, vectors, chosen, config, splits, base, embed, engine, progress_into(context)
        )
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.md(report),
        "dagster/row_count": value.pairs,
        **value.model_dump(mode="json", exclude={"sha256", "schema", "corpus_version", "model_version", "pairs"}),
        **_model_metadata(embeddings.model),
    }
    keep_value(
        context, store, MINED, value, {name: entry for name, entry in metadata.items() if entry is not None}, files
    )
    from pipeline.duplicates.findings import recall_of_pairs, share_change

    report_check(context, MINED, "recall_sample", recall_of_pairs(value))
    report_check(context, MINED, "share_of_duplicates", share_change(value, before, config.max_share_change))


@dg.op(ins=_after(), out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def build_question_index(
    context: dg.OpExecutionContext,
    config: IndexConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> None:
    """Make what new questions are looked for in, and measure what it finds."""
    from pipeline.duplicates.findings import index_matches, recall_of_index
    from pipeline.duplicates.question_index import build_index
    from pipeline.settings import environment

    with one_line_failures():
        questions, corpus = _questions(context, store)
        embeddings, chosen = _embeddings(context, store)
        vectors = _vectors(compute, corpus, chosen, progress_into(context))
        folder = environment.vectors_folder() / "indexes"
        value = build_index(vectors, questions.corpus_version, chosen.info.version, folder, progress_into(context))
    metadata = {"dagster/row_count": value.questions, "kind": value.kind, "recall": value.recall}
    keep_value(context, store, INDEX, value, {**metadata, **_model_metadata(embeddings.model)})
    report_check(
        context, INDEX, "matches_model", index_matches(value, embeddings.corpus_version, embeddings.model.version)
    )
    report_check(context, INDEX, "recall_sample", recall_of_index(value, config.min_recall))


# --- what the ops share ----------------------------------------------------------------------------------------


def _questions(context: dg.OpExecutionContext, store: VersionStore) -> "tuple[QuestionSet, Corpus]":
    """The questions that this run has read."""
    from pipeline.duplicates.stored import read_question_set

    value: QuestionSet = load_value(store, QUESTIONS, with_ancestors(context.instance, context.run.run_id))
    return value, read_question_set(store, QUESTIONS, value)


def _mined_before(context: dg.OpExecutionContext, store: VersionStore) -> "MinedDuplicates | None":
    """What was mined the last time. It serves for a warning alone: one that can't be read stops nothing."""
    if not store.has(MINED):
        return None
    try:
        before: MinedDuplicates = load_value(store, MINED)
    except PipelineError as error:
        context.log.warning(f"what was mined before can't be compared with: {error}")
        return None
    return before


def _embeddings(context: dg.OpExecutionContext, store: VersionStore) -> "tuple[QuestionEmbeddings, ChosenModel]":
    """What this run has embedded, and the model that it used.

    Raises:
        PipelineError: when another model was promoted meanwhile.
    """
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model

    value: QuestionEmbeddings = load_value(store, EMBEDDINGS, with_ancestors(context.instance, context.run.run_id))
    chosen = find_model(IN_PRODUCTION, store)
    if chosen.info.version != value.model.version:
        raise PipelineError(
            f"the questions were embedded by model version {value.model.version}, but {chosen.info.version} is in "
            "production by now: launch the job mine again"
        )
    return value, chosen


def _vectors(compute: Compute, corpus: "Corpus", chosen: "ChosenModel", on_progress: OnProgress) -> "Vectors":
    """The vectors of the questions; those that the cache has lost meanwhile are embedded again."""
    from pipeline.duplicates.cache import VectorCache
    from pipeline.duplicates.encoder import ComputeEncoder
    from pipeline.settings import environment

    cache = VectorCache(environment.vectors_folder())
    return cache.vectors(corpus.texts, ComputeEncoder(compute, chosen.info), on_progress)


def _embed(compute: Compute, on_progress: OnProgress) -> "Callable[[ModelInfo], Embed]":
    """What makes of a model what embeds texts with it, by the cache."""
    from pipeline.duplicates.cache import VectorCache
    from pipeline.duplicates.encoder import ComputeEncoder
    from pipeline.settings import environment

    cache = VectorCache(environment.vectors_folder())

    def of(model: ModelInfo) -> "Embed":
        def embed(texts: list[str]) -> "np.ndarray":
            vectors = cache.vectors(texts, ComputeEncoder(compute, model), on_progress)
            return vectors.block(0, len(vectors))

        return embed

    return of


def _model_metadata(model: ModelInfo) -> dict[str, Any]:
    return {"model": dg.MetadataValue.path(model.location), "model_version": model.version}


@dg.job(
    name="mine",
    tags={"purpose": "mine", "owner": OWNERS[0]},
    config=run_config({step: settings() for step, settings in MINING_SETTINGS.items()}),
)
def mine_job() -> None:
    """Mine a corpus for duplicates with the model in production: its questions, their vectors, the pairs, an index."""
    embedded = embed_questions(after=read_questions())
    mine_questions(after=embedded)
    build_question_index(after=embedded)


# --- checks, and what starts the job ---------------------------------------------------------------------------

_CHECKS = [
    dg.AssetCheckSpec(name, asset=asset, description=f"{said} A warning: nothing stops.")
    for asset, name, said in (
        (MINED, "recall_sample", "The engine found enough of the pairs of a sample."),
        (MINED, "share_of_duplicates", "The share of questions with a duplicate is about what it was."),
        (INDEX, "matches_model", "The index is of the same questions and the same model as the vectors."),
        (INDEX, "recall_sample", "The index finds enough of the nearest questions of a sample."),
    )
]


@dg.multi_asset_check(specs=_CHECKS, can_subset=True)
def mined_checks(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[VersionStore]
) -> Iterator[dg.AssetCheckResult]:
    """Look again at what the job `mine` has left, which it did itself at its end: is the index still that of the
    vectors? What it was the last time is known to the job alone."""
    from pipeline.duplicates import findings

    with one_line_failures():
        mined, index, embeddings = (load_value(store, asset) for asset in (MINED, INDEX, EMBEDDINGS))
    found = {
        (MINED, "recall_sample"): findings.recall_of_pairs(mined),
        (MINED, "share_of_duplicates"): findings.share_change(mined, None),
        (INDEX, "matches_model"): findings.index_matches(index, embeddings.corpus_version, embeddings.model.version),
        (INDEX, "recall_sample"): findings.recall_of_index(index, IndexConfig().min_recall),
    }
    for spec in _CHECKS:
        if spec.key in context.selected_asset_check_keys:
            asset = spec.asset_key.to_user_string()
            yield finding_result(found[asset, spec.name], asset, spec.name, is_warning=True)


mine_after_promotion = launched_after_promotion("mine_after_promotion", mine_job, "Mines anew")
