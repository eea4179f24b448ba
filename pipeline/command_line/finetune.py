"""Evaluates, trains and evaluates without Dagster, on any compute backend, for `finetune` and `modal run`."""

import time
import uuid
from collections.abc import Callable
from functools import partial

from rich.console import Console

from pipeline.command_line.results import print_results
from pipeline.command_line.terminal import say as print_line
from pipeline.compute.base import Compute, Usage
from pipeline.compute.driver import Caller
from pipeline.core.errors import SettingError
from pipeline.core.progress import OnProgress, ignore
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results_csv import reference_print
from pipeline.models.loading import resolve_device
from pipeline.orchestration.steps import plan_of
from pipeline.settings import environment
from pipeline.settings.run_config import RunSettings
from pipeline.training import distributed
from pipeline.training.job import RunIdentity
from pipeline.workflow import Results, evaluate_train_evaluate


def run(settings: RunSettings, compute: Compute, on_progress: OnProgress = ignore) -> Results:
    """Run everything; print the baseline's figures as soon as they are known, and both results at the end.

    Raises:
        PipelineError: when a setting, the data or the compute backend doesn't allow it.
    """
    if distributed.processes() > 1 and compute.kind != "local":
        raise SettingError(
            f"{distributed.processes()} processes can't share the compute backend {compute.kind!r}: start one, or "
            "unset PIPELINE_COMPUTE",
            processes=distributed.processes(),
            compute=compute.kind,
        )
    console = Console(quiet=not distributed.is_main())
    say = partial(print_line, console)

    def print_reference(stage: str, report: EvaluationReport) -> None:
        say("As the reference system prints it, at oracle thresholds, which are chosen on these very pairs:")
        say(f"{stage} train eval {reference_print(report.oracle)}")

    plan = plan_of(settings)
    if distributed.processes() > 1:
        distributed.join(resolve_device(plan.training.device))
    identity = RunIdentity(owner=uuid.uuid4().hex, unix_time=int(time.time()))
    results = evaluate_train_evaluate(
        plan,
        compute,
        identity,
        on_progress,
        _PrintsCost(say),
        lambda report: print_reference("pre", report),
        VersionStore(environment.home()),
    )
    print_reference("post", results.post_train)
    print_results(console, results.baseline, results.post_train, results.model)
    return results


class _PrintsCost(Caller):
    """Keeps no records, so an interrupt cancels the work. Prints the cost of remote work."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def took(self, usage: Usage) -> None:
        cost = f"about {usage.cost} (prices of {usage.cost.prices_as_of})" if usage.cost else "at an unknown price"
        self._say(f"{usage.gpu_seconds:.0f} GPU seconds on {usage.gpu}, {cost}")
