"""Simulates six months in which pairs are added: which model is in production after each, and how good it is.

    python benchmarks/growing_pairs.py --pairs path/to/quora_pairs.parquet --output docs/images/growing-pairs

Each month some real pairs are added to a file, and the assets are materialized on it as the job `retrain` does
(configs/best.yaml with one training, and the bundled model). In one month the labels of the new pairs are shuffled,
which is corrected a month later. Each month's model is compared with the one in production before it is promoted. (A
promotion by the gain over the month's own baseline alone would promote every model that has a gain.)

The command fails if a training pair was an eval pair in an earlier month.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from pipeline.core.store import VersionStore
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.production_record import ProductionModel, current_production
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs
from pipeline.settings.run_config import project_config

PROJECT = Path(__file__).resolve().parents[1]
METADATA = """
import json, sys
import dagster as dg

with dg.DagsterInstance.get() as instance:
    key = dg.AssetKey("production_model")
    found = {}
    run = instance.get_runs(limit=1)[0].run_id
    for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION):
        for record in instance.get_records_for_run(run, of_type=kind).records:
            entry = record.event_log_entry
            event = entry.asset_materialization or entry.asset_observation
            if event.asset_key == key:
                found |= {name: value.value for name, value in event.metadata.items()}
print(json.dumps(found, default=str))
"""


@dataclass(frozen=True)
class Month:
    """The result of a month.

    Attributes:
        number: from 1.
        pairs, train, evaluation: number of pairs so far, and of those in the training and the eval split.
        shuffled: the labels of this month's pairs were shuffled.
        decision: what the promotion decided about this month's model.
        reason: the reason of the decision.
        candidate, current: cosine average precision of this month's model and of the one in production before, on the
            eval pairs that neither was trained on; None if they were not compared.
        difference: candidate minus current, with its interval, as text.
        in_production: the month whose model is in production in the end.
        gain: over the month's baseline.
    """

    number: int
    pairs: int
    train: int
    evaluation: int
    shuffled: bool
    decision: str
    reason: str
    candidate: float | None
    current: float | None
    difference: str | None
    in_production: int | None
    gain: float


def materialised(config: str, environment: Mapping[str, str], path: Path) -> dict[str, str]:
    """Materialize everything on a file of pairs, and return the metadata of the promotion."""
    settings = (
        f"raw_quora_dataset.path={path}",
        "base_model.model=bundled",
        # The default would give a few hundred eval pairs, which is too few.
        "splits.eval_fraction=0.2",
        "fine_tuned_model.soup_size=1",
        "fine_tuned_model.allow_slow=true",
    )
    command = [sys.executable, "-m", "pipeline", "materialize", "--config", config]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, cwd=PROJECT, env=dict(environment), check=True)
    done = subprocess.run(
        [sys.executable, "-c", METADATA], cwd=PROJECT, env=dict(environment), check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def keys(table: PairTable) -> set[tuple[str, str]]:
    """Return the pairs of a table, each with its questions in alphabetical order."""
    questions = (table.pairs[name].map(question_key) for name in ("question1", "question2"))
    return {(min(one, other), max(one, other)) for one, other in zip(*questions, strict=True)}


@click.command()
@click.option("--pairs", "path", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--months", default=6, show_default=True)
@click.option("--pairs-a-month", default=5_000, show_default=True)
@click.option("--shuffled", default=4, show_default=True, help="The month whose new pairs have shuffled labels.")
@click.option("--output", type=click.Path(path_type=Path), help="The file of the picture, without its extension.")
def main(path: Path, months: int, pairs_a_month: int, shuffled: int, output: Path | None) -> None:
    """Simulate the months, and print and draw the results."""
    table = load_pairs(PairSource(source="file", path=str(path))).pairs
    table = table.sample(months * pairs_a_month, random_state=0).reset_index(drop=True)
    config, found = str(project_config("best")), []
    once_held_out: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory(prefix="growing-pairs-") as folder:
        home = Path(folder) / "home"
        (Path(folder) / "dagster").mkdir()
        environment = {**os.environ, "PIPELINE_HOME": str(home), "DAGSTER_HOME": str(Path(folder) / "dagster")}
        months_of_models: dict[str, int] = {}
        for number in range(1, months + 1):
            so_far = table.head(number * pairs_a_month).copy()
            if number == shuffled:
                part = so_far.index[-pairs_a_month:]
                labels = so_far.loc[part, "is_duplicate"].to_numpy()
                so_far.loc[part, "is_duplicate"] = np.random.default_rng(0).permutation(labels)
            file = Path(folder) / "pairs.parquet"
            so_far.to_parquet(file)
            metadata = materialised(config, environment, file)
            store = VersionStore(str(home))
            sides = {side: load_value(store, f"{side}_split") for side in ("train", "dev", "eval")}
            leaked = once_held_out & keys(sides["train"])
            if leaked:
                raise click.ClickException(f"month {number} trains on {len(leaked):,} former eval pairs")
            once_held_out |= keys(sides["eval"])
            months_of_models[load_value(store, "fine_tuned_model").data_version] = number
            current = current_production(store, PRODUCTION)
            in_use = months_of_models[current.model.data_version] if isinstance(current, ProductionModel) else None
            report = load_value(store, "post_train_eval_report")
            found.append(
                Month(
                    number,
                    len(so_far),
                    len(sides["train"]),
                    len(sides["eval"]),
                    number == shuffled,
                    metadata["decision"],
                    metadata.get("reason", ""),
                    _number(metadata, "compared_cosine_ap"),
                    _number(metadata, "compared_cosine_ap_of_current"),
                    metadata.get("compared_interval"),
                    in_use,
                    report.ap_gain.estimate,
                )
            )
            print(json.dumps(asdict(found[-1])), flush=True)
    print(pd.DataFrame([asdict(month) for month in found]).drop(columns="reason").to_string(index=False))
    print(f"{len(once_held_out):,} pairs were eval pairs in some month, and none was a training pair later")
    if output:
        draw(found, output)


def _number(metadata: Mapping[str, str], name: str) -> float | None:
    return float(metadata[name]) if name in metadata else None


def draw(found: list[Month], output: Path) -> None:
    """Draw the average precision of both models of each month, and which one is in production at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    compared = [(month, month.candidate, month.current) for month in found if month.candidate and month.current]
    numbers = [month.number for month, _, _ in compared]
    axes.plot(numbers, [new for _, new, _ in compared], "o", color="C0", markersize=8, label="this month's model")
    axes.plot(numbers, [old for *_, old in compared], "s", color="C1", markersize=8, label="in production before")
    for month, new, old in compared:
        word = f"{month.decision}\n{month.difference}".replace(" (", "\n(")
        at = (month.number, max(new, old))
        axes.annotate(word, at, (0, 10), textcoords="offset points", ha="center", fontsize=7.5)
    for month in set(found) - {month for month, *_ in compared}:
        # There was no model in production before.
        word = f"{month.decision}\n{month.gain:+.4f} over\nits baseline"
        axes.text(month.number, 0.5, word, transform=axes.get_xaxis_transform(), ha="center", fontsize=7.5)
    for month in found:
        if month.shuffled:
            axes.axvspan(month.number - 0.4, month.number + 0.4, color="0.9", zorder=0)
            axes.text(
                month.number, 0.02, "labels shuffled", transform=axes.get_xaxis_transform(), ha="center", fontsize=8
            )
    ticks = [
        f"{month.number}\n{month.pairs:,} pairs\nin production:\nmonth {month.in_production or '–'}" for month in found
    ]
    axes.set_xticks([month.number for month in found], ticks, fontsize=8)
    axes.set_xlim(0.4, len(found) + 0.6)
    axes.margins(y=0.3)
    axes.set_ylabel("average precision on eval pairs\nthat neither was trained on")
    axes.legend(loc="lower right", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
