"""Says what old trainings and values may go, and deletes them when it is told so: what `prune` does."""

from rich.console import Console

from pipeline.command_line.terminal import say
from pipeline.core.errors import counted
from pipeline.core.store import VersionStore
from pipeline.orchestration.retention import items, place_of
from pipeline.quality.options import RetentionRules
from pipeline.settings import environment


def run(rules: RetentionRules, delete: bool) -> None:
    """Print what stays and what may go, each with its reason; delete the latter if told so.

    Raises:
        PipelineError: when a record that says what stays can't be read, or a place can't be asked.
    """
    console = Console()
    found = list(
        items(VersionStore(environment.home()), place_of(environment.compute_kind()), environment.runs_folder, rules)
    )
    for item in found:
        say(console, f"{'stays  ' if item.stays else 'deletes'}  {item}")
    doomed = [item for item in found if item.delete]
    freed = 0
    for item in doomed if delete else ():
        assert item.delete is not None
        item.delete()
        freed += item.size or 0
    if delete:
        say(console, f"deleted {counted(len(doomed), 'item')}: {freed / 1e6:,.1f} MB")
    elif doomed:
        bytes_ = sum(item.size or 0 for item in doomed)
        say(console, f"nothing was deleted: --delete deletes {counted(len(doomed), 'item')}, {bytes_ / 1e6:,.1f} MB")
    else:
        say(console, f"nothing may go: all {len(found):,} stay")
