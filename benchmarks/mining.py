"""Measures mining against `sentence_transformers.util.paraphrase_mining_embeddings` and semhash, on real questions.

    python benchmarks/mining.py ../shared/data/quora_pairs.parquet --threshold 0.85
    python benchmarks/mining.py --synthetic 1000000

The first embeds the distinct questions of a file of pairs (vectors are kept in `--cache`, so that a second run begins
at once) and mines the first 10,000, 30,000 and all of them. Every engine runs in a process of its own, and its memory
is the peak beyond the vectors; the ratio to the library is that of CPU seconds, which others on the machine disturb
less. The second makes vectors on disk instead, and mines them by the index alone, or with `--exact` by exact tiles.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.progress import Advanced, LogLine, ProgressEvent
from pipeline.duplicates.corpus import Corpus, read_corpus
from pipeline.models.base_model import resolve_base_model
from pipeline.models.bundled import bundled_folder
from pipeline.models.options import BaseModelChoice
from pipeline.vectors.blocks import ArrayVectors, unit
from pipeline.vectors.cache import VectorCache
from pipeline.vectors.encoder import Encoder
from pipeline.vectors.exact import ExactEngine
from pipeline.vectors.index import IndexEngine
from pipeline.vectors.options import ExactOptions
from pipeline.vectors.pairs import CosinePairs

_SIZES = (10_000, 30_000)
_DIMENSIONS = 384


def by_library(path: Path, n: int, threshold: float, corpus: Corpus) -> dict[str, Any]:
    """The library, with its defaults: the best 500,000 pairs, of which those at the threshold count."""
    from sentence_transformers.util import paraphrase_mining_embeddings

    vectors = torch.from_numpy(np.ascontiguousarray(np.load(path, mmap_mode="r")[:n]))
    found = paraphrase_mining_embeddings(vectors)
    kept = [(i, j, score) for score, i, j in found if score >= threshold]
    return _pairs([i for i, _, _ in kept], [j for _, j, _ in kept])


def by_exact(path: Path, n: int, threshold: float, corpus: Corpus) -> dict[str, Any]:
    """Exact tiles, in the precision that `auto` chooses."""
    return _of(ExactEngine().pairs(ArrayVectors(np.load(path, mmap_mode="r")[:n]), threshold))


def by_exact_fp32(path: Path, n: int, threshold: float, corpus: Corpus) -> dict[str, Any]:
    """Exact tiles in fp32: what a CPU without bf16 does."""
    engine = ExactEngine(ExactOptions(precision="fp32"))
    return _of(engine.pairs(ArrayVectors(np.load(path, mmap_mode="r")[:n]), threshold))


def by_index(path: Path, n: int, threshold: float, corpus: Corpus) -> dict[str, Any]:
    """The index, build included."""
    engine = IndexEngine()
    return {**_of(engine.pairs(ArrayVectors(np.load(path, mmap_mode="r")[:n]), threshold)), "remark": engine.remark}


def by_semhash(path: Path, n: int, threshold: float, corpus: Corpus) -> dict[str, Any]:
    """Semhash, its index built and searched with its defaults."""
    from semhash import SemHash

    vectors = np.ascontiguousarray(np.load(path, mmap_mode="r")[:n])
    index = SemHash.from_embeddings(vectors, corpus.texts[:n], _NoModel()).index
    found = index.query_threshold(index.vectors, threshold=threshold)
    first = np.repeat(np.arange(len(found)), [len(indices) for indices, _ in found])
    second = np.concatenate([indices for indices, _ in found])
    # It keeps the order of the texts.
    assert len(index.items) == n
    return _pairs(first[first != second].tolist(), second[first != second].tolist())


class _NoModel:
    """Stands where semhash asks for an encoder: the vectors are there already."""

    def encode(self, texts: list[str], **kwargs: Any) -> np.ndarray:
        raise RuntimeError("nothing is to be embedded")


def _of(pairs: CosinePairs) -> dict[str, Any]:
    return _pairs(pairs.first.tolist(), pairs.second.tolist())


def _pairs(first: list[int], second: list[int]) -> dict[str, Any]:
    a, b = np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
    return {"keys": np.unique(np.minimum(a, b) * 10**9 + np.maximum(a, b))}


ENGINES: dict[str, Callable[[Path, int, float, Corpus], dict[str, Any]]] = {
    "library": by_library,
    "exact": by_exact,
    "exact, fp32": by_exact_fp32,
    "index": by_index,
    "semhash": by_semhash,
}


def _measured(
    engine: str, path: Path, n: int, threshold: float, corpus: Corpus, threads: int, answer: Connection
) -> None:
    torch.set_num_threads(threads)
    before = _peak()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        found = ENGINES[engine](path, n, threshold, corpus)
    except ImportError as error:
        answer.send({"error": str(error)})
        return
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # The vectors themselves don't count, whether they were read or mapped.
    beyond = _peak() - before - n * _DIMENSIONS * 4
    answer.send({**found, "seconds": seconds, "cpu": cpu, "gigabytes": max(0.0, beyond / 1e9)})


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(engine: str, path: Path, n: int, threshold: float, corpus: Corpus, threads: int) -> dict[str, Any]:
    """One engine in a new process."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_measured, args=(engine, path, n, threshold, corpus, threads, theirs)
    )
    process.start()
    theirs.close()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def real(arguments: argparse.Namespace) -> None:
    """The engines side by side on the questions of a file."""
    corpus = read_corpus(arguments.source)
    start = time.perf_counter()
    if arguments.static:
        path = arguments.cache / f"{corpus.version}-static.npy"
        if not path.exists():
            np.save(path, static_vectors(corpus))
    else:
        model = resolve_base_model(BaseModelChoice(model=arguments.model))
        path = arguments.cache / f"{corpus.version}-{model.version}.npy"
        if not path.exists():
            vectors = VectorCache(arguments.cache).vectors(corpus.texts, Encoder(model), _Printer())
            np.save(path, vectors.block(0, len(vectors)))
    print(f"{len(corpus):,} questions, vectors there in {_since(start)}")
    print(f"threshold {arguments.threshold}, {arguments.threads} threads, {torch.backends.cpu.get_cpu_capability()}\n")
    print("| questions | engine | seconds | CPU seconds | × library | pairs | recall | GB beyond the vectors |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for n in [size for size in arguments.sizes if size < len(corpus)] + [len(corpus)]:
        results = {
            engine: measure(engine, path, n, arguments.threshold, corpus, arguments.threads)
            for engine in arguments.engines
        }
        truth = results.get("exact, fp32", results.get("exact", {})).get("keys", np.empty(0))
        library = results.get("library", {}).get("cpu")
        for engine, result in results.items():
            if "error" in result:
                print(f"| {n:,} | {engine} | not installed | | | | | |")
                continue
            keys = result["keys"]
            recall = float(np.isin(truth, keys).mean()) if len(truth) else 1.0
            ratio = f"{library / result['cpu']:.1f}" if library else ""
            print(
                f"| {n:,} | {engine} | {result['seconds']:.1f} | {result['cpu']:.1f} | {ratio} | {len(keys):,} | "
                f"{recall:.4f} | {result['gigabytes']:.2f} |",
                flush=True,
            )
            if result.get("remark"):
                print(f"<!-- {result['remark']} -->")


def synthetic(arguments: argparse.Namespace) -> None:
    """One engine alone, on vectors that are made block by block and lie on disk."""
    n, path = arguments.synthetic, arguments.cache / f"synthetic-{arguments.synthetic}.npy"
    if not path.exists():
        make_vectors(path, n)
    torch.set_num_threads(arguments.threads)
    engine = ExactEngine() if arguments.exact else IndexEngine()
    before, start = _peak(), time.perf_counter()
    pairs = engine.pairs(ArrayVectors(np.load(path, mmap_mode="r")), arguments.threshold, _Printer())
    print(
        json.dumps(
            {
                "questions": n,
                "seconds": round(time.perf_counter() - start, 1),
                "pairs": len(pairs),
                "recall": engine.recall,
                "gigabytes": round((_peak() - before) / 1e9, 2),
                "remark": engine.remark,
            }
        )
    )


def make_vectors(path: Path, n: int, seed: int = 0) -> None:
    """Vectors around 2,000 subjects, and for about one in five a duplicate, at a cosine of 0.82 to 0.99."""
    random = np.random.default_rng(seed)
    subjects = random.normal(size=(2_000, _DIMENSIONS)).astype(np.float32)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, _DIMENSIONS))
    block = 100_000
    for start in range(0, n, block):
        size = min(block, n - start)
        part = subjects[random.integers(len(subjects), size=size)]
        part = part + random.normal(size=part.shape).astype(np.float32)
        copies = np.flatnonzero(random.random(size) < 0.2)
        part[copies] = part[random.integers(size, size=len(copies))]
        noise = random.uniform(0.2, 1.0, size=(len(copies), 1)) * random.normal(size=(len(copies), _DIMENSIONS))
        part[copies] += noise.astype(np.float32)
        array[start : start + size] = part / np.linalg.norm(part, axis=1, keepdims=True)
    array.flush()


def static_vectors(corpus: Corpus) -> np.ndarray:
    """A vector for each question without a forward pass: the mean of its tokens' input embeddings in the bundled model,
    weighted by how rare they are, less the mean of all."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bundled_folder()), device="cpu")
    table = model[0].model.get_input_embeddings().weight.detach().numpy()
    tokens = model.tokenizer(corpus.texts, add_special_tokens=False, truncation=True, max_length=128)["input_ids"]
    counts = np.bincount(
        np.concatenate([np.unique(ids) for ids in tokens if ids]).astype(np.int64), minlength=len(table)
    )
    weight = np.log(len(tokens) / (1 + counts)).clip(0.1).astype(np.float32)
    weighted = table * weight[:, None]
    sums = np.stack([weighted[ids].sum(axis=0) if ids else np.ones(table.shape[1]) for ids in tokens])
    sums = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit((sums - sums.mean(axis=0)).astype(np.float32))


class _Printer:
    """Prints progress every ten seconds."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, event: ProgressEvent) -> None:
        if isinstance(event, LogLine):
            print(event.text, flush=True)
        elif isinstance(event, Advanced) and time.monotonic() - self._at > 10:
            self._at = time.monotonic()
            print(f"  {event.stage}: {event.done:,} of {event.total:,}", flush=True)


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.1f} s"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="questions, or question pairs")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--static", action="store_true", help="vectors without a forward pass, in seconds")
    parser.add_argument("--threshold", type=float, default=0.85)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--sizes", nargs="*", type=int, default=list(_SIZES), help="beside the whole")
    parser.add_argument("--cache", type=Path, default=Path(".mining-benchmark"))
    parser.add_argument("--synthetic", type=int, help="vectors to make instead of reading a source")
    parser.add_argument("--exact", action="store_true", help="compare all synthetic vectors with all, without index")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    if arguments.synthetic:
        synthetic(arguments)
    elif arguments.source:
        real(arguments)
    else:
        parser.error("name a file of questions, or --synthetic")


if __name__ == "__main__":
    main()
