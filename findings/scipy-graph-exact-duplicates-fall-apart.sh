#!/usr/bin/env bash
# One would guess: grouping questions by a graph of neighbours with their distances (scikit-learn's radius_neighbors_graph, then
#   scipy's connected_components) joins exact duplicates first of all.
# What happens: a distance of 0 is stored in the sparse graph as an explicit 0, which counts as an edge only as long as nothing
#   touches the matrix. Making it symmetric as everybody does, by `g.maximum(g.T)`, `g + g.T` or `(g + g.T) / 2`, drops it;
#   a dense array has lost it, too. Pairs with a tiny distance stay joined; exact duplicates come out as singletons.
#   `minimum_spanning_tree` over dense distances likewise walks around its zeros.
# Versions: scipy 1.17.1, scikit-learn 1.9.1, numpy 2.4.6.
# Source: scipy/scipy#4409, #18892 discuss that 0 means "no edge"; the way by scikit-learn was seen by running.
# Why it matters: the groups that splits by component and deduplication rest on miss the surest duplicates of all, and each
#   copy of a question may land in another split.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
cd "$work"
cat > seen.py <<'P'
import sys
import numpy as np
import scipy, sklearn
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from sklearn.neighbors import radius_neighbors_graph
print("scipy", scipy.__version__, "scikit-learn", sklearn.__version__)
a, b, c = np.eye(3)
questions = {"a": a, "a again": a, "b": b, "nearly b": b + 0.01 * c, "c": c}
vectors = np.array(list(questions.values()))
graph = radius_neighbors_graph(vectors, radius=0.1, mode="distance", metric="cosine")

def groups(matrix):
    labels = connected_components(matrix, directed=False)[1]
    return sorted([name for name, label in zip(questions, labels) if label == wanted] for wanted in set(labels.tolist()))

seen = {"as returned": groups(graph), "maximum(g, g.T)": groups(graph.maximum(graph.T)),
        "(g + g.T) / 2": groups((graph + graph.T) / 2), "toarray()": groups(graph.toarray())}
for name, found in seen.items():
    print(f"{name}: {found}")
distances = 1 - vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)
np.fill_diagonal(distances, 0)
tree = minimum_spanning_tree(np.round(distances, 12))
print(f"minimum spanning tree: {tree.nnz} edges, the shortest {tree.data.min():.5f}, total {tree.sum():.3f}; the distance of a and its copy is 0")
joined = [["a", "a again"], ["b", "nearly b"], ["c"]]
apart = [["a"], ["a again"], ["b", "nearly b"], ["c"]]
if not (seen.pop("as returned") == joined and all(found == apart for found in seen.values()) and tree[0, 1] == 0 and tree.sum() > 2.5):
    sys.exit("differs from what is stated")
print("once the graph is made symmetric, near duplicates stay together and exact ones fall apart")
P
"$work/venv/bin/python" seen.py
