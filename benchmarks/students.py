"""What recipes give at length on real pairs: trained on all rows, chosen on dev pairs, measured on eval pairs once.

    python benchmarks/students.py train best --pairs path/to/quora_pairs.parquet
    python benchmarks/students.py train single --pairs path/to/quora_pairs.parquet --set soup_size=1
    python benchmarks/students.py measure single best --pairs path/to/quora_pairs.parquet
    python benchmarks/students.py table single best

Each name is a training of the bundled model with the recipe of configs/best.yaml and the settings that are given, by
this project's engine, on the train split of a division (`--strategy`, `--seed`; a tenth for eval, a tenth of the rest
for dev). It is kept in `--folder`, so one that is interrupted goes on, and one that is finished is not trained again.

`table` compares each with the first: gains in average precision with paired intervals (`pipeline.evaluation.bootstrap`,
connected components of questions are drawn). FLOP are 6 × parameters outside the embeddings × tokens (Kaplan et al.
2020, arXiv:2001.08361, section 2.1).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq
import torch
from sklearn.metrics import average_precision_score

from pipeline.core.progress import CheckpointSaved, DevEvaluated, LogLines
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.measure import measure as measure_model
from pipeline.evaluation.options import EvaluationOptions
from pipeline.models.base_model import resolve_base_model
from pipeline.models.loading import load_model, quiet_libraries, resolve_device
from pipeline.models.options import BaseModelChoice
from pipeline.models.packing import tokenize
from pipeline.orchestration.steps import load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.scored import ScoredPairs
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.question_pairs.target_vectors import TargetVectors
from pipeline.settings.run_config import project_config
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.pairs import TrainingPairs
from pipeline.training.recipe import TrainingOrder
from pipeline.training.run_folder import RunFolder

FACTS = "facts.json"
"""Of a training, beside its run folder; `eval.npz` holds the cosines of the eval pairs."""


def divide(path: str, strategy: str, seed: int, limit: int | None) -> Splits:
    """The division that a training is of."""
    pairs = load_pairs(PairSource(source="file", path=path))
    plan = SplitPlan.model_validate(
        {"strategy": strategy, "eval_fraction": 0.1, "dev_fraction": 0.1, "seed": seed, "train_limit": limit}
    )
    return split_pairs(pairs, plan)


def instruction_set() -> str:
    """What of the processor matters for the speed."""
    return f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


@click.group()
def main() -> None:
    """Train, measure, compare."""
    quiet_libraries()


@main.command()
@click.argument("name")
@click.option("--pairs", required=True, help="File of real question pairs.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".students"), show_default=True)
@click.option("--strategy", default="question_disjoint", show_default=True)
@click.option("--seed", default=42, show_default=True, help="Of the division and of the training.")
@click.option("--limit", type=int, help="Train on so many pairs only.")
@click.option("--config", default="best", show_default=True, help="Name of a file in configs/.")
@click.option("--scored", type=click.Path(path_type=Path), help="The table of pairs that the job `silver` has left.")
@click.option("--vectors", type=click.Path(path_type=Path), help="Likewise its table of vectors.")
@click.option("--set", "settings", multiple=True, help="A knob of the recipe, such as epochs=3.")
def train(
    name: str,
    pairs: str,
    folder: Path,
    strategy: str,
    seed: int,
    limit: int | None,
    config: str,
    scored: Path | None,
    vectors: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Train, and note the figures of the training."""
    splits = divide(pairs, strategy, seed, limit)
    overrides = [f"fine_tuned_model.{setting}" for setting in (f"seed={seed}", "allow_slow=true", *settings)]
    recipe = load_settings(project_config(config), overrides).of("fine_tuned_model", TrainingOrder).recipe
    base = resolve_base_model(BaseModelChoice())
    table = ScoredPairs.from_arrow(pq.read_table(scored)) if scored else None
    targets = TargetVectors.from_arrow(pq.read_table(vectors)) if vectors else None
    job = TrainingJob(splits.train, splits.dev, base, recipe, table, targets)
    run_folder = RunFolder.claim(folder / name, RunIdentity(name, 1), job.fingerprint)
    said = LogLines(click.echo)
    model = fine_tune(job, run_folder, lambda e: said(e) if isinstance(e, DevEvaluated | CheckpointSaved) else None)
    loaded = load_model(base, resolve_device("auto"))
    index = TrainingPairs.of_job(job).index
    tokens = tokenize(loaded, index.texts).lengths
    outside = sum(p.numel() for n, p in loaded.named_parameters() if "word_embeddings" not in n)
    flop = 6 * outside * float((tokens[index.first] + tokens[index.second]).mean()) * model.pair_visits
    facts = {
        "name": name,
        "strategy": strategy,
        "seed": seed,
        "limit": limit,
        "settings": list(settings),
        "train_pairs": model.train_pairs,
        "pair_visits": model.pair_visits,
        "kept_step": model.kept_step,
        "steps": model.steps,
        "seconds": model.seconds,
        "flop": flop,
        "machine": instruction_set(),
        "dev": [evaluation.model_dump() for evaluation in model.dev_evaluations],
        "model": model.model_dump(mode="json")["model"],
    }
    (folder / name / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    best = max((e.average_precision for e in model.dev_evaluations), default=float("nan"))
    click.echo(f"{name}: dev AP {best:.4f} after step {model.kept_step} of {model.steps}, {model.seconds:,.0f} s")


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--pairs", required=True, help="File of real question pairs.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".students"), show_default=True)
def measure(names: tuple[str, ...], pairs: str, folder: Path) -> None:
    """Measure trainings on the eval split: the one look at it."""
    for name in names:
        facts = _facts(folder, name)
        splits = divide(pairs, facts["strategy"], facts["seed"], facts["limit"])
        run = next((folder / name).glob("sentence-transformers-ft-*"))
        path = next(run.glob("*-ft"))
        info = resolve_base_model(BaseModelChoice(model=os.fspath(path.absolute())))
        options = EvaluationOptions(precision="fp32")
        measured = measure_model(load_model(info, resolve_device("auto")), splits.eval, splits.dev, options)
        component = question_components(splits.eval.pairs)
        np.savez(
            folder / name / "eval.npz",
            cosine=measured.eval_scores["cosine"],
            labels=splits.eval.labels,
            component=component,
        )
        facts["eval_ap"] = float(average_precision_score(splits.eval.labels, measured.eval_scores["cosine"]))
        facts["dev_ap"] = float(average_precision_score(splits.dev.labels, measured.dev_scores["cosine"]))
        facts["mining_ap"] = measured.tasks.mining_ap if measured.tasks else None
        (folder / name / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        click.echo(f"{name}: eval AP {facts['eval_ap']:.4f}, mining AP {facts['mining_ap']}")


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".students"), show_default=True)
def table(names: tuple[str, ...], folder: Path) -> None:
    """Print the figures of trainings of one division, and their gains over the first."""
    found = {name: _facts(folder, name) for name in names}
    first = found[names[0]]
    columns = ("training", "division", "pair visits", "minutes", "PFLOP", "dev AP", "eval AP", "gain", "mining AP")
    click.echo(f"| {' | '.join(columns)} |")
    click.echo("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, facts in found.items():
        dev = max((each["average_precision"] for each in facts["dev"]), default=float("nan"))
        click.echo(
            f"| {name} | {facts['strategy']}, seed {facts['seed']} | {facts['pair_visits']:,} | "
            f"{facts['seconds'] / 60:.1f} | {facts['flop'] / 1e15:.2f} | {dev:.4f} | {_eval(folder, facts)} | "
            f"{_gain(folder, first, facts)} | {_four(facts.get('mining_ap'))} |"
        )


def _eval(folder: Path, facts: Mapping[str, Any]) -> str:
    if "eval_ap" not in facts:
        return ""
    arrays = np.load(folder / facts["name"] / "eval.npz")
    draws = Bootstrap.draw(arrays["component"])
    return str(interval(facts["eval_ap"], draws.average_precision(arrays["cosine"], arrays["labels"])))


def _gain(folder: Path, first: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    same = all(first[key] == facts[key] for key in ("strategy", "seed"))
    if not same or first["name"] == facts["name"] or "eval_ap" not in facts or "eval_ap" not in first:
        return ""
    one, other = (np.load(folder / each["name"] / "eval.npz") for each in (first, facts))
    draws = Bootstrap.draw(one["component"])
    gained = draws.average_precision(other["cosine"], one["labels"]) - draws.average_precision(
        one["cosine"], one["labels"]
    )
    return interval(facts["eval_ap"] - first["eval_ap"], gained).signed


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _facts(folder: Path, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / name / FACTS).read_text(encoding="utf-8"))
    return facts


if __name__ == "__main__":
    main()
