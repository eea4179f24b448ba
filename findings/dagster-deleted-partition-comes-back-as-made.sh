#!/usr/bin/env bash
# One would guess: deleting a dynamic partition forgets it; added again under its name it is missing, and automation makes it.
# What happens: its old materialisation counts again. `AutomationCondition.missing()` and `eager()` ask for the new "r2" and not
#   for the "r1" that came back, `get_materialized_partitions` names it even while it is deleted, and a downstream asset
#   loads the file of the former life. Forgetting it isn't offered either: `wipe_asset_partitions` is not implemented by
#   the local storage.
# Versions: dagster 1.13.27.
# Source: seen by running; the docs of delete_dynamic_partition don't speak of the partition's past.
# Why it matters: "delete the run or data set and add it again" is how one asks for it to be made anew, say after its pairs
#   were relabelled; the old model stays, shown as made.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27
cd "$work"
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
import dagster as dg
logging.disable(logging.CRITICAL)
print("dagster", dg.__version__)
runs = dg.DynamicPartitionsDefinition(name="runs")
read, made = [], []

@dg.asset(partitions_def=runs, automation_condition=dg.AutomationCondition.missing())
def model():
    made.append(None)
    return f"weights number {len(made)}"

@dg.asset(partitions_def=runs, automation_condition=dg.AutomationCondition.eager())
def eager_model():
    return "weights"

@dg.asset(partitions_def=runs)
def report(model):
    read.append(model)

everything = [model, eager_model, report]
definitions = dg.Definitions(assets=everything)
with dg.instance_for_test() as instance:
    resources = {"io_manager": dg.FilesystemIOManager(base_dir="store")}
    instance.add_dynamic_partitions("runs", ["r0", "r1"])
    for partition in ("r0", "r1"):
        dg.materialize([model, eager_model], instance=instance, partition_key=partition, resources=resources)
    result = dg.evaluate_automation_conditions(definitions, instance=instance)
    instance.delete_dynamic_partition("runs", "r1")
    result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=result.cursor)
    deleted = sorted(instance.get_materialized_partitions(model.key))
    instance.add_dynamic_partitions("runs", ["r1", "r2"])
    result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=result.cursor)
    asked = {asset.key.to_user_string(): sorted(result.get_requested_partitions(asset.key)) for asset in (model, eager_model)}
    success = dg.materialize(
        everything, selection=[report], instance=instance, partition_key="r1", resources=resources).success
    try:
        instance.wipe_asset_partitions(model.key, ["r1"])
        wiped = True
    except NotImplementedError:
        wiped = False
print("materialised partitions while r1 is deleted:", deleted)
print("requested after r1 was added again and r2 for the first time:", asked)
print("the report of the new r1 read:", read, "wiping a partition works:", wiped)
if not (deleted == ["r0", "r1"] and asked == {"model": ["r2"], "eager_model": ["r2"]} and success
        and read == ["weights number 2"] and not wiped):
    sys.exit("differs from what is stated")
print("a partition that was deleted and added again counts as made")
P
"$work/venv/bin/python" seen.py
