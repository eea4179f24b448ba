"""Pairs per second of this project's training against `SentenceTransformerTrainer`, its peer in this run.

    python benchmarks/training_throughput.py --pairs path/to/quora_pairs.parquet [--model bundled] [--profile]

Same model, loss, dropout, pairs and machine. The peer runs at the reference system's settings (batch 32, fp32) and at
its best ones: bf16 where that is faster (or what `--precision` says), and the fastest of several batch sizes, searched
here. Rounds alternate, so that a drift of the machine hits all alike; medians are printed. Time is taken from the end
of the warm-up steps to the end of the last step: forward, backward, optimiser and all that the loop does between them.

FLOP are 6 × parameters outside the embeddings × tokens (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), counting
the tokens of both questions of each pair visited, padding left out. Peak is what a large matrix product reaches here.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from trainers import engine_trainer, stock_trainer
from transformers import TrainerCallback

from pipeline.models.base_model import resolve_base_model
from pipeline.models.loading import load_model, quiet_libraries, resolve_device
from pipeline.models.options import BaseModelChoice, PrecisionChoice
from pipeline.models.packing import tokenize
from pipeline.models.precision import Precision, resolve_precision
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs
from pipeline.training.recipe import Recipe

PEER_BATCH_SIZES = {"cpu": (16, 32, 64, 128), "cuda": (128, 256, 512, 1024, 2048)}
OUR_BATCH_SIZE = {"cpu": 128, "cuda": 2048}
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes:
        run: trains on a table for one epoch and returns pairs per second.
    """

    name: str
    settings: str
    run: Callable[[PairTable], float]


class Clock(TrainerCallback):
    """The seconds of all steps after the warm-up."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step is over."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def rate(self, pairs_of_step: list[int]) -> float:
        """Pairs per second."""
        return sum(pairs_of_step[WARM_UP_STEPS:]) / (self.ends[-1] - self.ends[WARM_UP_STEPS - 1])


def peer(model: Callable[[], SentenceTransformer], batch_size: int, precision: Precision, device: str) -> Contender:
    """`SentenceTransformerTrainer` as its documentation uses it."""

    def run(table: PairTable) -> float:
        clock = Clock()
        with stock_trainer(model(), table, Recipe(batch_size=batch_size), precision, device, [clock]) as trainer:
            trainer.train()
        return clock.rate([min(batch_size, len(table) - start) for start in range(0, len(table), batch_size)])

    return Contender("SentenceTransformerTrainer", f"batch {batch_size}, {precision}", run)


def ours(
    model: Callable[[], SentenceTransformer], batch_size: int, precision: Precision, device: str, dropout: float | None
) -> Contender:
    """This project's `PairTrainer`; the loss picks its hard pairs within groups of 32, as the peer at batch 32."""

    def run(table: PairTable) -> float:
        clock, recipe = Clock(), Recipe(batch_size=batch_size, dropout=dropout, save_steps=10**6)
        with engine_trainer(model(), table, recipe, precision, device) as trainer:
            trainer.add_callback(clock)
            trainer.train()
            return clock.rate(np.diff(trainer.plan.ends, prepend=0).tolist())

    without = "" if dropout is None else f", dropout {dropout:g}"
    return Contender("this project", f"batch {batch_size}, {precision}{without}", run)


def measured_peak(device: str, precision: Precision) -> float:
    """FLOP/s of a large matrix product."""
    size = 2048 if device == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(size, size, device=device, dtype=dtype)
    rates = []
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        rates.append(2 * size**3 / (time.perf_counter() - start))
    return max(rates)


@click.command()
@click.option("--pairs", "path", required=True, help="File of question pairs.")
@click.option("--model", "model_name", default="bundled", show_default=True, help="Base model.")
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]))
@click.option("--precision", "wanted", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16"]))
@click.option("--rounds", default=3, show_default=True, help="Measurements of each contender.")
@click.option("--steps", default=6, show_default=True, help="Steps measured of the largest batch.")
@click.option("--profile", is_flag=True, help="Instead, print where a step of this project's training spends its time.")
def main(
    path: str, model_name: str, device: str, wanted: PrecisionChoice, rounds: int, steps: int, profile: bool
) -> None:
    """Measure all contenders and print the table."""
    quiet_libraries()
    device = resolve_device(device)  # type: ignore[arg-type]  # click has checked it
    reference = resolve_base_model(BaseModelChoice(model=model_name))
    precision = resolve_precision(wanted, device)
    table = load_pairs(PairSource(source="file", path=path))
    table = table.take(np.random.default_rng(0).permutation(len(table)))

    def model() -> SentenceTransformer:
        return load_model(reference, device)

    def sample(batch_size: int) -> PairTable:
        # The same pairs for all of a size; small batches need fewer to be measured as well.
        size = max((steps + WARM_UP_STEPS) * batch_size, 512)
        return table.take(np.arange(min(size, len(table))))

    batch_size = OUR_BATCH_SIZE[device]
    engine = ours(model, batch_size, precision, device, None)
    if profile:
        print_profile(engine, sample(batch_size))
        return
    index = DistinctQuestions.of(sample(batch_size))
    tokens = tokenize(model(), index.texts)
    tokens_a_pair = float((tokens.lengths[index.first] + tokens.lengths[index.second]).mean())
    parameters = sum(
        p.numel() for name, p in model().named_parameters() if "embeddings" not in name and "pooler" not in name
    )
    print(f"{reference.name}: {parameters / 1e6:.1f} M parameters outside the embeddings, on {device}")
    print(f"{path}: {tokens_a_pair:.1f} tokens a pair; OnlineContrastiveLoss; {rounds} rounds, medians\n")

    candidates = [peer(model, size, precision, device) for size in PEER_BATCH_SIZES[device]]
    speeds = [candidate.run(sample(size)) for size, candidate in zip(PEER_BATCH_SIZES[device], candidates, strict=True)]
    print("peer, searched: " + "; ".join(f"{c.settings}: {s:.1f}" for c, s in zip(candidates, speeds, strict=True)))
    best_size = PEER_BATCH_SIZES[device][int(np.argmax(speeds))]
    contenders = [
        (peer(model, 32, "fp32", device), sample(32)),
        (peer(model, best_size, precision, device), sample(best_size)),
        (engine, sample(batch_size)),
        (ours(model, batch_size, precision, device, 0.0), sample(batch_size)),
    ]
    rates = [[contender.run(pairs) for contender, pairs in contenders] for _ in range(rounds)]
    peaks = {name: measured_peak(device, name) for name in ("fp32", precision)}
    print(f"peak, measured: {', '.join(f'{name} {peak / 1e12:.2f} TFLOP/s' for name, peak in peaks.items())}\n")
    medians = [statistics.median(column) for column in zip(*rates, strict=True)]
    print("| | settings | pairs/s (min to max) | tokens/s | TFLOP/s | of peak | × reference | × peer's best |")
    print("|---|---|---|---|---|---|---|---|")
    for (contender, _), rate, column in zip(contenders, medians, zip(*rates, strict=True), strict=True):
        flops = 6 * parameters * tokens_a_pair * rate
        peak = peaks["fp32" if "fp32" in contender.settings else precision]
        print(
            f"| {contender.name} | {contender.settings} | {rate:.1f} ({min(column):.1f} to {max(column):.1f}) | "
            f"{rate * tokens_a_pair:,.0f} | {flops / 1e12:.3f} | {flops / peak:.0%} | {rate / medians[0]:.2f} | "
            f"{rate / medians[1]:.2f} |"
        )


def print_profile(contender: Contender, table: PairTable) -> None:
    """Where the time goes, by torch's profiler."""
    with torch.profiler.profile() as profiler:
        contender.run(table)
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=60))


if __name__ == "__main__":
    main()
