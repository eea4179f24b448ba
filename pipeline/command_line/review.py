"""`python -m pipeline review`: writes the pairs with doubtful labels to a file for people to fill in."""

from pathlib import Path

import click
from rich.console import Console

from pipeline.command_line.terminal import say
from pipeline.core.errors import NotFoundError, SettingError, counted


@click.command("review")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Write the pairs to this file: .csv, .parquet or .jsonl.",
)
@click.option("--mistakes", is_flag=True, help="Write the worst mistakes of the newest report instead.")
@click.option(
    "--top", type=click.IntRange(1, 1_000), default=1_000, show_default=True, help="Maximum pairs, the worst first."
)
def review_command(out: Path, mistakes: bool, top: int) -> None:
    """Write the pairs with doubtful labels for people to review, the most doubtful first.

    The job `mine` finds them. Fill in `is_duplicate` for each pair that you have reviewed, leave it empty for others,
    and name the file in `raw_quora_dataset.corrections`. `labelled` is the current label.

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
        raise SettingError(f"{out} exists and may contain reviews: name another file with --out", path=out)
    store = VersionStore(environment.home())
    if mistakes:
        asset = "post_train_eval_report"
        if not store.has(asset):
            raise NotFoundError("no model was evaluated yet: run `python -m pipeline materialize` first", asset=asset)
        report = store.read(asset, EvaluationReport, store.resolve(asset))
        pairs, what = worst_mistakes(report.mistakes), f"the worst mistakes of {report.model.name}"
    else:
        if not store.has(MINED):
            raise NotFoundError(
                "no labels were checked yet: launch the job `mine`, or write the worst mistakes of the newest report "
                "with --mistakes",
                asset=MINED,
            )
        mined = store.read(MINED, MinedDuplicates, store.resolve(MINED))
        pairs, what = read_table(store, MINED, mined, REVIEW_TABLE), "whose labels are likely wrong"
    pairs = pairs.slice(0, top)
    write_table(out, to_review(pairs))
    say(Console(), f"Review   {counted(len(pairs), 'pair')} in {out}: {what}")
    say(Console(), "Next     fill in is_duplicate for the pairs that you review, and name the file as `corrections`:")
    say(Console(), f"         --set raw_quora_dataset.corrections={out}")
