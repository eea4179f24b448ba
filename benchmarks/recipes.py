"""Average precision on real pairs: the reference recipe against configs/best.yaml, at equal wall time and equal visits.

    python benchmarks/recipes.py --pairs path/to/quora_pairs.parquet --output docs/images/recipes

For each split strategy and seed (which draws the split and seeds the training), three trainings of the bundled model:

- *reference*: the reference system's recipe by sentence-transformers' own trainer at its settings (batch 32, fp32), on
  the first `--visits` training pairs;
- *best, equal visits*: configs/best.yaml by this project's engine, on the same pairs;
- *best, equal time*: the same recipe on as many pairs as this engine trains in the reference's wall time; the number
  comes from the speed of the run before, and the time that it took is printed.

Each is evaluated on the whole eval split, in fp32. Training time leaves out loading and evaluation. With several
`--visits` the points make a learning curve: each is a training of that length with a schedule of its own, not a
snapshot of a longer one.
"""

import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
from sentence_transformers import SentenceTransformer
from trainers import stock_trainer

from pipeline.evaluation.pair_scores import evaluate_pairs
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model, quiet_libraries, resolve_device
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.steps import load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.settings.run_config import project_config
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

Strategy = Literal["reference", "question_disjoint"]
STRATEGIES: tuple[Strategy, ...] = ("reference", "question_disjoint")
AXES = {"visits": ("pair visits", 1), "seconds": ("minutes of training", 60)}


@dataclass(frozen=True)
class Outcome:
    """One training.

    Attributes:
        compared_at: pair visits of the reference that it is compared with.
        visits: pairs trained on.
        seconds: of training; None where the machine did other things too.
        ap: cosine average precision on the eval split.
    """

    recipe: str
    strategy: str
    seed: int
    compared_at: int
    visits: int
    seconds: float | None
    ap: float


def by_stock(base: ModelInfo, table: PairTable, recipe: Recipe, splits: Splits) -> tuple[float, float]:
    """Train by sentence-transformers' trainer; returns (average precision on the eval split, seconds)."""
    device = resolve_device("auto")
    model = load_model(base, device)
    with stock_trainer(model, table, recipe, "fp32", device) as trainer:
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    return average_precision(model, splits.eval), seconds


def average_precision(model: SentenceTransformer, table: PairTable) -> float:
    """By cosine, in fp32."""
    return evaluate_pairs(model, table)["cosine"].ap


def by_engine(base: ModelInfo, table: PairTable, recipe: Recipe, splits: Splits) -> tuple[float, float]:
    """Train by this project's engine, without a dev split; returns (average precision on the eval split, seconds)."""
    job = TrainingJob(table, table.take(np.arange(0)), base, recipe)
    with tempfile.TemporaryDirectory() as folder:
        result = fine_tune(job, RunFolder.claim(Path(folder), RunIdentity("benchmark", 1), job.fingerprint))
        return average_precision(load_model(result.model, resolve_device("auto")), splits.eval), result.seconds


def outcomes(
    pairs: PairTable,
    base: ModelInfo,
    reference: Recipe,
    best: Recipe,
    strategy: Strategy,
    seed: int,
    visits: int,
    equal_time: bool,
) -> Iterator[Outcome]:
    """The trainings of one strategy and seed."""
    splits = split_pairs(pairs, SplitPlan(strategy=strategy, eval_fraction=0.1, dev_fraction=0, seed=seed))
    same = splits.train.take(np.arange(visits))
    ap, seconds = by_stock(base, same, reference.model_copy(update={"seed": seed}), splits)
    yield Outcome("reference", strategy, seed, visits, visits, seconds if equal_time else None, ap)
    seeded = best.model_copy(update={"seed": seed})
    ap, fast = by_engine(base, same, seeded, splits)
    yield Outcome("best, equal visits", strategy, seed, visits, visits, fast if equal_time else None, ap)
    if not equal_time:
        return
    more = min(int(visits * seconds / fast), len(splits.train))
    ap, taken = by_engine(base, splits.train.take(np.arange(more)), seeded, splits)
    yield Outcome("best, equal time", strategy, seed, visits, more, taken, ap)


@click.command()
@click.option("--pairs", "path", required=True, help="File of real question pairs.")
@click.option("--visits", multiple=True, type=int, default=[4096], show_default=True, help="Pairs of the reference.")
@click.option("--seeds", multiple=True, type=int, default=[1, 2, 3], show_default=True)
@click.option(
    "--equal-time/--no-equal-time", default=True, help="Without it the machine may do other things, times say nothing."
)
@click.option("--output", type=click.Path(path_type=Path), help="Where outcomes (.jsonl) and a plot (.svg) are kept.")
@click.option("--only-plot", is_flag=True, help="Print and plot the outcomes that are there.")
def main(
    path: str,
    visits: tuple[int, ...],
    seeds: tuple[int, ...],
    equal_time: bool,
    output: Path | None,
    only_plot: bool,
) -> None:
    """Train, print the table, draw the curves."""
    quiet_libraries()
    # One training of one pass, its last model: the length of the training is what is varied.
    fixed = {"epochs": 1, "soup_size": 1, "load_best_model_at_end": False, "save_steps": 10**7, "allow_slow": True}
    reference, best = (
        load_settings(project_config(name)).of("fine_tuned_model", Recipe).model_copy(update=fixed)
        for name in ("reference", "best")
    )
    results: list[Outcome] = []
    record = output.with_suffix(".jsonl") if output else None
    if only_plot and record:
        results = [Outcome(**json.loads(line)) for line in record.read_text().splitlines()]
    else:
        pairs, base = load_pairs(PairSource(source="file", path=path)), resolve_base_model(BaseModelChoice())
        for seed, strategy, size in itertools.product(seeds, STRATEGIES, visits):
            for outcome in outcomes(pairs, base, reference, best, strategy, seed, size, equal_time):
                print(json.dumps(asdict(outcome)), flush=True)
                results.append(outcome)
                if record:
                    with record.open("a") as file:
                        file.write(json.dumps(asdict(outcome)) + "\n")
    print_table(results)
    if output:
        plot(results, output.with_suffix(".svg"))


def print_table(results: list[Outcome]) -> None:
    """Means over the seeds, and the gain over the reference seed by seed."""
    print("\n| split | training | pair visits | seconds | AP, mean ± standard deviation | gain over reference |")
    print("|---|---|---|---|---|---|")
    for strategy, size in itertools.product(STRATEGIES, sorted({result.compared_at for result in results})):
        rows = [result for result in results if (result.strategy, result.compared_at) == (strategy, size)]
        references = {result.seed: result.ap for result in rows if result.recipe == "reference"}
        for recipe in dict.fromkeys(result.recipe for result in rows):
            of_recipe = [result for result in rows if result.recipe == recipe]
            gains = [result.ap - references[result.seed] for result in of_recipe]
            seconds = [result.seconds for result in of_recipe if result.seconds is not None]
            print(
                f"| {strategy} | {recipe} | {statistics.mean(r.visits for r in of_recipe):,.0f} | "
                f"{f'{statistics.mean(seconds):,.0f}' if seconds else ''} | {spread([r.ap for r in of_recipe])} | "
                f"{'' if recipe == 'reference' else spread(gains, signed=True)} |"
            )


def spread(values: list[float], signed: bool = False) -> str:
    """Mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):{'+' if signed else ''}.4f} ± {deviation:.4f}"


def plot(results: list[Outcome], path: Path) -> None:
    """Average precision over pair visits and over minutes: every training, and the means over the seeds as a line."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), sharey="row", layout="constrained")
    for row, strategy in zip(axes, STRATEGIES, strict=True):
        for axis, (measure, (label, scale)) in zip(row, AXES.items(), strict=True):
            for name, marker, colour in (("reference", "o", "C0"), ("best", "s", "C1")):
                lengths = defaultdict(list)
                for result in results:
                    value = getattr(result, measure)
                    if result.strategy == strategy and result.recipe.startswith(name) and value is not None:
                        lengths[result.compared_at, result.recipe].append((value / scale, result.ap))
                for points in lengths.values():
                    axis.scatter(*zip(*points, strict=True), marker=marker, color=colour, alpha=0.6)
                means = [tuple(map(statistics.mean, zip(*points, strict=True))) for points in lengths.values()]
                axis.plot(*zip(*sorted(means), strict=True), color=colour, label=f"{name}: seeds, and their mean")
            axis.set_xlabel(label)
            axis.set_title(f"split: {strategy}")
            axis.grid(alpha=0.3)
        row[0].set_ylabel("average precision")
    axes[0][0].legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
