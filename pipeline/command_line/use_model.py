"""The commands that use a model: `compare` two questions, `search` a file, `mine` it for duplicates."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pipeline.command_line.click_options import column_option, device_option, model_option, precision_option
from pipeline.command_line.terminal import live_progress, say
from pipeline.core.errors import MismatchError, NotFoundError, counted
from pipeline.core.progress import OnProgress

if TYPE_CHECKING:
    from pipeline.duplicates.chosen_model import ChosenModel
    from pipeline.duplicates.classifier import DuplicateClassifier
    from pipeline.duplicates.corpus import Corpus
    from pipeline.duplicates.labelled import LabelledFigures
    from pipeline.duplicates.mining import MinedCorpus
    from pipeline.duplicates.options import MiningOptions
    from pipeline.duplicates.stored import QuestionIndex
    from pipeline.question_pairs.schema import PairTable
    from pipeline.vectors.blocks import Vectors


def _out_option(what: str) -> Callable[[Any], Any]:
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        help=f"Write {what} to this file: .csv, .parquet or .jsonl.",
    )


@click.command("compare")
@click.argument("questions", nargs=-1, metavar="[A B]")
@click.option("--in", "source", metavar="FILE", help="Compare the pairs of a file instead.")
@click.option("--first", metavar="COLUMN", help="The column of the first question. [default: question1]")
@click.option("--second", metavar="COLUMN", help="The column of the second question. [default: question2]")
@_out_option("the file's columns, cosine, probability and decision")
@model_option
@precision_option
@click.option(
    "--prior",
    type=float,
    help="Share of duplicates among your pairs. [default: as on the dev split]",
)
@device_option
def compare_command(
    questions: tuple[str, ...],
    source: str | None,
    first: str | None,
    second: str | None,
    out: Path | None,
    choice: str,
    precision: float | None,
    prior: float | None,
    device: Any,
) -> None:
    """Decide whether two questions are duplicates.

    \b
    python -m pipeline compare "How do I learn Python?" "What is the best way to learn Python?"
    python -m pipeline compare --in pairs.csv --out compared.csv --precision 0.95
    """
    if source is None and len(questions) != 2:
        raise click.UsageError(f"compare takes two quoted questions or --in FILE, and got {len(questions)}")
    if source is not None and (questions or out is None):
        raise click.UsageError("--in needs --out FILE, and takes no questions")
    with live_progress(Console(stderr=True)) as progress:
        from pipeline.duplicates.corpus import read_compared
        from pipeline.duplicates.tables import require_suffix

        if out:
            require_suffix(out)
        compared = read_compared(source, first, second) if source else None
        pairs = compared.pairs if compared else [(questions[0], questions[1])]
        classifier = ready_classifier(choice, device)
        threshold = classifier.threshold(precision, prior) if classifier.chosen.decision else None
        if threshold is None and (precision is not None or prior is not None):
            classifier.chosen.require_decision()
        cosine = classifier.cosine(pairs, progress)
    probability = None
    if classifier.chosen.decision:
        probability = classifier.decision.calibration.probability(cosine, prior)
    if compared and out:
        from pipeline.duplicates.tables import compared_table, write_table

        write_table(out, compared_table(compared.table, cosine, probability, threshold))
        _say("Pairs", f"{len(pairs):,} written to {out}")
        if threshold is not None and len(pairs):
            called = int((cosine >= threshold).sum())
            _say("Same", f"{called:,} ({called / len(pairs):.1%}) have a cosine of {threshold:.4f} or more")
    else:
        _say("Cosine", f"{cosine[0]:.4f}")
        if probability is not None and threshold is not None:
            _say("Same", f"{'yes' if cosine[0] >= threshold else 'no'}: the threshold is {threshold:.4f}")
            _say(
                "Probable",
                f"{probability[0]:.1%}, assuming that {_share(classifier, prior)} of the pairs are duplicates",
            )
    if threshold is None:
        _say("Same", "unknown: the model has no decision.json, so there is only a cosine")
    _say("Model", classifier.chosen.said)


@click.command("search")
@click.argument("question")
@click.option(
    "--in", "source", metavar="FILE", help="The questions to search. [default: those that the job `mine` indexed]"
)
@column_option
@click.option(
    "--top", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Number of questions to show."
)
@_out_option("the questions")
@model_option
@device_option
def search_command(
    question: str, source: str | None, column: str | None, top: int, out: Path | None, choice: str, device: Any
) -> None:
    """Find the most similar questions in a file, or in the corpus that was mined last.

    The vectors of the file are cached, so the next search in it is fast.

    \b
    python -m pipeline search "How can I learn Python quickly?" --in questions.csv
    python -m pipeline search "How can I learn Python quickly?"
    """
    with live_progress(Console(stderr=True)) as progress:
        from pipeline.duplicates.question_index import nearest_in
        from pipeline.duplicates.tables import found_table, require_suffix, shown, write_table
        from pipeline.vectors.nearest import nearest

        if out:
            require_suffix(out)
        if not question.strip():
            raise click.UsageError("the question is blank: pass it in quotes")
        if source is None and column is not None:
            raise click.UsageError("--column names a column of a file: add --in FILE")
        index = None
        if source is None:
            corpus, classifier, vectors, index = _indexed(choice, device, progress)
        else:
            corpus, classifier, vectors = _read(source, column, choice, device, progress)
        query, most = classifier.encoder.embed([question])[0], min(top, len(corpus))
        found = nearest_in(index, query, vectors, most) if index else nearest(query[None], vectors, most)[0]
        table = found_table(corpus, found, classifier.chosen.decision)
    if out:
        write_table(out, table)
        _say("Found", f"{counted(len(table), 'question')}, in {out}")
    else:
        for row in table.to_pylist():
            said = f"  {row['probability']:6.1%}  {'same' if row['same'] else '    '}" if "same" in row else ""
            _print(f"{row['cosine']:.4f}{said}  {shown(row['question'])}  (row {row['row']:,})")
    _say("Searched", f"{counted(len(corpus), 'question')} of {corpus.name}")
    _say("Model", classifier.chosen.said)


@click.command("mine")
@click.argument("source", metavar="FILE")
@column_option
@_out_option("the pairs")
@click.option(
    "--clusters",
    type=click.Path(path_type=Path),
    help="Write the clusters to this file: every row with a duplicate.",
)
@click.option("--labelled", metavar="FILE", help="Labelled pairs, for precision and recall.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a report in Markdown to this file.")
@model_option
@click.option("--threshold", type=float, help="Minimum cosine of a duplicate. [default: by the probability]")
@precision_option
@click.option(
    "--prior", type=float, help="Share of duplicates among the pairs at or above the floor. [default: as on dev]"
)
@click.option("--estimate-prior", is_flag=True, help="Estimate that share from the scores; often far too low.")
@click.option(
    "--floor", type=float, help="Minimum cosine of the pairs that are searched for. [default: the model's threshold]"
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "exact", "index"]),
    default="auto",
    show_default=True,
    help="`exact` misses no pair; `index` needs faiss, is faster in large files and misses some.",
)
@device_option
def mine_command(
    source: str,
    column: str | None,
    out: Path | None,
    clusters: Path | None,
    labelled: str | None,
    report: Path | None,
    choice: str,
    **settings: Any,
) -> None:
    """Find all pairs of duplicate questions in a file, and their clusters.

    Vectors are cached: an interrupted run continues where it was, and another threshold needs no new embeddings.

    \b
    python -m pipeline mine questions.csv --out pairs.csv --clusters clusters.csv
    python -m pipeline mine tickets.parquet --column subject --precision 0.95 --out pairs.parquet
    """
    options = _options(settings)
    with live_progress(Console(stderr=True)) as progress:
        from pipeline.duplicates.mining import mine_corpus
        from pipeline.duplicates.mining_report import mining_report
        from pipeline.duplicates.tables import clusters_table, pairs_table, require_suffix, write_table
        from pipeline.vectors.index import engine_for

        for path in (out, clusters):
            if path:
                require_suffix(path)
        pairs_with_labels = _labelled(labelled)
        corpus, classifier, vectors = _read(source, column, choice, options.device, progress, options)
        engine = engine_for(options.engine, len(corpus), progress)
        mined = mine_corpus(corpus, vectors, classifier.chosen, options, engine, progress)
        figures = thresholds_of(mined, pairs_with_labels)
        if out:
            write_table(out, pairs_table(mined))
        if clusters:
            write_table(clusters, clusters_table(mined))
        if report:
            from pipeline.core.files import write_text

            write_text(report, mining_report(mined, classifier.chosen.said, engine, figures))
    for name, text in _summary(mined, figures):
        _say(name, text)
    for name, path in (("Pairs", out), ("Clusters", clusters), ("Report", report)):
        if path:
            _say(name, str(path))
    if engine.remark:
        _say("Engine", engine.remark)
    _say("Model", classifier.chosen.said)


def _options(settings: dict[str, Any]) -> "MiningOptions":
    from pydantic import ValidationError

    from pipeline.duplicates.options import MiningOptions

    try:
        return MiningOptions(**settings)
    except ValidationError as error:
        detail = error.errors()[0]
        name = f"--{detail['loc'][0]}: " if detail["loc"] else ""
        raise click.UsageError(f"{name}{detail['msg'].removeprefix('Value error, ')}") from None


def _labelled(source: str | None) -> "PairTable | None":
    from pipeline.question_pairs.options import PairSource
    from pipeline.question_pairs.sources import load_pairs

    return load_pairs(PairSource(source="file", path=source)) if source else None


def thresholds_of(mined: "MinedCorpus", table: "PairTable | None") -> "list[LabelledFigures]":
    """The figures on the labelled pairs; none without them."""
    from pipeline.duplicates.labelled import thresholds_compared

    return thresholds_compared(mined, table) if table else []


def _read(
    source: str,
    column: str | None,
    choice: str,
    device: Any,
    progress: OnProgress,
    options: "MiningOptions | None" = None,
) -> "tuple[Corpus, DuplicateClassifier, Vectors]":
    """The corpus of a file, the model, and the vectors of the corpus."""
    from pipeline.duplicates.corpus import read_corpus

    corpus = read_corpus(source, column)
    classifier = ready_classifier(choice, device)
    if options and options.threshold is None:
        # Before anything is embedded.
        classifier.chosen.require_decision()
    return corpus, classifier, _vectors(corpus, classifier, progress)


def _vectors(corpus: "Corpus", classifier: "DuplicateClassifier", progress: OnProgress) -> "Vectors":
    from pipeline.settings import environment
    from pipeline.vectors.cache import VectorCache

    return VectorCache(environment.vectors_folder()).vectors(corpus.texts, classifier.encoder, progress)


def _indexed(
    choice: str, device: Any, progress: OnProgress
) -> "tuple[Corpus, DuplicateClassifier, Vectors, QuestionIndex]":
    """The corpus that was mined last, the model, the vectors of the corpus, and its index."""
    from pipeline.core.store import VersionStore
    from pipeline.duplicates.stored import QuestionIndex, QuestionSet, index_matches, read_question_set
    from pipeline.orchestration.steps import INDEX, QUESTIONS
    from pipeline.settings import environment

    store = VersionStore(environment.home())
    if not store.has(INDEX):
        raise NotFoundError(
            "no questions are indexed yet: name a file with --in, or launch the job `mine` first", asset=INDEX
        )
    index = store.read(INDEX, QuestionIndex, store.resolve(INDEX))
    questions = store.read(QUESTIONS, QuestionSet, store.resolve(QUESTIONS))
    classifier = ready_classifier(choice, device)
    matches = index_matches(index, questions.corpus_version, classifier.chosen.info.version)
    if not matches.passed:
        raise MismatchError(f"the question index can't be used: {matches.message}", index=index.data_version)
    corpus = read_question_set(store, QUESTIONS, questions)
    return corpus, classifier, _vectors(corpus, classifier, progress), index


_SHOWN_CLUSTERS = 3


def _summary(mined: "MinedCorpus", figures: "list[LabelledFigures]") -> Iterator[tuple[str, str]]:
    from pipeline.duplicates.tables import shown

    corpus, pairs, clusters = mined.corpus, mined.pairs, mined.clusters
    blank = f", {counted(corpus.blank, 'blank text')} left out" if corpus.blank else ""
    repeated = f", {corpus.repeated:,} of them repeated" if corpus.repeated else ""
    yield "Read", f"{counted(len(corpus) + corpus.repeated, 'question')} of {corpus.name}{repeated}{blank}"
    yield "Pairs", f"{len(pairs):,} with a cosine of {mined.threshold:.4f} or more"
    if prior := mined.prior:
        yield (
            "Prior",
            f"{prior.share:.1%} of the {len(mined.candidates):,} pairs from {mined.candidates.floor:.4f} on are taken "
            f"for duplicates: {prior.how}"
            + ("" if prior.how.startswith("as") else f" ({prior.on_dev:.1%} on the dev split)"),
        )
    if (expected := mined.expected_precision) is not None:
        yield "Expected", f"{expected:.1%} of the pairs are duplicates, by their probabilities"
    for found in figures[:1]:
        if found.precision is not None and found.recall is not None:
            yield (
                "Labelled",
                f"precision {found.precision:.1%} of {found.labelled:,} mined pairs, recall {found.recall:.1%} of "
                f"{found.duplicates:,} duplicates",
            )
    yield (
        "Clusters",
        f"{clusters.count:,}; {counted(mined.removable, 'row')} ({mined.removable_share:.1%}) could go, as another one "
        "asks the same",
    )
    for representative in clusters.largest_first[:_SHOWN_CLUSTERS].tolist():
        weakest, cosine = clusters.weakest_link(representative)
        yield "", f"{clusters.sizes[representative]:,} × {shown(corpus.texts[representative], 60)}"
        yield "", f"    weakest link {cosine:.4f}: {shown(corpus.texts[weakest], 60)}"


def _share(classifier: "DuplicateClassifier", prior: float | None) -> str:
    return f"{classifier.decision.calibration.positive_rate if prior is None else prior:.1%}"


def ready_classifier(choice: str, device: Any) -> "DuplicateClassifier":
    """The chosen model, ready to use; see `local_model`."""
    from pipeline.duplicates.classifier import DuplicateClassifier

    return DuplicateClassifier(local_model(choice), device)


def local_model(choice: str) -> "ChosenModel":
    """The chosen model, on this machine; it is downloaded from a compute backend.

    Raises:
        PipelineError: when there is no such model, or it can't be downloaded.
    """
    from pipeline.compute.choice import create_compute
    from pipeline.core.locations import remote_location
    from pipeline.core.store import VersionStore
    from pipeline.duplicates.chosen_model import find_model
    from pipeline.settings import environment

    chosen = find_model(choice, VersionStore(environment.home()))
    if chosen.training and remote_location(chosen.info.location):
        compute = create_compute(environment.compute_kind(), environment.runs_folder())
        chosen = chosen.at(compute.download(chosen.training))
    return chosen


def _say(name: str, text: str) -> None:
    _print(f"{name:<8} {text}")


def _print(line: str) -> None:
    say(Console(), line)
