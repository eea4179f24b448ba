"""Average precision with bf16 and packing against fp32 and padding: the difference, and the spread of seeds.

    python benchmarks/precision.py --pairs path/to/quora_pairs.parquet

Trains the bundled model with configs/best.yaml on the same pairs in the same batches, seed by seed, and evaluates each
in fp32 on the same eval pairs (`question_disjoint`). best.yaml has no dropout, so packed and padded batches differ by
rounding only.
"""

import statistics

import click
import numpy as np
from trainers import engine_trainer

from pipeline.evaluation.pair_scores import evaluate_pairs
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model, quiet_libraries, resolve_device
from pipeline.models.options import BaseModelChoice
from pipeline.models.precision import Precision, resolve_precision
from pipeline.orchestration.steps import load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.settings.run_config import project_config
from pipeline.training.recipe import Recipe


def trained(
    base: ModelInfo, train: PairTable, held_out: PairTable, recipe: Recipe, precision: Precision, is_packed: bool
) -> float:
    """Cosine average precision on `held_out` after one pass over `train`."""
    device = resolve_device("auto")
    model = load_model(base, device)
    with engine_trainer(model, train, recipe, precision, device, is_packed) as trainer:
        trainer.train()
    return evaluate_pairs(model, held_out)["cosine"].ap


@click.command()
@click.option("--pairs", "path", required=True, help="File of real question pairs.")
@click.option("--visits", default=1024, show_default=True, help="Training pairs.")
@click.option("--held-out", default=2000, show_default=True, help="Eval pairs.")
@click.option("--seeds", multiple=True, type=int, default=[1, 2, 3], show_default=True)
def main(path: str, visits: int, held_out: int, seeds: tuple[int, ...]) -> None:
    """Train all variants and print the table."""
    quiet_libraries()
    splits = split_pairs(load_pairs(PairSource(source="file", path=path)), SplitPlan(dev_fraction=0))
    train, rest = splits.train.take(np.arange(visits)), splits.eval.take(np.arange(held_out))
    base, native = resolve_base_model(BaseModelChoice()), resolve_precision("auto", resolve_device("auto"))
    best = load_settings(project_config("best")).of("fine_tuned_model", Recipe)
    recipes = [best.model_copy(update={"seed": seed, "save_steps": 10**7}) for seed in seeds]
    variants: tuple[tuple[Precision, bool], ...] = (("fp32", False), ("fp32", True), (native, True))
    print(f"{visits:,} pair visits, {len(rest):,} eval pairs\n\n| precision | layout | AP by seed | mean | spread |")
    print("|---|---|---|---|---|")
    for precision, is_packed in variants:
        scores = [trained(base, train, rest, recipe, precision, is_packed) for recipe in recipes]
        layout, by_seed = "packed" if is_packed else "padded", ", ".join(f"{score:.4f}" for score in scores)
        print(
            f"| {precision} | {layout} | {by_seed} | {statistics.mean(scores):.4f} | {statistics.stdev(scores):.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
