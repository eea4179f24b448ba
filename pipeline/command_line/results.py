"""Prints the results of a training: the comparison of two reports, and where the files are."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.command_line.terminal import say, say_sentence
from pipeline.core.locations import remote_location
from pipeline.evaluation.report import THRESHOLDS, EvaluationReport
from pipeline.evaluation.results_csv import PAGE_FILE_NAME
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.production_record import InProduction, ProductionModel
from pipeline.reporting.verdict import HEADLINES, verdict


def print_results(
    console: Console, baseline: EvaluationReport, post_train: EvaluationReport, model: FineTunedModel
) -> None:
    """Print what was gained, and where the files are."""
    print_comparison(console, baseline, post_train)
    print_places(console, model)


def print_places(console: Console, model: FineTunedModel) -> None:
    """Print where the files are: the folder once, as whole paths are wider than a terminal."""
    say(console, f"Folder   {_from_here(model.run_folder)}")
    for name, place in (
        ("Model", model.model.name),
        ("Results", "binary_classification_evaluation_{pre,post}_train_results.csv"),
        ("Report", PAGE_FILE_NAME),
    ):
        say(console, f"  {name:<8} {place}")


def _from_here(place: str) -> str:
    """A location, relative to the working folder where it is in it."""
    if remote_location(place) is None and (path := Path(place)).is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return place


def print_production(console: Console, current: InProduction, made: FineTunedModel | None = None) -> None:
    """Print which model is in production: the one that was just made, or where another one is."""
    place = "no model was accepted yet"
    if isinstance(current, ProductionModel):
        location = current.model.model.location
        place = "this model" if made and location == made.model.location else _from_here(location)
    elif current is not None:
        place = current.message
    say(console, f"In use   {place}")
    if isinstance(current, ProductionModel):
        said = "python -m pipeline compare A B, search QUESTION --in FILE, mine FILE: docs/use-the-model.md"
        say(console, f"Use it   {said}")


def print_comparison(console: Console, baseline: EvaluationReport, post: EvaluationReport) -> None:
    """Print what was gained in a sentence, and a table of both reports with the differences and their intervals."""
    say(console, f"{post.origin.source}: {post.pairs:,} eval pairs, {post.positive_rate:.1%} duplicates")
    if said := verdict(post):
        say_sentence(console, said)
    table = Table()
    table.add_column("cosine")
    for column in ("baseline", "post-train", "difference (95 % interval)"):
        table.add_column(column, justify="right")
    for label, metric in (("average precision", "ap"), ("accuracy", "accuracy"), ("F1", "f1")):
        before, after = getattr(baseline.cosine, metric), getattr(post.cosine, metric)
        table.add_row(label, f"{before:.4f}", f"{after:.4f}", post.gains[metric].signed)
    if post.tasks and (tasks := post.baseline_tasks):
        for name, (_, label) in HEADLINES.items():
            before, after, gain = getattr(tasks, name), getattr(post.tasks, name), post.task_gains.get(name)
            said = gain.signed if gain else f"{after - before:+.4f} (no interval)"
            table.add_row(label, f"{before:.4f}", f"{after:.4f}", said)
    for label, metric in (("threshold (accuracy)", "accuracy_threshold"), ("threshold (F1)", "f1_threshold")):
        table.add_row(label, f"{getattr(baseline.cosine, metric):.4f}", f"{getattr(post.cosine, metric):.4f}", "")
    console.print(table)
    say_sentence(console, THRESHOLDS[post.threshold_kind])
