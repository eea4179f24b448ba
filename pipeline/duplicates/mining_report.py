"""The report on mined duplicates: what was found, and its precision and recall on labelled pairs."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.core.foreign_text import for_markdown, shortened
from pipeline.core.tables import Table, markdown_lines
from pipeline.duplicates.labelled import LabelledFigures
from pipeline.duplicates.mining import MinedCorpus
from pipeline.vectors.pairs import Engine

_CLUSTERS = 20
_BORDERLINE = 20
_WIDTH = 120


def mining_report(mined: MinedCorpus, model: str, engine: Engine, figures: Sequence[LabelledFigures] = ()) -> str:
    """The report in GitHub's Markdown."""
    return "\n".join(_lines(mined, model, engine, figures)).rstrip() + "\n"


def _lines(mined: MinedCorpus, model: str, engine: Engine, figures: Sequence[LabelledFigures]) -> Iterator[str]:
    corpus = mined.corpus
    yield from (f"# Duplicates in {for_markdown(corpus.name)}", "", f"By {for_markdown(model)}.", "")
    yield from (*markdown_lines(_found(mined, engine)), "")
    if figures:
        yield from ("## Among labelled pairs", "", *_labelled(mined, figures), "")
    yield from ("## The largest clusters", "", *markdown_lines(_clusters(mined)), "")
    yield from (
        "## The least similar pairs that count",
        "",
        "Read these first: mistakes are likeliest here.",
        "",
        *markdown_lines(_borderline(mined)),
    )


def _found(mined: MinedCorpus, engine: Engine) -> Table:
    corpus, prior = mined.corpus, mined.prior
    rows = [
        ("distinct questions", f"{len(corpus):,}"),
        ("texts that repeat one", f"{corpus.repeated:,}"),
        ("blank texts, left out", f"{corpus.blank:,}"),
        ("floor: pairs below it were not looked for", f"{mined.candidates.floor:.4f}"),
        ("pairs at or above the floor", f"{len(mined.candidates):,}"),
        ("threshold", f"{mined.threshold:.4f}"),
        ("pairs that count as duplicates", f"{len(mined.pairs):,}"),
        ("questions that stand in such a pair", f"{mined.pairs.duplicate_ratio:.2%}"),
        ("clusters", f"{mined.clusters.count:,}"),
        ("texts that another one stands for", f"{mined.removable:,} ({mined.removable_share:.2%})"),
        ("engine", engine.name + (f": {engine.remark}" if engine.remark else "")),
    ]
    if prior:
        rows.append((f"share of duplicates from the floor on, {prior.how}", f"{prior.share:.2%}"))
        rows.append(("the same on the dev split", f"{prior.on_dev:.2%}"))
    if (expected := mined.expected_precision) is not None:
        rows.append(("precision, by the probabilities", f"{expected:.2%}"))
    return Table("What was found", ("", "value"), tuple(rows))


def _labelled(mined: MinedCorpus, figures: Sequence[LabelledFigures]) -> Iterator[str]:
    yield (
        f"Of the labelled pairs, those count that have both questions in the corpus. {figures[0].duplicates:,} of them "
        f"are duplicates; those below {mined.candidates.floor:.4f} count as missed. *Expected* is the mean probability "
        "of the labelled pairs that were mined: with the right prior it is their precision."
    )
    yield ""
    rows = tuple(
        (
            found.name,
            f"{found.threshold:.4f}",
            f"{found.mined:,}",
            f"{found.labelled:,}",
            _share(found.precision),
            _share(found.recall),
            _share(found.expected),
        )
        for found in figures
    )
    header = ("threshold", "cosine", "pairs mined", "labelled", "precision", "recall", "expected")
    yield from markdown_lines(Table("Labelled pairs", header, rows))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _clusters(mined: MinedCorpus) -> Table:
    clusters, texts = mined.clusters, mined.corpus.texts
    rows = []
    for representative in clusters.largest_first[:_CLUSTERS].tolist():
        weakest, cosine = clusters.weakest_link(representative)
        rows.append(
            (
                _cut(texts[representative]),
                _cut(texts[weakest]),
                f"{clusters.sizes[representative]:,}",
                f"{cosine:.4f}",
                _probability(mined, cosine),
            )
        )
    header = ("representative", "weakest link", "questions", "cosine", "probability")
    return Table("Clusters", header, tuple(rows), texts=2)


def _borderline(mined: MinedCorpus) -> Table:
    pairs, texts = mined.pairs.least_similar(_BORDERLINE), mined.corpus.texts
    rows = tuple(
        (_cut(texts[first]), _cut(texts[second]), f"{cosine:.4f}", _probability(mined, float(cosine)))
        for first, second, cosine in zip(pairs.first, pairs.second, pairs.cosine, strict=True)
    )
    return Table("Pairs", ("question", "question", "cosine", "probability"), rows, texts=2)


def _probability(mined: MinedCorpus, cosine: float) -> str:
    probability = mined.probability(np.array([cosine]))
    return "–" if probability is None else f"{probability[0]:.1%}"


def _cut(text: str) -> str:
    return shortened(text, _WIDTH)
