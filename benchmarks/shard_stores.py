"""Measures what could hold vectors by shard: Arrow files, Parquet files and LanceDB, on a folder of this machine.

    python benchmarks/shard_stores.py --rows 262144 --part-rows 65536 --shards 200

Vectors arrive in blocks, in the order of the corpus, and each store takes a block as one append, sorted by shard. Then
single shards are read, as a container does that joins one, by a new process each, with the bytes that the process read
from files (`rchar` in `/proc/self/io`). LanceDB needs `pip install lancedb`; it is left out where it isn't there.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DIMENSIONS = 384
_READ = 20
"""Shards that are read."""


def block(number: int, rows: int, shards: int) -> tuple[np.ndarray, pa.Table]:
    """Where each shard of a block begins, and its rows sorted by shard."""
    random = np.random.default_rng(number)
    shard = np.sort(random.integers(shards, size=rows)).astype(np.int32)
    vectors = random.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS)
    numbers = pa.array(np.arange(number * rows, (number + 1) * rows))
    starts = np.searchsorted(shard, np.arange(shards + 1))
    return starts, pa.table({"shard": shard, "number": numbers, "vector": flat})


def write_arrow(folder: Path, number: int, starts: np.ndarray, table: pa.Table) -> None:
    """An Arrow file for each block, and in it a record batch for each shard."""
    with pa.ipc.new_file(folder / f"{number:05}.arrow", table.schema) as writer:
        for start, stop in pairwise(starts):
            batches = table.slice(start, stop - start).combine_chunks().to_batches()
            writer.write_batch(batches[0] if batches else table.schema.empty_table().to_batches()[0])


def read_arrow(folder: Path, shard: int) -> int:
    """See `write_arrow`."""
    rows = 0
    for path in sorted(folder.glob("*.arrow")):
        with pa.OSFile(str(path)) as file:
            rows += pa.ipc.open_file(file).get_batch(shard).num_rows
    return rows


def write_parquet(folder: Path, number: int, starts: np.ndarray, table: pa.Table) -> None:
    """A Parquet file for each block, and in it a row group with checksums for each shard."""
    path = folder / f"{number:05}.parquet"
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        for start, stop in pairwise(starts):
            writer.write_table(table.slice(start, stop - start))


def read_parquet(folder: Path, shard: int) -> int:
    """See `write_parquet`."""
    rows = 0
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        rows += file.read_row_group(shard, columns=["number", "vector"]).num_rows
    return rows


def write_partitions(folder: Path, number: int, starts: np.ndarray, table: pa.Table) -> None:
    """A folder for each shard, and in it a Parquet file for each block."""
    for shard, (start, stop) in enumerate(pairwise(starts)):
        path = folder / f"shard={shard}" / f"{number:05}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table.slice(start, stop - start), path, compression="none", use_dictionary=False)


def read_partitions(folder: Path, shard: int) -> int:
    """See `write_partitions`."""
    import pyarrow.dataset as ds

    return ds.dataset(folder / f"shard={shard}", format="parquet").to_table(columns=["number", "vector"]).num_rows


def write_lance(folder: Path, number: int, starts: np.ndarray, table: pa.Table) -> None:
    """A table of LanceDB; each block is appended to it."""
    import lancedb

    there = lancedb.connect(str(folder))
    if number:
        there.open_table("vectors").add(table)
    else:
        there.create_table("vectors", table)


def finish_lance(folder: Path) -> None:
    """Build the index of the shards, without which all rows are looked at."""
    import lancedb
    from lancedb.index import Bitmap

    lancedb.connect(str(folder)).open_table("vectors").create_index("shard", config=Bitmap())


def read_lance(folder: Path, shard: int) -> int:
    """See `write_lance`."""
    import lancedb

    table = lancedb.connect(str(folder)).open_table("vectors")
    found = table.search().where(f"shard = {shard}").select(["number", "vector"]).limit(1 << 30).to_arrow()
    return int(found.num_rows)


Writer = Callable[[Path, int, np.ndarray, pa.Table], None]
STORES: dict[str, tuple[Writer, Callable[[Path], None], Callable[[Path, int], int]]] = {
    "Arrow file a block, a batch a shard": (write_arrow, lambda folder: None, read_arrow),
    "Parquet file a block, a row group a shard": (write_parquet, lambda folder: None, read_parquet),
    "Parquet file a block and shard": (write_partitions, lambda folder: None, read_partitions),
    "LanceDB, index of the shards": (write_lance, finish_lance, read_lance),
}


def reading(store: str, folder: Path, shards: int) -> dict[str, float]:
    """Read some shards in this process: milliseconds and bytes of one, the imports left out."""
    read = STORES[store][2]
    read(folder, 0)
    before, start = bytes_read(), time.perf_counter()
    chosen = np.random.default_rng(0).integers(shards, size=_READ)
    rows = sum(read(folder, int(shard)) for shard in chosen)
    seconds = time.perf_counter() - start
    return {
        "rows": rows / _READ,
        "milliseconds": 1e3 * seconds / _READ,
        "bytes": (bytes_read() - before) / _READ,
    }


def bytes_read() -> int:
    """Bytes that this process has read from files."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def measure(store: str, arguments: argparse.Namespace) -> None:
    """Fill one store and read from it; prints a row of the table."""
    folder = arguments.folder / store.replace(" ", "-").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write, finish, _ = STORES[store]
    written = 0.0
    for number in range(arguments.rows // arguments.part_rows):
        starts, table = block(number, arguments.part_rows, arguments.shards)
        start = time.perf_counter()
        write(folder, number, starts, table)
        written += time.perf_counter() - start
    start = time.perf_counter()
    finish(folder)
    finished = time.perf_counter() - start
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    command = [sys.executable, __file__, "--read", store, "--folder", str(folder), "--shards", str(arguments.shards)]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ideal = result["rows"] * (DIMENSIONS * 4 + 8)
    print(
        f"| {store} | {written + finished:.1f} | {len(files):,} | {size / (arguments.rows * DIMENSIONS * 4):.2f} | "
        f"{result['milliseconds']:.1f} | {result['bytes'] / ideal:.2f} |",
        flush=True,
    )
    shutil.rmtree(folder)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=262_144)
    parser.add_argument("--part-rows", type=int, default=65_536)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(".shard-stores"))
    parser.add_argument("--read", choices=list(STORES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(reading(arguments.read, arguments.folder, arguments.shards)))
        return
    print(f"{arguments.rows:,} vectors in blocks of {arguments.part_rows:,}, {arguments.shards:,} shards\n")
    print("| store | seconds to write | files | size / vectors | ms to read a shard | bytes read / its vectors |")
    print("|---|--:|--:|--:|--:|--:|")
    for store in STORES:
        if "LanceDB" in store and importlib.util.find_spec("lancedb") is None:
            print(f"| {store} | not installed | | | | |")
            continue
        measure(store, arguments)


if __name__ == "__main__":
    main()
