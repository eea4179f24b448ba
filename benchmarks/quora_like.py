"""Generates question pairs like Quora's whole release, and writes them in all forms that are read.

The release has 404,290 pairs over 537,933 questions, 36.9 % duplicates. Generated are the same number of pairs, 526,572
questions (four fifths of them in one pair, the busiest in 157), lengths around 60 characters with a long tail, a
vocabulary of Zipf's kind, and commas, quotes and letters beyond ASCII in some of them.
"""

import gzip
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.ipc
import pyarrow.parquet as pq

PAIRS = 404_290
DUPLICATE_RATE = 0.3692
SINGLE_SHARE = 0.792
MOST_PAIRS_OF_A_QUESTION = 157
BLOCK = 1024
"""Ends of pairs that are shuffled together, which bounds a connected component as topics do."""

_WORDS = 40_000
_MEAN_WORDS, _SPREAD = 10.2, 0.5


def quora_like(pairs: int = PAIRS, seed: int = 42) -> pa.Table:
    """Pairs in the release's columns: id, qid1, qid2, question1, question2, is_duplicate (0 or 1).

    Question ids count distinct texts in order of first appearance, so that a form without ids gives the same data.
    """
    generator = np.random.default_rng(seed)
    # A question takes part in k pairs: once mostly, else with a weight that falls as a power of k.
    k = np.arange(2, MOST_PAIRS_OF_A_QUESTION + 1)
    weights = k**-2.75
    n = int(pairs * 1.4)
    degrees = np.where(generator.random(n) < SINGLE_SHARE, 1, generator.choice(k, size=n, p=weights / weights.sum()))
    ends = np.repeat(np.arange(n), degrees)[: 2 * pairs]
    order = np.argsort(np.arange(len(ends)) // BLOCK + generator.random(len(ends)))
    first, second = ends[order].reshape(2, pairs, order="F")
    shuffled = generator.permutation(pairs)
    # Numbered along the rows.
    _, at, codes = np.unique(
        np.column_stack([first[shuffled], second[shuffled]]).ravel(), return_index=True, return_inverse=True
    )
    ids = np.argsort(np.argsort(at))[codes]
    texts = _questions(int(ids.max()) + 1, generator)
    return pa.table(
        {
            "id": np.arange(pairs),
            "qid1": ids[0::2],
            "qid2": ids[1::2],
            "question1": texts.take(pa.array(ids[0::2])),
            "question2": texts.take(pa.array(ids[1::2])),
            "is_duplicate": (generator.random(pairs) < DUPLICATE_RATE).astype(np.int64),
        }
    )


def _questions(n: int, generator: np.random.Generator) -> pa.Array:
    letters = np.array(list("etaoinshrdlucmfwypvbgkjq"))
    frequency = 1 / np.arange(1, len(letters) + 1) ** 0.6
    lengths = generator.integers(2, 9, _WORDS)
    spelled = "".join(generator.choice(letters, size=int(lengths.sum()), p=frequency / frequency.sum()))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    words = [spelled[start:end] for start, end in pairwise(starts)]
    words[100:103] = ["Köln", "世界", "naïve"]
    words[200:203] = ['"best"', "this,", "C++"]
    counts = np.maximum(2, generator.lognormal(np.log(_MEAN_WORDS) - _SPREAD**2 / 2, _SPREAD, n).astype(np.int64))
    rank = (_WORDS ** generator.random(int(counts.sum()))).astype(np.int64) - 1
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(words).take(pa.array(rank)))
    # A number makes every question another one.
    numbers = pc.cast(pa.array(np.arange(n)), pa.string())
    return pc.binary_join_element_wise("What", pc.binary_join(lists, " "), numbers, " ").cast(pa.large_string())


def _csv(table: pa.Table, path: Path, separator: str) -> None:
    options = pacsv.WriteOptions(delimiter=separator, quoting_style="needed")
    pacsv.write_csv(table, str(path), options)


def _glue(table: pa.Table, path: Path) -> None:
    columns = [pc.cast(column, pa.large_string()) for column in table.columns]
    lines = pc.binary_join_element_wise(*columns, pa.scalar("\t", pa.large_string())).to_pylist()
    path.write_text("\n".join(["\t".join(table.column_names), *lines]) + "\n", encoding="utf-8")


def _json(table: pa.Table, path: Path) -> None:
    table.to_pandas().to_json(path, orient="records", lines=True, force_ascii=False)


def _nested(table: pa.Table) -> pa.Table:
    def both(name: str, kind: pa.DataType) -> pa.Array:
        values = pa.concat_arrays([table[f"{name}{at}"].combine_chunks().cast(kind) for at in (1, 2)])
        woven = values.take(pa.array(np.arange(2 * len(table)).reshape(2, -1).T.ravel()))
        return pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * len(table) + 1, 2), pa.int32()), woven)

    questions = pa.StructArray.from_arrays(
        [both("qid", pa.int32()), both("question", pa.string())], names=["id", "text"]
    )
    return pa.table({"questions": questions, "is_duplicate": table["is_duplicate"].cast(pa.bool_())})


def _sentence_pairs(table: pa.Table) -> pa.Table:
    return table.select(["question1", "question2", "is_duplicate"]).rename_columns(["sentence1", "sentence2", "label"])


def _arrow(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=100_000)


def _gzipped(table: pa.Table, path: Path) -> None:
    _csv(table, path, "\t")
    path.write_bytes(gzip.compress(path.read_bytes(), compresslevel=1))


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "tsv": lambda table, path: _csv(table, path, "\t"),
    "csv": lambda table, path: _csv(table, path, ","),
    "parquet": lambda table, path: pq.write_table(table, path),
    "glue-tsv": _glue,
    "sentence-pairs": lambda table, path: pq.write_table(_sentence_pairs(table), path),
    "nested": lambda table, path: pq.write_table(_nested(table), path),
    "arrow": _arrow,
    "json-lines": _json,
    "tsv-gzip": _gzipped,
    "parquet-zstd": lambda table, path: pq.write_table(table, path, compression="zstd"),
}
"""How each form is written."""
