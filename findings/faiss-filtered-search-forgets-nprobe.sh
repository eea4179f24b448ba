#!/usr/bin/env bash
# One would guess: `index.search(q, k, params=SearchParametersIVF(sel=...))` is the search that the index is set up for, with a
#   filter: `index.nprobe`, or `index.hnsw.efSearch`, stay in force.
# What happens: a parameter object carries its own nprobe of 1 and efSearch of 16, which win. An IVF index that was tuned to
#   exact recall (nprobe = all lists) finds about 70 % of the ten nearest once "leave out these ids" is added. With HNSW a
#   filter that keeps 2 % of the rows gets a part of the k results; the rest of each answer is id -1, though enough rows fit.
# Versions: faiss-cpu 1.15.1, numpy 2.4.6.
# Source: the fields' defaults in SearchParametersIVF and SearchParametersHNSW; blevesearch/go-faiss#32 met it in a binding.
# Why it matters: "the nearest that isn't a known duplicate" and "within this split" are how hard negatives and eval
#   neighbours are searched; the recall measured without the filter says nothing about it, and `texts[-1]` is a question too.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 faiss-cpu==1.15.1
cd "$work"
cat > seen.py <<'P'
import sys
import faiss
import numpy as np
print("faiss", faiss.__version__)
faiss.omp_set_num_threads(1)
random = np.random.default_rng(0)
centers = random.normal(size=(64, 32))
vectors = (centers[random.integers(0, 64, 10_000)] + 1.0 * random.normal(size=(10_000, 32))).astype(np.float32)
faiss.normalize_L2(vectors)
queries = vectors[:200]
half, few = faiss.IDSelectorBatch(np.arange(0, 10_000, 2)), faiss.IDSelectorBatch(np.arange(0, 10_000, 50))
flat = faiss.IndexFlatIP(32)
flat.add(vectors)
lists = faiss.index_factory(32, "IVF128,Flat", faiss.METRIC_INNER_PRODUCT)
lists.train(vectors)
lists.add(vectors)
lists.nprobe = 128
graph = faiss.IndexHNSWFlat(32, 16, faiss.METRIC_INNER_PRODUCT)
graph.add(vectors)
graph.hnsw.efSearch = 1024

def recall(index, params=None, selector=None):
    wanted = flat.search(queries, 10, params=faiss.SearchParameters(sel=selector))[1]
    found = index.search(queries, 10, params=params)[1]
    return round(float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found)])), 3), round(float((found < 0).mean()), 3)

IVF, HNSW = faiss.SearchParametersIVF, faiss.SearchParametersHNSW
cases = {
    "IVF, nprobe 128 of 128, no filter": recall(lists),
    "IVF, half of the ids": recall(lists, IVF(sel=half), half),
    "IVF, half of the ids, nprobe=128 said again": recall(lists, IVF(sel=half, nprobe=128), half),
    "HNSW, efSearch 1024, no filter": recall(graph),
    "HNSW, 2 % of the ids": recall(graph, HNSW(sel=few), few),
    "HNSW, 2 % of the ids, efSearch=1024 said again": recall(graph, HNSW(sel=few, efSearch=1024), few),
}
for name, (share, missing) in cases.items():
    print(f"{name}: recall of the ten nearest {share}, results that are -1: {missing}")
(_, _), (ivf, _), (again, _), (_, _), (hnsw, missing), (wide, none) = cases.values()
if not (cases["IVF, nprobe 128 of 128, no filter"][0] == again == 1 and ivf < 0.9 and hnsw < wide - 0.1 and missing > none + 0.1):
    sys.exit("differs from what is stated")
print("a search with a filter silently runs with nprobe 1, or efSearch 16")
P
"$work/venv/bin/python" seen.py
