#!/usr/bin/env bash
# One would guess: usearch's dtype="i8" stores a rounded vector: metric "ip" still ranks by the dot product, "l2sq" by the
#   distance, a little less exactly, as with "bf16".
# What happens: on the way to i8 each vector is scaled to length 127, so its length is lost whatever the metric is. With
#   vectors of various lengths an EXACT search finds half of the ten nearest by dot product and a third of the ten nearest
#   by L2; what it finds are the nearest by cosine. And `distances` of "ip" are 1 - dot for f32 and bf16, but minus the
#   integer dot product for i8: -15351 where f32 says -6.2. No error or warning.
# Versions: usearch 2.26.6, numpy 2.4.6.
# Source: seen by running.
# Why it matters: models with similarity "dot" carry meaning in the length, i8 is the advertised quarter of the memory, and
#   a recall measured on normalised test vectors doesn't show it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 usearch==2.26.6
cd "$work"
cat > seen.py <<'P'
import sys
from importlib.metadata import version
import numpy as np
from usearch.index import Index
print("usearch", version("usearch"))
random = np.random.default_rng(0)
vectors = random.normal(size=(1000, 64)).astype(np.float32)
vectors *= (random.uniform(0.5, 3, size=(1000, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
queries = vectors[:100]
dots = queries @ vectors.T
nearest = {
    "ip": np.argsort(-dots)[:, :10],
    "l2sq": np.argsort(((queries[:, None] - vectors) ** 2).sum(-1))[:, :10],
    "cos": np.argsort(-dots / np.linalg.norm(vectors, axis=1))[:, :10],
}

def overlap(found, wanted):
    return round(float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found)])), 3)

seen = {}
for metric in ("ip", "l2sq"):
    for kind in ("f32", "bf16", "i8"):
        index = Index(ndim=64, metric=metric, dtype=kind)
        index.add(np.arange(1000), vectors)
        matches = index.search(queries, 10, exact=True)
        seen[metric, kind] = overlap(matches.keys, nearest[metric]), overlap(matches.keys, nearest["cos"])
        first = float(matches.distances[0][0])
        print(f"{metric}, {kind}: recall {seen[metric, kind][0]}; share of the ten nearest by cosine {seen[metric, kind][1]}; "
              f"first distance {first:.2f}")
        seen[metric, kind, "first"] = first
if not (seen["ip", "f32"][0] == seen["l2sq", "f32"][0] == 1 and min(seen["ip", "bf16"][0], seen["l2sq", "bf16"][0]) > 0.95
        and seen["ip", "i8"][0] < 0.65 and seen["l2sq", "i8"][0] < 0.5 and min(seen["ip", "i8"][1], seen["l2sq", "i8"][1]) > 0.9
        and seen["ip", "i8", "first"] < -10_000 < -10 < seen["ip", "f32", "first"] < 0):
    sys.exit("differs from what is stated")
print("with i8 both metrics rank by cosine")
P
"$work/venv/bin/python" seen.py
