"""Compares the time of a whole report with that of sentence-transformers' `BinaryClassificationEvaluator`.

    python benchmarks/evaluation.py --pairs path/to/quora_pairs.parquet [--eval-pairs 40429] [--model bundled]

Both use the same model, eval pairs and machine, and the model is loaded and warm. The evaluator runs with its defaults
(batch size 32, fp32, cosine only) and embeds each distinct question once, as this project does. The report is what the
asset makes: it embeds the questions of the eval *and* dev split, and has four similarities, mining and retrieval,
thresholds, calibration, slices, the baseline without text, intervals of 1,000 resamples, Markdown, the page and its
pictures. The time of each part is printed too.
"""

import time
from pathlib import Path

import click
import torch
from sentence_transformers.sentence_transformer.evaluation import BinaryClassificationEvaluator

from pipeline.evaluation.measure import measure
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.evaluation.report_builder import build_report
from pipeline.models.base_model import resolve_base_model
from pipeline.models.loading import load_model, quiet_libraries, resolve_device
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.reporting.plots import pictures
from pipeline.reporting.rendering import markdown
from pipeline.reporting.result_files import report_files

DEV_SHARE = 0.05
"""Share of all pairs in the dev split, which only the report embeds. Users have one of about this size."""


def divided(pairs: PairTable, eval_pairs: int) -> Splits:
    """Shuffle the pairs, and divide them into eval, dev and training pairs."""
    rows = pairs.pairs.sample(frac=1, random_state=0).reset_index(drop=True)
    if eval_pairs >= (1 - DEV_SHARE) * len(rows):
        raise click.BadParameter(f"{eval_pairs:,} eval pairs of {len(rows):,} pairs leave none for training")
    cuts = (0, eval_pairs, eval_pairs + int(DEV_SHARE * len(rows)), len(rows))
    evaluated, dev, train = (
        PairTable(rows.iloc[cuts[i] : cuts[i + 1]].reset_index(drop=True), pairs.origin) for i in range(3)
    )
    return Splits(train=train, dev=dev, eval=evaluated)


@click.command(help=__doc__)
@click.option("--pairs", "path", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--eval-pairs",
    default=40_429,
    show_default=True,
    help="Number of eval pairs; the default is that of the reference system.",
)
@click.option("--model", "name", default="bundled", show_default=True)
def main(path: Path, eval_pairs: int, name: str) -> None:
    """Time the evaluator, then the report."""
    quiet_libraries()
    data = divided(load_pairs(PairSource(source="file", path=str(path))), eval_pairs)
    reference = resolve_base_model(BaseModelChoice(model=name))
    device = resolve_device("auto")
    model = load_model(reference, device)
    questions = DistinctQuestions.of(data.eval).texts
    print(f"{reference.name}, {eval_pairs:,} eval pairs with {len(questions):,} questions, {device}", end="")
    print(f", {torch.get_num_threads()} threads" if device == "cpu" else "")
    model.encode(questions[:256], show_progress_bar=False)

    table = data.eval
    start = time.perf_counter()
    evaluator = BinaryClassificationEvaluator(
        list(table.pairs["question1"]), list(table.pairs["question2"]), table.labels.tolist(), write_csv=False
    )
    theirs = evaluator(model)["cosine_ap"]
    peer = time.perf_counter() - start
    print(f"BinaryClassificationEvaluator: {peer:.1f} s, {len(questions) / peer:,.0f} questions/s, AP {theirs:.6f}")

    for precision in ("auto", "fp32"):
        options = EvaluationOptions.model_validate({"precision": precision})
        start = time.perf_counter()
        measured = measure(model, data.eval, data.dev, options)
        embedded = time.perf_counter()
        report = build_report("pre_train", reference, measured, data)
        built = time.perf_counter()
        markdown(report, pictures(report))
        size = sum(len(content) for _, content in report_files(report))
        end = time.perf_counter()
        print(
            f"report, {measured.precision}: {end - start:.1f} s = {embedded - start:.1f} s to embed and score "
            f"{measured.questions:,} questions ({measured.questions / (embedded - start):,.0f}/s, tasks included) + "
            f"{built - embedded:.1f} s for the report + {end - built:.1f} s to draw and write {size / 1e6:.1f} MB; "
            f"AP {report.cosine.ap:.6f}"
        )
        print(f"  {peer / (end - start):.2f} × the evaluator's speed")


if __name__ == "__main__":
    main()
