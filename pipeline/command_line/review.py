"""`python -m pipeline review`: writes the pairs whose labels are worth a look, as a file for people to fill in."""

from pathlib import Path

import click
from rich.console import Console

from pipeline.command_line.terminal import say
from pipeline.core.errors import PipelineError, counted


@click.command("review")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Write the pairs to this file: .csv, .parquet or .jsonl.",
)
@click.option("--mistakes", is_flag=True, help="The worst mistakes of the newest report instead.")
@click.option(
    "--top", type=click.IntRange(1, 1_000), default=1_000, show_default=True, help="At most so many, the worst first."
)
def review_command(out: Path, mistakes: bool, top: int) -> None:
    """Write the pairs whose labels are worth a look, for people to review: those that are likely wrong come first.

    The job `mine` finds them. Fill in `is_duplicate` where you have looked at a pair, and leave it empty elsewhere:
    that is the file which `raw_quora_dataset.corrections` reads. `labelled` is the label that the pair has now.

    \b
    python -m pipeline review --out reviewed.csv
    python -m pipeline pairs --set raw_quora_dataset.corrections=reviewed.csv
    """
    from pipeline.core.store import VersionStore
    from pipeline.duplicates.review import to_review, worst_mistakes
    from pipeline.duplicates.stored import REVIEW_TABLE, MinedDuplicates, read_table
    from pipeline.duplicates.tables import require_suffix, write_table
    from pipeline.evaluation.report import EvaluationReport
    from pipeline.orchestration.steps import MINED
    from pipeline.settings import environment

    require_suffix(out)
    if out.exists():
        raise PipelineError(f"{out} is there already, and may hold reviews: name another file")
    store = VersionStore(environment.home())
    if mistakes:
        asset = "post_train_eval_report"
        if not store.has(asset):
            raise PipelineError("no model was measured yet: run `python -m pipeline materialize` first")
        report = store.read(asset, EvaluationReport, store.resolve(asset))
        pairs, what = worst_mistakes(report.mistakes), f"the worst mistakes of {report.model.name}"
    else:
        if not store.has(MINED):
            raise PipelineError(
                "no labels were looked at yet: launch the job `mine`, or take the worst mistakes of the newest report "
                "with --mistakes"
            )
        mined = store.read(MINED, MinedDuplicates, store.resolve(MINED))
        pairs, what = read_table(store, MINED, mined, REVIEW_TABLE), "whose labels are likely wrong"
    pairs = pairs.slice(0, top)
    write_table(out, to_review(pairs))
    say(Console(), f"Review   {counted(len(pairs), 'pair')} in {out}: {what}")
    say(Console(), "Next     fill in is_duplicate where you have looked, and name the file as its `corrections`:")
    say(Console(), f"         --set raw_quora_dataset.corrections={out}")
