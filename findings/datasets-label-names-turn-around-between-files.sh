#!/usr/bin/env bash
# One would guess: two Parquet files whose label column says ["different", "duplicate"] in one and ["duplicate", "different"]
#   in the other are joined by name, or refused, as `concatenate_datasets` refuses them.
# What happens: `load_dataset` and `Dataset.from_parquet` over both files take the names of the first file and the numbers of
#   each: every duplicate of the second file becomes "different" and the other way round, without a word; a test split is
#   renamed after the train split; with the files in the other order the first file's labels turn around instead.
#   `cast` to the other order of names turns them, too (it keeps the numbers); only `align_labels_with_mapping` goes by name.
# Versions: datasets 5.2.0, pyarrow 26.0.1.
# Source: seen by running; the names lie in the Parquet file's metadata under "huggingface".
# Why it matters: `class_encode_column` sorts names, other tools order them by first appearance, so two exports of the same
#   labelling differ in this; half of the training's labels are then wrong and the loss only looks hard.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf"
cat > seen.py <<'P'
import sys
import datasets, pyarrow
from datasets import ClassLabel, Dataset, Features, Value, concatenate_datasets, load_dataset
datasets.disable_progress_bars()
print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)
truth = {"monday pair": "duplicate", "tuesday pair": "different", "friday pair": "duplicate", "sunday pair": "different"}

def stored(file, names, pairs):
    features = Features({"pair": Value("string"), "label": ClassLabel(names=names)})
    rows = Dataset.from_dict({"pair": pairs, "label": [names.index(truth[pair]) for pair in pairs]}, features=features)
    rows.to_parquet(file)
    return rows

def turned(rows):
    return [row["pair"] for row in rows if rows.features["label"].int2str(row["label"]) != truth[row["pair"]]]

pairs = list(truth)
first = stored("first.parquet", ["different", "duplicate"], pairs[:2])
second = stored("second.parquet", ["duplicate", "different"], pairs[2:])
both = ["first.parquet", "second.parquet"]
splits = load_dataset("parquet", data_files={"train": both[0], "test": both[1]})
seen = {
    "each file alone": turned(Dataset.from_parquet(both[0])) + turned(Dataset.from_parquet(both[1])),
    "load_dataset of both": turned(load_dataset("parquet", data_files=both, split="train")),
    "load_dataset, other order": turned(load_dataset("parquet", data_files=both[::-1], split="train")),
    "Dataset.from_parquet of both": turned(Dataset.from_parquet(both)),
    "train and test split": turned(splits["train"]) + turned(splits["test"]),
    "cast to the other names": turned(second.cast(first.features)),
    "align_labels_with_mapping": turned(second.align_labels_with_mapping({"different": 0, "duplicate": 1}, "label")),
}
for name, wrong in seen.items():
    print(f"{name}: turned around: {wrong or 'none'}")
try:
    concatenate_datasets([first, second])
    refused = False
except ValueError:
    refused = True
print("concatenate_datasets refuses them:", refused)
if [*seen.values()] != [[], pairs[2:], pairs[:2], pairs[2:], pairs[2:], pairs[2:], []] or not refused:
    sys.exit("differs from what is stated")
print("the labels of one file turn around, silently")
P
"$work/venv/bin/python" seen.py
