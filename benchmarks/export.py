"""Benchmark a model's own encode, this project's encoder and its exports, with one question and with many.

    python benchmarks/export.py
    python benchmarks/export.py --pairs ../shared/data/quora_pairs.parquet
    python benchmarks/export.py --pairs ../shared/data/quora_pairs.parquet --model production --decisions

The methods take turns of 100 questions, so that other load on the machine affects all of them. It prints the median and
the 95th percentile of one question, and the best of `--repeats` turns with many. Average precision is measured on the
same pairs. `--decisions` also evaluates each method's threshold from the dev split on the pairs; the model needs a
decision, and its dev split in PIPELINE_HOME.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import find_model
from pipeline.evaluation.metrics import metrics_at, similarity_metrics
from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.options import ExportOptions, ExportPrecision, ParityLimits
from pipeline.models.decision import Decision
from pipeline.models.loading import load_model
from pipeline.orchestration.asset_values import stored_pairs
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs
from pipeline.settings import environment
from pipeline.vectors.blocks import unit
from pipeline.vectors.encoder import Encoder

Embed = Callable[[list[str]], np.ndarray]
_WARM_UP = 20
_TURN = 100


def ways(source: ExportSource, scratch: Path, threads: int) -> tuple[dict[str, Embed], dict[str, Decision | None]]:
    """The methods by name, and the decision of each."""
    model = load_model(source.info, "cpu")
    own = Encoder(source.info, "cpu")
    exports = {}
    for precision in ("fp32", "int8"):
        started = time.perf_counter()
        exports[precision] = _exported(source, precision, scratch / precision, threads)
        size = sum(path.stat().st_size for path in (scratch / precision).iterdir()) / 1e6
        print(f"{precision} export: {time.perf_counter() - started:.1f} s with its check, {size:.1f} MB")
    embed: dict[str, Embed] = {
        "SentenceTransformer.encode": lambda texts: unit(model.encode(texts, batch_size=64, show_progress_bar=False)),
        "this project, torch fp32": own.embed,
        "export, fp32": exports["fp32"].embed,
        "export, int8": exports["int8"].embed,
    }
    decisions = [source.decision, source.decision, exports["fp32"].decision, exports["int8"].decision]
    return embed, dict(zip(embed, decisions, strict=True))


def _exported(source: ExportSource, precision: ExportPrecision, folder: Path, threads: int) -> OnnxEncoder:
    made = export_model(source, ExportOptions(precision=precision), ParityLimits(max_ap_loss=0.01), folder)
    print(made.check.message)
    if not made.check.passed:
        raise SystemExit(f"the {precision} export is refused")
    return OnnxEncoder(folder, threads)


def one_by_one(embed: dict[str, Embed], questions: list[str]) -> dict[str, np.ndarray]:
    """Milliseconds for each question with each method, in turns.

    The idle threads of a method spin for a while and slow the next one down. So a turn has many questions, and its
    first ones don't count.
    """
    took: dict[str, list[float]] = {name: [] for name in embed}
    for start in range(0, len(questions), _TURN):
        for name, way in embed.items():
            for number, question in enumerate(questions[start : start + _TURN]):
                started = time.perf_counter()
                way([question])
                if number >= _WARM_UP:
                    took[name].append(1e3 * (time.perf_counter() - started))
    return {name: np.array(each) for name, each in took.items()}


def many(embed: dict[str, Embed], questions: list[str], repeats: int) -> dict[str, float]:
    """Questions per second with each method, the best of some turns."""
    best = dict.fromkeys(embed, 0.0)
    for _ in range(repeats):
        for name, way in embed.items():
            started = time.perf_counter()
            way(questions)
            best[name] = max(best[name], len(questions) / (time.perf_counter() - started))
    return best


def scores(way: Embed, pairs: PairTable) -> np.ndarray:
    """Cosine of each pair."""
    index = DistinctQuestions.of(pairs)
    vectors = way(index.texts)
    return np.einsum("ij,ij->i", vectors[index.first], vectors[index.second])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", help="a file of labelled pairs; by default the bundled sample")
    parser.add_argument("--rows", type=int, default=6_000, help="the number of pairs, drawn at random")
    parser.add_argument("--model", default="bundled", help="as of `python -m pipeline compare`")
    parser.add_argument("--single", type=int, default=300, help="questions to embed one by one")
    parser.add_argument("--many", type=int, default=2_048, help="questions to embed at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decisions", action="store_true", help="also evaluate each threshold on the pairs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    read = load_pairs(PairSource(source="file", path=given.pairs) if given.pairs else PairSource())
    random = np.random.default_rng(0)
    pairs = read.take(np.sort(random.choice(len(read), min(given.rows, len(read)), replace=False)))
    texts = DistinctQuestions.of(pairs).texts
    chosen = find_model(given.model, store := VersionStore(environment.home()))
    dev = stored_pairs(store, "dev_split", chosen.decision.dev_version) if chosen.decision else None
    print(f"{chosen.said}; {len(pairs):,} pairs, {pairs.positive_rate:.1%} duplicates; {given.threads} threads")
    with tempfile.TemporaryDirectory() as scratch:
        # Average precision is measured below on all pairs, so the exports' own check gets only a few.
        few = pairs.take(np.arange(min(500, len(pairs))))
        embed, decisions = ways(ExportSource(chosen.info, chosen.decision, dev, few), Path(scratch), given.threads)
        single = one_by_one(embed, texts[: given.single])
        fast = many(embed, texts[: given.many], given.repeats)
        for name in embed:
            p50, p95 = np.quantile(single[name], [0.5, 0.95])
            print(f"{name}: one question {p50:.2f} ms, p95 {p95:.2f} ms, minimum {single[name].min():.2f} ms", end="; ")
            print(f"{fast[name]:,.0f} questions/s")
        for name, way in embed.items():
            print(
                f"{name}: {_on_pairs(scores(way, pairs), pairs.labels, decisions[name] if given.decisions else None)}"
            )


def _on_pairs(cosine: np.ndarray, labels: np.ndarray, decision: Decision | None) -> str:
    text = f"AP {similarity_metrics(cosine, labels).ap:.4f}"
    if decision is None:
        return text
    at = metrics_at(cosine, labels, decision.thresholds["cosine"].accuracy, decision.threshold)
    return f"{text}; at {decision.threshold:.4f} F1 {at.f1:.4f}, precision {at.precision:.4f}, recall {at.recall:.4f}"


if __name__ == "__main__":
    main()
