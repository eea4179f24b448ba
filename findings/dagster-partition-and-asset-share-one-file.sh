#!/usr/bin/env bash
# One would guess: two assets with different keys never share storage in Dagster's file IO manager, or a clash is an error when
#   the definitions are loaded.
# What happens: the file of partition "quora" of the asset `pairs` is pairs/quora, and so is that of the unpartitioned asset
#   ["pairs", "quora"] (group prefixes are the usual way to such keys). Whichever is made later overwrites the other; a
#   downstream asset of the partition then gets the other asset's value, its run succeeds, and nothing is shown as stale.
# Versions: dagster 1.13.27.
# Source: the path is base folder, key, then partition key, joined by "/"; that it clashes was seen by running.
# Why it matters: pairs by source as partitions and one source as an asset of its own are both natural; a training reads the
#   other table and the lineage in the UI is a wrong one.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27
cd "$work"
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
import dagster as dg
logging.disable(logging.CRITICAL)
print("dagster", dg.__version__)
read = []

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["quora", "stack"]))
def pairs(context):
    return f"pairs of the partition {context.partition_key}"

@dg.asset(key=["pairs", "quora"])
def sample():
    return "the asset pairs/quora"

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["quora", "stack"]))
def model(pairs):
    read.append(pairs)
    return "weights"

everything = [pairs, sample, model]
dg.Definitions.validate_loadable(dg.Definitions(assets=everything))
with dg.instance_for_test() as instance:
    resources = {"io_manager": dg.FilesystemIOManager(base_dir="store")}

    def run(asset, partition=None):
        return dg.materialize(
            everything, selection=[asset], partition_key=partition, instance=instance, resources=resources).success

    worked = [run(pairs, "quora"), run(model, "quora"), run(sample), run(model, "quora")]
files = sorted(str(path) for path in Path("store").rglob("*") if path.is_file())
print("files:", files)
print("the model of partition quora was trained on:", read[0], "- and after the other asset was made, on:", read[1])
if not (all(worked) and read == ["pairs of the partition quora", "the asset pairs/quora"]
        and files == ["store/model/quora", "store/pairs/quora"]):
    sys.exit("differs from what is stated")
print("two assets share one file, silently")
P
"$work/venv/bin/python" seen.py
