#!/usr/bin/env bash
# One would guess: creating an index makes the same query quicker, and its distances stay what they were.
# What happens: a search that names no distance is by squared L2 on a table without an index, and by the index's metric once
#   there is one: the same line of code returns other neighbours with distances on another scale (19.5 and then 0.43), and
#   a `distance_range(upper_bound=0.5)` that returned the question and its copy returns its neighbours.
#   And the upper bound is exclusive: `distance_range(upper_bound=0.0)` finds no exact duplicate.
# Versions: lancedb 0.40.0, pyarrow 26.0.1, numpy 2.4.6.
# Source: the docs name L2 as the default of a search and cosine as a choice of an index; the change was seen by running.
# Why it matters: a threshold is chosen on a small table without an index ("needless below 100k rows") and applied after the
#   table has grown and a job has indexed it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pyarrow==26.0.1 lancedb==0.40.0
cd "$work"
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import lancedb, numpy as np, pyarrow as pa
from lancedb.index import IvfFlat
print("lancedb", lancedb.__version__, "pyarrow", pa.__version__)
random = np.random.default_rng(0)
vectors = random.normal(size=(1000, 32)).astype(np.float32)
vectors[1], vectors[2] = vectors[0], 5 * vectors[0]
table = lancedb.connect("db").create_table("questions", pa.table({
    "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 32), "question": range(1000)}))

def search(**bounds):
    query = table.search(vectors[0]).limit(5)
    if bounds:
        query = query.distance_range(**bounds)
    return [(row["question"], round(row["_distance"], 2)) for row in query.to_arrow().to_pylist()]

before, within = search(), search(upper_bound=0.5)
exact = search(upper_bound=0.0)
table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=1))
after, within_after = search(), search(upper_bound=0.5)
print("without an index:", before, "upper_bound=0.5:", within, "upper_bound=0.0:", exact)
print("the same query after create_index:", after, "upper_bound=0.5:", within_after)
if not ({q for q, _ in before[:2]} == {0, 1} and before[2][1] > 5 and {q for q, _ in after[:3]} == {0, 1, 2}
        and 0.1 < after[3][1] < 0.5 and len(within) == 2 and len(within_after) == 5 and exact == []):
    sys.exit("differs from what is stated")
print("creating an index changed the metric of a query that stayed as it was")
P
"$work/venv/bin/python" seen.py
