#!/usr/bin/env bash
# One would guess: the cache of `datasets` notices that the function given to `filter` or `map` was edited, as it does in a
#   notebook or in the script itself, so a new run with a new threshold filters anew.
# What happens: a function that is imported from a module is known by its name alone. After an edit of the module (another
#   threshold, even the opposite comparison) the next process gets the rows of before the edit from the cache. The very
#   same function written in the script is computed anew.
# Versions: datasets 5.2.0, dill 0.4.1.
# Source: dill pickles functions of importable modules by reference, and the fingerprint is the hash of the pickle.
# Why it matters: moving `keep_pair` from the script to a package, as one is told to, freezes the data of every later
#   training; the code in the commit isn't what filtered the pairs.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 dill==0.4.1
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" PYTHONDONTWRITEBYTECODE=1
cat > seen.py <<'P'
import subprocess, sys
from importlib.metadata import version
from pathlib import Path
print("datasets", version("datasets"), "dill", version("dill"))
Path("pairs.csv").write_text("pair,score\na,0.3\nb,0.6\nc,0.9\n")
FUNCTION = "def keep(row):\n    return row['score'] {}\n"
SCRIPT = """
import datasets
datasets.disable_progress_bars()
{}
rows = datasets.load_dataset("csv", data_files="pairs.csv", split="train", cache_dir="{}")
print("".join(rows.filter(keep)["pair"][:]))
"""

def kept(condition, imported):
    function = FUNCTION.format(condition)
    Path("cleaning.py").write_text(function)
    script = SCRIPT.format("from cleaning import keep" if imported else function, "imported" if imported else "inline")
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()

conditions = [">= 0.5", ">= 0.8", "< 0.5"]
seen = {imported: [kept(condition, imported) for condition in conditions] for imported in (False, True)}
for imported, found in seen.items():
    where = "imported from a module" if imported else "in the script"
    print(f"function {where}: " + ", ".join(f"score {c} keeps {f}" for c, f in zip(conditions, found)))
if seen != {False: ["bc", "c", "a"], True: ["bc", "bc", "bc"]}:
    sys.exit("differs from what is stated")
print("the edited function answers from the cache of the one before")
P
"$work/venv/bin/python" seen.py
