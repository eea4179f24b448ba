"""Evaluate, train, evaluate on Modal without Dagster: the body of `modal run -m pipeline.compute.modal.app`."""

import math
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from pipeline.compute.base import RemoteHooks, RemoteUsage, RunIdentity
from pipeline.compute.modal.client import ModalCompute, ModalFunction
from pipeline.core.errors import PipelineError
from pipeline.core.progress import ProgressEvent
from pipeline.core.references import in_volume
from pipeline.core.storage import default_runs_folder, local_folder
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.evaluation.report_builder import EvaluationData, build_report
from pipeline.evaluation.results_csv import reference_print
from pipeline.models.embedding_models import BaseModelChoice, resolve_base_model
from pipeline.question_pairs.sources import PairSource, load_pairs
from pipeline.question_pairs.splits import SplitPlan, split_pairs
from pipeline.training.recipe import Recipe


def run_once(
    function: Callable[[str], ModalFunction],
    pairs: str,
    fraction: float,
    base_model: str,
    recipe: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """See `modal_app.main`.

    Raises:
        PipelineError: for what the user can put right.
    """
    if not 0 < fraction <= 1:
        raise PipelineError(f"--fraction is {fraction}: it must be above 0 and at most 1")
    try:
        checked = Recipe.model_validate(recipe)
    except ValidationError as error:
        first = error.errors()[0]
        raise PipelineError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from error
    table = load_pairs(_source(pairs))
    splits = split_pairs(table.take(np.arange(math.ceil(fraction * len(table)))), SplitPlan())
    start_from = resolve_base_model(BaseModelChoice(model=base_model))
    data, options = EvaluationData(splits.eval, splits.dev, splits.train), EvaluationOptions()
    compute = ModalCompute(local_folder(default_runs_folder()), function, for_people=True)
    run = RunIdentity(owner=uuid.uuid4().hex, unix_time=int(time.time()))
    hooks = RemoteHooks(on_usage=lambda usage: say(_cost(usage)))

    def progress(event: ProgressEvent) -> None:
        """Containers' logs are shown by `modal run` itself."""

    measured = compute.evaluate(start_from, splits.eval, splits.dev, options, progress, hooks)
    baseline = build_report("pre_train", start_from, measured, data)
    say(f"pre train eval {reference_print(baseline.oracle)}")
    result = compute.fine_tune(splits.train, splits.dev, start_from, checked, run, progress, hooks)
    measured = compute.evaluate(result.model, splits.eval, splits.dev, options, progress, hooks)
    post = build_report("post_train", result.model, measured, data, baseline, result)
    compute.publish(result, baseline, post)
    say(f"post train eval {reference_print(post.oracle)}")
    found = in_volume(result.model.location)
    if found:
        say(f"Volume {found[0]}; bring the model down: mkdir -p dump && modal volume get {found[0]} {found[1]} dump")


def _source(pairs: str) -> PairSource:
    if pairs == "bundled_sample":
        return PairSource()
    return PairSource(source="hub") if pairs == "hub" else PairSource(source="file", path=pairs)


def _cost(usage: RemoteUsage) -> str:
    cost = "at an unknown price"
    if usage.cost:
        cost = f"about {usage.cost} (prices of {usage.cost.prices_as_of})"
    return f"{usage.gpu_seconds:.0f} GPU seconds on {usage.gpu}, {cost}"
