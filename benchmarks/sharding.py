"""Measures mining by shards, and reckons from that what a corpus takes that no machine here holds.

    python benchmarks/sharding.py measure vectors.npy
    python benchmarks/sharding.py rates vectors.npy --questions questions.parquet
    python benchmarks/sharding.py synthetic 1000000
    python benchmarks/sharding.py table

`measure` mines vectors (float32 of length 1, as `np.save` writes them) by exact tiles, by the index, and by shards of
several sizes. Each run is a process of its own with one thread; the figures are CPU seconds, which others on the
machine disturb less than the clock, and memory is the most at any sign of progress, without imports and mapped files.
`rates` measures one run with the settings of the engine, and keeps in `benchmarks/sharding_measured.json` what `table`
needs. `synthetic` mines vectors that are made on disk, by shards alone. `table` prints docs/scaling.md's table.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mining import make_vectors

from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.settings import JOIN_CORES, JOIN_MEMORY_MB, PriceTable
from pipeline.core.progress import Advanced, LogLine, ProgressEvent
from pipeline.duplicates import shards as stages
from pipeline.duplicates.corpus import read_corpus
from pipeline.duplicates.engine import Engine
from pipeline.duplicates.exact import ExactTiles
from pipeline.duplicates.ivf import IvfIndex
from pipeline.duplicates.recall import MEASURING
from pipeline.duplicates.shard_plan import ShardPlan, ShardSettings, rows_for
from pipeline.duplicates.shards import ShardedJoin
from pipeline.duplicates.vectors import ArrayVectors

MEASURED = Path(__file__).with_name("sharding_measured.json")
_ROWS = (512, 1_024, 2_048, 4_096, 8_192)
_STAGES = {
    stages.READING: "hash",
    MEASURING: "sample",
    stages.PLANNING: "plan",
    stages.SORTING: "sort",
    stages.STAGE: "join",
}


class ByStage:
    """CPU seconds of each stage, and bytes that were written by its end."""

    def __init__(self, folder: Path) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.bytes = 0
        self.products = 0
        self.memory = 0
        self._folder, self._before, self._printed = folder, time.process_time(), time.monotonic()

    def __call__(self, event: ProgressEvent) -> None:
        """Count what was done since the last event to this one's stage."""
        now = time.process_time()
        self.memory = max(self.memory, own_memory())
        if isinstance(event, LogLine):
            print(event.text, flush=True)
        if isinstance(event, Advanced):
            self.seconds[_STAGES.get(event.stage, event.stage)] += now - self._before
            if event.stage == stages.STAGE:
                self.bytes = self.bytes or sum(path.stat().st_size for path in self._folder.rglob("parts/*"))
                self.products = event.total
            if time.monotonic() - self._printed > 20:
                self._printed = time.monotonic()
                print(f"  {event.stage}: {event.done:,} of {event.total:,}", file=sys.stderr, flush=True)
        self._before = now


def mined(path: Path, threshold: float, engine: str, rows: int | None, recall: float, answer: Connection) -> None:
    """Mine in this process, and send what it took."""
    torch.set_num_threads(1)
    vectors = ArrayVectors(np.load(path, mmap_mode="r"))
    with tempfile.TemporaryDirectory(prefix="shards-", dir=path.parent) as folder:
        # The imports count for nothing.
        import faiss  # noqa: F401
        import sklearn.cluster  # noqa: F401

        import pipeline.models.precision
        import pipeline.sharding.join  # noqa: F401

        by_stage = ByStage(Path(folder))
        made: Engine
        if engine == "shards":
            made = ShardedJoin(folder, LocalCompute(Path(folder)), ShardSettings(rows=rows, recall=recall))
        else:
            made = ExactTiles() if engine == "exact" else IvfIndex()
        before, start, cpu = own_memory(), time.perf_counter(), time.process_time()
        pairs = made.pairs(vectors, threshold, by_stage)
        answer.send(
            {
                "engine": engine,
                "seconds": time.perf_counter() - start,
                "cpu": time.process_time() - cpu,
                "keys": pairs.first * len(vectors) + pairs.second,
                "gigabytes": (by_stage.memory - before) / 1e9,
                "remark": made.remark,
                "recall": made.recall,
                "stages": dict(by_stage.seconds),
                "bytes": by_stage.bytes,
                "products": by_stage.products,
            }
        )


def own_memory() -> int:
    """Bytes of this process's memory, pages of mapped files left out: Linux takes those away as it likes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


def run(path: Path, threshold: float, engine: str, rows: int | None = None, recall: float = 0.995) -> dict[str, Any]:
    """One engine in a new process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=mined, args=(path, threshold, engine, rows, recall, theirs))
    process.start()
    theirs.close()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def shape(result: dict[str, Any]) -> tuple[int, float]:
    """Shards, and guests for each question, as the remark says."""
    count, rest = result["remark"].split(" shards, ")
    return int(count.replace(",", "")), float(rest.split(" guests")[0])


def measure(arguments: argparse.Namespace) -> None:
    """The engines side by side."""
    vectors = np.load(arguments.vectors, mmap_mode="r")
    n, dimensions = vectors.shape
    print(f"{n:,} vectors of {dimensions}, threshold {arguments.threshold}, 1 thread, {machine()}\n")
    print("| engine | CPU s | sample, plan, sort, join | shards | guests | products a vector | recall |")
    print("|---|--:|---|--:|--:|--:|--:|")
    runs: list[tuple[str, str, int | None, float]] = [("exact", "exact", None, 1.0), ("index", "index", None, 1.0)]
    runs += [(f"shards of {rows:,}", "shards", rows, 0.995) for rows in _ROWS]
    runs += [("shards, as many as by default", "shards", None, 0.995), ("the same, recall 1", "shards", None, 1.0)]
    truth: np.ndarray = np.empty(0)
    for name, engine, rows, recall in runs:
        result = run(arguments.vectors, arguments.threshold, engine, rows, recall)
        truth = result["keys"] if engine == "exact" else truth
        found = float(np.isin(truth, result["keys"]).mean())
        spent = result["stages"]
        if engine != "shards":
            compared = f"{(n - 1) // 2:,}" if engine == "exact" else ""
            print(f"| {name} | {result['cpu']:.1f} | | | | {compared} | {found:.4f} |", flush=True)
            continue
        count, guests = shape(result)
        parts = ", ".join(f"{spent.get(stage, 0):.1f}" for stage in list(_STAGES.values())[1:])
        print(
            f"| {name} | {result['cpu']:.1f} | {parts} | {count:,} | {guests:.2f} | {result['products'] / n:,.0f} | "
            f"{found:.4f} |",
            flush=True,
        )
        print(f"<!-- {result['remark']}; {result['gigabytes']:.2f} GB -->")


def rates(arguments: argparse.Namespace) -> None:
    """What the stages of one run take for what they do; kept for `table`."""
    n, dimensions = np.load(arguments.vectors, mmap_mode="r").shape
    result, settings = run(arguments.vectors, arguments.threshold, "shards"), ShardSettings()
    count, guests = shape(result)
    spent = result["stages"]
    trained = min(n, count * settings.trained_per_shard, settings.most_trained)
    sorting = seconds_to_sort(np.load(arguments.vectors, mmap_mode="r"))
    texts = read_corpus(str(arguments.questions)).texts
    figures = {
        "machine": machine(),
        "vectors": n,
        "dimensions": dimensions,
        "threshold": arguments.threshold,
        "pairs_a_question": len(result["keys"]) / n,
        "guests": guests,
        "products_per_row": result["products"] / n / rows_for(n),
        "bytes_a_text": sum(map(sys.getsizeof, texts)) / len(texts),
        "core_seconds": {
            "a gigabyte hashed": spent["hash"] / (4e-9 * n * dimensions),
            "1e9 numbers of a sample's products": spent["sample"] / (1e-9 * n * 2 * settings.sampled * dimensions),
            "1e9 numbers of k-means": spent["plan"] / (1e-9 * trained * count * dimensions),
            "1e9 numbers sorted": sorting,
            "a gigabyte of shards written": (spent["sort"] - sorting * 1e-9 * n * count * dimensions)
            / (1e-9 * result["bytes"]),
            "1e9 numbers joined": spent["join"] / (1e-9 * result["products"] * dimensions),
        },
    }
    text = json.dumps(figures, indent=2) + "\n"
    MEASURED.write_text(text, encoding="utf-8")
    print(text)


def seconds_to_sort(vectors: np.ndarray, rows: int = 8_192, shards: int = 4_096) -> float:
    """CPU seconds that a thread takes to compare 1e9 numbers of vectors with those of so many centroids."""
    random = np.random.default_rng(0)
    block, centroids = (np.array(vectors[np.sort(random.choice(len(vectors), size))]) for size in (rows, shards))
    plan = ShardPlan(centroids, 0.01, 1)
    plan.sort(block[:100])
    start = time.process_time()
    plan.sort(block)
    return (time.process_time() - start) / (1e-9 * rows * shards * vectors.shape[1])


def machine() -> str:
    """The processor, and what torch makes of it."""
    model = subprocess.run(["/usr/bin/lscpu"], capture_output=True, text=True, check=True).stdout
    name = next(line.split(":")[1].strip() for line in model.splitlines() if line.startswith("Model name"))
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def synthetic(arguments: argparse.Namespace) -> None:
    """Shards alone, on vectors that are made block by block and lie on disk."""
    path = arguments.folder / f"synthetic-{arguments.vectors}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make_vectors(path, arguments.vectors)
    result = run(path, arguments.threshold, "shards")
    shown = {name: result[name] for name in ("seconds", "cpu", "gigabytes", "remark", "bytes", "products", "stages")}
    print(json.dumps({"questions": arguments.vectors, "pairs": len(result["keys"]), **shown}))


# --- what a corpus takes ----------------------------------------------------------------------------------------

ENCODED_A_SECOND = {"A100-80GB": 2_500.0}
"""Questions a second by sentence-transformers with a small model, as another project's README has it: assumed."""

GIGABIT = 1.25e8
"""Bytes a second from the machine that orders the work to the storage: assumed."""

STARTS = 20.0
"""Seconds until a container works: assumed."""

AT_ONCE = 64
DAYS = 1.0
"""That shards lie in storage: assumed."""

MOST_REQUESTS_DOLLARS = 0.4e-6
"""A read of object storage, AWS's list price for S3: assumed."""


@dataclass(frozen=True)
class Corpus:
    """What a corpus of some size takes."""

    questions: int
    figures: dict[str, Any]
    prices: PriceTable
    guests: float

    @property
    def rows(self) -> int:
        """Vectors in a shard."""
        return rows_for(self.questions)

    @property
    def shards(self) -> int:
        """How many there are."""
        return round(self.questions / self.rows)

    @property
    def parts(self) -> int:
        """Files of vectors."""
        return -(-4 * self.questions * self._dimensions // ShardSettings().part_bytes)

    @property
    def jobs(self) -> int:
        """Joins that are handed over."""
        return -(-self.questions // ShardSettings().job_rows)

    @property
    def vector_bytes(self) -> float:
        """Of the vectors once."""
        return 4.0 * self.questions * self._dimensions

    @property
    def shard_bytes(self) -> float:
        """Of the vectors and their copies as guests."""
        return self.vector_bytes * (1 + self.guests)

    @property
    def requests(self) -> float:
        """Reads of parts by all jobs."""
        # Of each part a shard's own vectors and its guests; of each part and job twice its end.
        return 2.0 * self.parts * (self.shards + 2 * self.jobs)

    @property
    def products(self) -> float:
        """Of vectors with vectors of their shards."""
        measured = self.figures["products_per_row"] * (0.5 + self.guests) / (0.5 + self.figures["guests"])
        return self.questions * self.rows * measured

    def core_hours(self, what: str) -> float:
        """Of a stage, by the measured rates."""
        settings, rate = ShardSettings(), self.figures["core_seconds"]
        numbers = 1e-9 * self._dimensions / 3600
        trained = min(self.questions, self.shards * settings.trained_per_shard, settings.most_trained)
        match what:
            case "hash":
                return 1e-9 * self.vector_bytes * rate["a gigabyte hashed"] / 3600
            case "sample":
                products = self.questions * 2.0 * settings.sampled
                return numbers * products * rate["1e9 numbers of a sample's products"]
            case "plan":
                return numbers * trained * self.shards * rate["1e9 numbers of k-means"]
            case "sort":
                written = 1e-9 * self.shard_bytes * rate["a gigabyte of shards written"] / 3600
                return written + numbers * self.questions * self.shards * rate["1e9 numbers sorted"]
            case _:
                return numbers * self.products * rate["1e9 numbers joined"]

    @property
    def here(self) -> float:
        """Core hours of the machine that orders the work."""
        return sum(map(self.core_hours, ("hash", "sample", "plan", "sort")))

    @property
    def exact_core_hours(self) -> float:
        """Of comparing all with all at the rate of a join."""
        return self.core_hours("join") / self.products * self.questions**2 / 2

    @property
    def gpu_hours(self) -> float:
        """Of embedding."""
        return self.questions / ENCODED_A_SECOND["A100-80GB"] / 3600

    @property
    def gpu_dollars(self) -> float:
        """Of embedding."""
        return self.prices.cost("A100-80GB", 3600 * self.gpu_hours) or 0.0

    @property
    def join_dollars(self) -> float:
        """Of the containers that join."""
        core = self.prices.cpu_core_second or 0.0
        memory = (self.prices.memory_gib_second or 0.0) * JOIN_MEMORY_MB / 1024 / JOIN_CORES
        starting = min(AT_ONCE, self.jobs) * STARTS * JOIN_CORES
        return (3600 * self.core_hours("join") + starting) * (core + memory)

    @property
    def storage_dollars(self) -> float:
        """Of shards in storage, and of reading them."""
        volume = (self.prices.volume_gib_month or 0.0) * self.shard_bytes / 2**30 * DAYS / 30
        return volume + self.requests * MOST_REQUESTS_DOLLARS

    @property
    def memory(self) -> float:
        """Bytes of texts, their numbers and the keys of their vectors on the machine that orders the work."""
        # A pointer, the row's number; then key, place in the cache, and the cache's own keys and places, in order.
        return self.questions * (self.figures["bytes_a_text"] + 8 + 8 + 16 + 16 + 32)

    @property
    def _dimensions(self) -> int:
        return int(self.figures["dimensions"])


def table(arguments: argparse.Namespace) -> None:
    """Print the arithmetic."""
    figures = json.loads(MEASURED.read_text(encoding="utf-8"))
    prices = PriceTable.load()
    sizes = (1_000_000, 10_000_000, 100_000_000)
    corpora = [Corpus(n, figures, prices, figures["guests"]) for n in sizes]
    crowded = [Corpus(n, figures, prices, 4 * figures["guests"]) for n in sizes]
    gb = 1e9
    lines: list[tuple[str, list[str], str]] = [
        ("embedding, GPU hours", [f"{c.gpu_hours:,.1f}" for c in corpora], "assumed: 2,500 a second on an A100"),
        ("… dollars", [f"{c.gpu_dollars:,.2f}" for c in corpora], "prices.json"),
        ("vectors, GB", [f"{c.vector_bytes / gb:,.1f}" for c in corpora], "4 bytes a number"),
        ("vectors in a shard", [f"{c.rows:,}" for c in corpora], "`rows_for`"),
        ("shards", [f"{c.shards:,}" for c in corpora], ""),
        ("parts (files)", [f"{c.parts:,}" for c in corpora], "256 MiB each, and their guests"),
        ("guests for each question", [f"{c.guests:.2f}" for c in corpora], "measured at 91,180 questions"),
        ("shards with guests, GB", [f"{c.shard_bytes / gb:,.1f}" for c in corpora], ""),
        ("hash, sample, k-means, sorting: core hours", [f"{c.here:,.2f}" for c in corpora], "measured rates"),
        ("upload at 1 Gbit/s, hours", [f"{c.shard_bytes / GIGABIT / 3600:,.2f}" for c in corpora], "assumed"),
        ("jobs", [f"{c.jobs:,}" for c in corpora], "32,768 vectors each"),
        (
            "products a question",
            [f"{c.products / c.questions:,.0f}" for c in corpora],
            "measured, by rows",
        ),
        ("joins, core hours", [f"{c.core_hours('join'):,.2f}" for c in corpora], "measured rate"),
        ("… dollars", [f"{c.join_dollars:,.2f}" for c in corpora], "prices.json; starts of 20 s assumed"),
        (
            "… hours, 64 containers of 4 cores",
            [f"{c.core_hours('join') / min(AT_ONCE, c.jobs) / JOIN_CORES + STARTS / 3600:,.2f}" for c in corpora],
            "",
        ),
        ("reads of object storage", [f"{c.requests:,.0f}" for c in corpora], ""),
        (
            "storage and reads of a day, dollars",
            [f"{c.storage_dollars:,.2f}" for c in corpora],
            "prices.json, S3 assumed",
        ),
        ("**all, dollars**", [f"**{c.gpu_dollars + c.join_dollars + c.storage_dollars:,.2f}**" for c in corpora], ""),
        (
            "all, if guests are four times as many",
            [f"{c.gpu_dollars + c.join_dollars + c.storage_dollars:,.2f}" for c in crowded],
            "",
        ),
        ("memory for texts and keys, GB", [f"{c.memory / gb:,.1f}" for c in corpora], "measured bytes a text"),
        (
            "exact comparison, core hours",
            [f"{c.exact_core_hours:,.0f}" for c in corpora],
            "the rate of a join",
        ),
    ]
    print(f"Measured on {figures['machine']}, one thread. Prices as of {prices.as_of}, in {prices.currency}.\n")
    print("| | " + " | ".join(f"{n:,}" for n in sizes) + " | from |")
    print("|---|" + "--:|" * len(sizes) + "---|")
    for name, values, source in lines:
        print(f"| {name} | " + " | ".join(values) + f" | {source} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure")
    one.add_argument("vectors", type=Path)
    one.set_defaults(do=measure)
    three = commands.add_parser("rates")
    three.add_argument("vectors", type=Path)
    three.add_argument("--questions", type=Path, required=True, help="the texts, to know their size")
    three.set_defaults(do=rates)
    two = commands.add_parser("synthetic")
    two.add_argument("vectors", type=int)
    two.add_argument("--folder", type=Path, default=Path(".mining-benchmark"))
    two.set_defaults(do=synthetic)
    for each in (one, two, three):
        each.add_argument("--threshold", type=float, default=0.85)
    commands.add_parser("table").set_defaults(do=table)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
