"""`python -m pipeline prune`: lists old trainings and values that may be deleted, and deletes them on request."""

import click
from rich.console import Console

from pipeline.command_line.terminal import say
from pipeline.core.errors import counted
from pipeline.core.store import VersionStore
from pipeline.orchestration.retention import computes_of, items
from pipeline.quality.options import RetentionRules
from pipeline.settings import environment

_KEEP, _TOP = (RetentionRules.model_fields[name].description for name in ("keep", "top"))


@click.command("prune")
@click.option("--keep", type=click.IntRange(0, 10_000), default=RetentionRules().keep, show_default=True, help=_KEEP)
@click.option("--top", type=click.IntRange(0, 10_000), default=RetentionRules().top, show_default=True, help=_TOP)
@click.option("--delete", is_flag=True, help="Delete them. Without this nothing is deleted.")
def prune_command(keep: int, top: int, delete: bool) -> None:
    """List old trainings, checkpoints and values that may be deleted, with the reasons; with --delete, delete them.

    Kept are: what is or was in production, the first models of the leaderboard, what is current and what it was made
    from, and the newest. Checkpoints of finished trainings may be deleted even where the training is kept.
    """
    console = Console()
    rules = RetentionRules(keep=keep, top=top)
    found = list(
        items(VersionStore(environment.home()), computes_of(environment.compute_kind()), environment.runs_folder, rules)
    )
    for item in found:
        say(console, f"{'stays  ' if item.stays else 'deletes'}  {item}")
    doomed = [item for item in found if item.delete]
    size = sum(item.size or 0 for item in doomed) / 1e6
    if delete:
        for item in doomed:
            assert item.delete is not None
            item.delete()
        say(console, f"deleted {counted(len(doomed), 'item')}: {size:,.1f} MB")
    elif doomed:
        say(console, f"nothing was deleted: --delete deletes {counted(len(doomed), 'item')}, {size:,.1f} MB")
    else:
        say(console, f"nothing may be deleted: all {len(found):,} are kept")
