#!/usr/bin/env bash
# One would guess: `DatasetDict.class_encode_column("label")` gives a label the same number in every split.
# What happens: each split is encoded by the labels that happen to be in it. A test split that holds duplicates only (checked
#   by hand, or a small one) has the one class "1" with the number 0, where the train split has "0": 0 and "1": 1: all of its
#   duplicates are labelled 0. With three answers a split without "different" shifts both others. Numbers given as text are
#   sorted as text, so grades "0" to "10" become 0, 1, 10, 2, …
# Versions: datasets 5.2.0.
# Source: seen by running; the docs of DatasetDict.class_encode_column don't say that splits are encoded by themselves.
# Why it matters: `rows["label"]` goes into a loss or scikit-learn as a number; an accuracy near 0 on a test split that
#   should have been easy, or a shifted class, is looked for in the model.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf"
cat > seen.py <<'P'
import sys
import datasets
from datasets import Dataset, DatasetDict
datasets.disable_progress_bars()
print("datasets", datasets.__version__)

def numbers(**labels):
    splits = DatasetDict({name: Dataset.from_dict({"label": values}) for name, values in labels.items()})
    encoded = splits.class_encode_column("label")
    return {name: dict(zip(values, encoded[name]["label"][:])) for name, values in labels.items()}

binary = numbers(train=["0", "1", "1", "0"], test=["1", "1"])
answers = numbers(train=["different", "duplicate", "unsure"], test=["unsure", "duplicate"])
grades = numbers(train=["0", "1", "2", "10"])["train"]
for name, found in {"is_duplicate": binary, "answers": answers, "grades as text": grades}.items():
    print(f"{name}: {found}")
if not (binary == {"train": {"0": 0, "1": 1}, "test": {"1": 0}}
        and answers["train"] == {"different": 0, "duplicate": 1, "unsure": 2}
        and answers["test"] == {"duplicate": 0, "unsure": 1} and grades == {"0": 0, "1": 1, "10": 2, "2": 3}):
    sys.exit("differs from what is stated")
print("a duplicate is 1 in the train split and 0 in the test split")
P
"$work/venv/bin/python" seen.py
