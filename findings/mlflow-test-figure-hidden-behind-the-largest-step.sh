#!/usr/bin/env bash
# One would guess: a run's metric in `run.data.metrics`, in the table of runs and in `search_runs` is what was logged last.
# What happens: it is that of the largest step. A final test AP that is logged without a step has step 0 and stays invisible
#   behind the dev AP of step 300; so does a resumed training's AP of an earlier step. Of two values at one step and
#   millisecond the larger wins. An infinite metric is stored as 1.8e308, a number; and a NaN passes the filter
#   `metrics.ap != 0.5` while no comparison else finds it.
# Versions: mlflow-skinny 3.17.2 with SQLite.
# Source: discussed for the stores in mlflow/mlflow#999 and #1142 (order by step, timestamp, value); seen by running.
# Why it matters: "best run by AP" ranks runs by the figure of their last training step, not by the test figure that the
#   script logged after loading the best checkpoint.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 "sqlalchemy<3" "alembic<2" pandas==3.1.1 mlflow-tracing==3.17.2 numpy==2.4.6
cd "$work"
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import mlflow
print("mlflow", mlflow.__version__)
mlflow.set_tracking_uri("sqlite:///runs.db")
mlflow.set_experiment("duplicates")

def run(name, *values):
    with mlflow.start_run(run_name=name) as active:
        for value, step in values:
            mlflow.log_metric("ap", value, step=step)
    return mlflow.get_run(active.info.run_id).data.metrics["ap"]

seen = {
    "dev 0.80, 0.91 at steps 100, 300, then the test figure 0.77 without a step": run("a", (0.80, 100), (0.91, 300), (0.77, None)),
    "0.85 at step 300, then 0.90 at step 200 after a resume": run("b", (0.85, 300), (0.90, 200)),
    "minus infinity": run("c", (float("-inf"), 1)),
    "NaN": run("d", (float("nan"), 1)),
}
for name, value in seen.items():
    print(f"{name}: the run's ap is {value}")
order = mlflow.search_runs(order_by=["metrics.ap DESC"])["tags.mlflow.runName"].tolist()
unlike = mlflow.search_runs(filter_string="metrics.ap != 0.5")["tags.mlflow.runName"].tolist()
below = mlflow.search_runs(filter_string="metrics.ap < 0.5")["tags.mlflow.runName"].tolist()
above = mlflow.search_runs(filter_string="metrics.ap >= 0.5")["tags.mlflow.runName"].tolist()
print("best first:", order, "ap != 0.5:", sorted(unlike), "ap < 0.5:", below, "ap >= 0.5:", sorted(above))
a, b, infinite, nan = seen.values()
if not ((a, b) == (0.91, 0.85) and infinite == -sys.float_info.max and nan != nan and order[:2] == ["a", "b"]
        and sorted(unlike) == ["a", "b", "c", "d"] and below == ["c"] and sorted(above) == ["a", "b"]):
    sys.exit("differs from what is stated")
print("the run whose test AP is 0.77 is ranked first, by 0.91")
P
"$work/venv/bin/python" seen.py
