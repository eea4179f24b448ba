"""`production_model` in real Dagster runs, on made run folders and stored reports: promoted, refused, rolled back."""

import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from subprocess import PIPE
from typing import Any

import dagster as dg
import pytest
from dagster_runs import checks, failures, metadata, run
from damaged_production import DAMAGES, Damage
from effort import exhaustive, tries
from made_reports import before_and_after, finished_training, splits, with_average_precision

from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.core.values import Interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import load_value, store_together, store_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.production_record import ProductionModel, current_production, earlier_production
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting import result_files

ALONE = dg.AssetSelection.assets("production_model")
REPORT = before_and_after()[1]


@pytest.fixture
def store(pipeline_home: Path) -> VersionStore:
    found, cut = VersionStore(str(pipeline_home)), splits()
    store_together(found, {"train_split": cut.train, "dev_split": cut.dev, "eval_split": cut.eval}, "the splits")
    return found


def trained(store: VersionStore, name: str, ap: float, gain: float = 0.1, **changes: Any) -> str:
    """Leave what a run that trained this model would have left; returns the run's id."""
    run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    model = finished_training(Path(store.home) / "runs" / name, weights=name.encode())
    origin = changes.get("origin", model.origin)
    model = model.model_copy(update={"dev_version": splits().dev.data_version, "origin": origin})
    gains = {**REPORT.gains, "ap": Interval(estimate=gain, low=gain - 0.05, high=gain + 0.05)}
    scored = with_average_precision(REPORT, ap)
    report = scored.model_copy(update={"model": model.model, "gains": gains, **changes})
    values: dict[str, FineTunedModel | EvaluationReport] = {
        "fine_tuned_model": model,
        "post_train_eval_report": report,
    }
    with pytest.MonkeyPatch.context() as patch:
        # Drawing takes seconds, and has tests of its own.
        patch.setattr(result_files, "pictures", lambda report: [])
        for asset, value in values.items():
            store_value(store, asset, value, run_id)
    return run_id


def promote(store: VersionStore, *overrides: str) -> dg.ExecuteInProcessResult:
    """Materialise `production_model` alone."""
    settings = tuple(f"production_model.{override}" for override in overrides)
    with dg.DagsterInstance.ephemeral() as instance:
        return run(Path(store.home), None, instance, ALONE, settings, raise_on_error=False)


def current(store: VersionStore) -> ProductionModel:
    found = current_production(store, PRODUCTION)
    assert isinstance(found, ProductionModel)
    return found


def observation(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [
        e
        for e in result.all_events
        if e.event_type == dg.DagsterEventType.ASSET_OBSERVATION and e.step_key == "production_model"
    ]
    return {key: value.value for key, value in event.asset_observation_data.asset_observation.metadata.items()}


def test_the_first_model_that_gains_is_promoted(store: VersionStore) -> None:
    run_id = trained(store, "first", ap=0.8)
    result = promote(store)
    assert result.success
    assert current(store).run_id == run_id
    shown = metadata(result, "production_model")
    assert shown["decision"] == "promoted"
    assert shown["model"].endswith("first/some-model-ft")
    assert shown["history"].count(run_id[:8]) == 1
    assert all(check.passed for check in checks(result).values())


def test_a_worse_model_is_recorded_and_not_promoted(store: VersionStore) -> None:
    good, bad = trained(store, "good", ap=0.8), trained(store, "bad", ap=0.7)
    assert promote(store, f"run_id={good}").success
    result = promote(store)
    # A refusal is the pipeline at work, not a failed run.
    assert result.success
    assert not result.asset_materializations_for_node("production_model")
    assert current(store).run_id == good
    seen = observation(result)
    assert seen["decision"] == "refused"
    assert "average precision is 0.70" in seen["reason"]
    assert "that of the model in production 0.80" in seen["reason"]
    assert seen["compared_pairs"] == REPORT.pairs
    assert seen["candidate_run"] == bad
    found = checks(result)["production_model", "not_worse_than_current"]
    assert not found.passed
    assert found.metadata["value"].value == pytest.approx(-0.1, abs=0.005)
    assert found.metadata["threshold"].value == -0.005


def test_nothing_is_in_production_when_the_first_model_gains_nothing(store: VersionStore) -> None:
    trained(store, "first", ap=0.8, gain=0.01)
    result = promote(store)
    assert result.success
    assert current_production(store, PRODUCTION) is None
    assert observation(result)["in_production"] == "nothing"


def test_rolling_back_takes_an_earlier_run_and_keeps_the_history(store: VersionStore) -> None:
    runs = []
    for name, ap in (("first", 0.80), ("second", 0.85)):
        runs.append(trained(store, name, ap))
        assert promote(store).success
    assert current(store).run_id == runs[1]

    result = promote(store, f"run_id={runs[0][:8]}")
    assert metadata(result, "production_model")["decision"] == "rolled back"
    assert current(store).run_id == runs[0]
    assert current(store).is_rollback
    history = metadata(result, "production_model")["history"].splitlines()[2:]
    assert [line.split(" | ")[3] for line in history] == [run[:8] for run in (runs[0], runs[1], runs[0])]

    # The newest model comes back only if it is accepted against the one that was chosen.
    assert metadata(promote(store), "production_model")["decision"] == "promoted"
    assert current(store).run_id == runs[1]


def test_the_same_model_again_is_confirmed_without_a_new_record(store: VersionStore) -> None:
    trained(store, "only", ap=0.8)
    assert promote(store).success
    before = current(store)
    result = promote(store)
    assert metadata(result, "production_model")["decision"] == "confirmed"
    assert current(store) == before


@pytest.mark.parametrize("run_id", ["ffffffff", "00000000-0000-0000-0000-000000000000"])
def test_rolling_back_to_a_run_that_made_no_model_is_refused(store: VersionStore, run_id: str) -> None:
    trained(store, "only", ap=0.8)
    assert promote(store).success
    before = current(store)
    result = promote(store, f"run_id={run_id}")
    assert f"run '{run_id}' made no fine_tuned_model" in failures(result)["production_model"]
    assert current(store) == before


def test_a_model_whose_files_have_changed_is_not_promoted(store: VersionStore) -> None:
    run_id = trained(store, "only", ap=0.8)
    (Path(store.home) / "runs" / "only" / "some-model-ft" / "model.safetensors").write_bytes(b"other")
    for result in (promote(store), promote(store, f"run_id={run_id}")):
        said = failures(result)["production_model"]
        assert "model.safetensors is not the file that the manifest names" in said
        assert "\n" not in said
    assert current_production(store, PRODUCTION) is None


def test_a_model_whose_training_never_finished_is_not_promoted(store: VersionStore) -> None:
    trained(store, "only", ap=0.8)
    (Path(store.home) / "runs" / "only" / "manifest.json").unlink()
    assert "its training never finished" in failures(promote(store))["production_model"]
    assert current_production(store, PRODUCTION) is None


def test_a_report_on_other_pairs_needs_a_word_from_the_user(store: VersionStore) -> None:
    trained(store, "first", ap=0.8)
    promote(store)
    assert REPORT.baseline is not None
    baseline = REPORT.baseline.model_copy(update={"eval_version": "e-new"})
    run_id = trained(store, "second", ap=0.9, eval_version="e-new", baseline=baseline)
    said = observation(promote(store))["reason"]
    assert "they can't be compared: the eval pairs of the new model's report (version e-new) are not stored" in said
    assert promote(store, "on_other_eval_pairs=replace").success
    assert current(store).run_id == run_id


def test_a_model_of_own_pairs_replaces_the_quickstarts_without_any_setting(store: VersionStore) -> None:
    trained(store, "quickstart", ap=0.9)
    assert promote(store).success
    own = REPORT.origin.model_copy(update={"source": "support.csv", "synthetic": False})
    run_id = trained(store, "own", ap=0.7, origin=own)
    result = promote(store)
    assert metadata(result, "production_model")["decision"] == "promoted"
    assert current(store).run_id == run_id
    # The reverse is refused, however good it is.
    trained(store, "quickstart again", ap=0.95)
    assert observation(promote(store))["decision"] == "refused"
    assert current(store).run_id == run_id


# --- a record that can't be read ---


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest, store: VersionStore) -> Damage:
    """What happened to the record of the first model in production; a second, newer model is there."""
    trained(store, "first", ap=0.8)
    assert promote(store).success
    damage = DAMAGES[request.param]
    damage.do(store)
    trained(store, "second", ap=0.9)
    return damage


def files(store: VersionStore) -> dict[Path, bytes]:
    """All that is stored of the model in production."""
    folder = Path(store.home) / PRODUCTION
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unreadable_record_is_a_finding_with_a_way_out(store: VersionStore, damage: Damage) -> None:
    before = files(store)
    result = promote(store)
    # A refusal is the pipeline at work, not a failed run.
    assert result.success
    assert files(store) == before
    finding = checks(result)["production_model", "not_worse_than_current"]
    assert not finding.passed
    said = finding.description or ""
    assert said.startswith("they can't be compared: the record of the model in production can't be read (")
    assert damage.said in said
    assert said.endswith("set `on_other_eval_pairs: replace` to go by the gain over the baseline alone")
    assert "\n" not in said
    seen = observation(result)
    assert (seen["decision"], seen["reason"]) == ("refused", said)
    assert damage.said in seen["in_production"]


def test_a_model_is_promoted_over_an_unreadable_record_when_that_is_asked_for(
    store: VersionStore, damage: Damage
) -> None:
    result = promote(store, "on_other_eval_pairs=replace")
    assert metadata(result, "production_model")["decision"] == "promoted"
    assert current(store).model.model.location.endswith("second/some-model-ft")
    found = checks(result)["production_model", "not_worse_than_current"]
    assert found.passed
    assert damage.said in (found.description or "")
    # A gain is asked for still.
    trained(store, "third", ap=0.95, gain=0.01)
    assert observation(promote(store, "on_other_eval_pairs=replace"))["decision"] == "refused"
    # From then on all is as ever.
    trained(store, "fourth", ap=0.95)
    assert metadata(promote(store), "production_model")["decision"] == "promoted"


def test_rolling_back_goes_over_an_unreadable_record(store: VersionStore, damage: Damage) -> None:
    first = store.of_run("fine_tuned_model", str(uuid.uuid5(uuid.NAMESPACE_URL, "first"))).run_id
    result = promote(store, f"run_id={first}")
    shown = metadata(result, "production_model")
    assert shown["decision"] == "rolled back"
    assert (current(store).run_id, current(store).is_rollback) == (first, True)
    # The history goes back to the record that can't be read. Where only the pointer to it is damaged, it can be.
    newest, before = shown["history"].splitlines()[2:]
    assert first[:8] in newest
    assert (
        (first[:8] in before)
        if damage.spares_the_record
        else before.startswith("| ? | ") and before.endswith("| ? | ? | ? |")
    )


@pytest.mark.slow
def test_the_command_line_says_what_became_of_an_unreadable_record(store: VersionStore) -> None:
    first = trained(store, "first", ap=0.8)
    assert promote(store).success
    in_use = current(store).model.model.location
    DAMAGES["damaged JSON"].do(store)
    trained(store, "second", ap=0.9)
    command = [sys.executable, "-m", "pipeline", "materialize", "--select", "production_model"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Check ")]
    assert "production_model: they can't be compared: the record of the model in production can't be read" in line
    assert "`on_other_eval_pairs: replace`" in line

    # The roll-back says what is in use then.
    roll_back = [*command, "--set", f"production_model.run_id={first}"]
    result = subprocess.run(roll_back, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode == 0, result.stderr
    assert f"In use   {in_use}" in result.stdout.splitlines()


PROMOTED_AT_ONCE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.core.values import Interval
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.promotion import Comparison
from pipeline.quality.options import PromotionRules
from pipeline.quality.promotion import Candidate, promote

store, run = VersionStore(sys.argv[1]), sys.argv[2]
candidate = Candidate(
    store.read("fine_tuned_model", FineTunedModel, store.of_run("fine_tuned_model", run)),
    store.read("post_train_eval_report", EvaluationReport, store.of_run("post_train_eval_report", run)),
    run,
)
def compare(current):
    difference = candidate.report.cosine.ap - current.report.cosine.ap
    return Comparison(100, 0, 0, 0, Interval(estimate=difference, low=-1, high=1), False)

print("ready", flush=True)
sys.stdin.readline()
print(promote(store, PRODUCTION, candidate, PromotionRules(), compare, run, datetime.now(UTC)).outcome)
"""


@exhaustive
@pytest.mark.slow
def test_of_two_promotions_at_once_the_worse_model_never_wins_and_no_record_is_lost(
    store: VersionStore, tmp_path: Path
) -> None:
    """In processes of their own, which begin at the same moment."""
    better, worse = trained(store, "better", ap=0.9), trained(store, "worse", ap=0.7)
    for number in range(tries(1, 30)):
        home = tmp_path / f"home-{number}"
        for asset in ("fine_tuned_model", "post_train_eval_report"):
            shutil.copytree(Path(store.home) / asset, home / asset)
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", PROMOTED_AT_ONCE, str(home), run_id], stdin=PIPE, stdout=PIPE, text=True
            )
            # The worse one is started first every other time.
            for run_id in ((better, worse) if number % 2 else (worse, better))
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        said = [worker.communicate("go\n", timeout=60)[0].strip() for worker in workers]
        if number % 2:
            said.reverse()
        found = VersionStore(str(home))
        assert current(found).run_id == better, said
        history = [record.run_id for record in earlier_production(found, PRODUCTION, current(found))]  # type: ignore[union-attr]
        # Whoever came first: the worse one is refused, or is the record before.
        assert (tuple(said), history) in [(("refused", "promoted"), []), (("promoted", "promoted"), [worse])]


KILLED_WHILE_PROMOTING = """
import os, random, signal, sys, time
from datetime import UTC, datetime
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import store_value
from pipeline.quality.production_record import current_production
from pipeline.quality.promotion import Candidate

store, asset, kills = VersionStore(sys.argv[1]), "production_model", int(sys.argv[2])
candidates = [
    Candidate(
        store.read("fine_tuned_model", FineTunedModel, store.of_run("fine_tuned_model", run)),
        store.read("post_train_eval_report", EvaluationReport, store.of_run("post_train_eval_report", run)),
        run,
    )
    for run in sys.argv[3:]
]

def promote_for_ever():
    while True:
        for candidate in candidates:
            record = candidate.promoted(current_production(store, asset), datetime.now(UTC), is_rollback=False)
            store_value(store, asset, record, candidate.run_id)

for _ in range(kills):
    if not (child := os.fork()):
        promote_for_ever()
    time.sleep(random.uniform(0.01, 0.1))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the process ended by itself"
    # Reading checks the record's content against the pointer's version.
    print(current_production(store, asset).data_version, flush=True)
"""
"""Writes as `production_model` and its I/O manager do, in processes that are killed one after the other."""


@exhaustive
@pytest.mark.slow
def test_the_pointer_is_whole_after_many_kills(store: VersionStore) -> None:
    runs = [trained(store, name, ap) for name, ap in (("first", 0.80), ("second", 0.85))]
    assert promote(store).success
    kills = tries(40, 1_000)
    command = [sys.executable, "-c", KILLED_WHILE_PROMOTING, store.home, str(kills), *runs]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    versions = result.stdout.split()
    assert len(versions) == kills
    assert len(set(versions)) > 1, "nothing was written before the kills"
    assert promote(store).success


BUNDLED = ("base_model.model=bundled",)
"""A model that is good before, so that it can become worse."""

BAD_TRAINING = (
    *BUNDLED,
    "fine_tuned_model.learning_rate=1e-3",
    "fine_tuned_model.loss=cosent",
    "fine_tuned_model.epochs=4",
    # The dev split has true labels, and would keep the weights from before the harm.
    "fine_tuned_model.load_best_model_at_end=false",
)


@pytest.mark.slow
def test_a_model_trained_on_inverted_labels_is_measured_recorded_and_not_promoted(
    store: VersionStore, small_config: Path
) -> None:
    home = Path(store.home)
    rest = dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("base_model")
    worse = dg.AssetSelection.assets(
        "baseline_eval_report", "fine_tuned_model", "post_train_eval_report", "model_leaderboard", "production_model"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        run(home, small_config, instance, rest, BUNDLED)
        train = load_value(store, "train_split")
        assert isinstance(train, PairTable)
        # Shuffled ones do harm by chance: on some processors a model still gained.
        mislabelled = PairTable(train.pairs.assign(is_duplicate=~train.pairs["is_duplicate"]), train.origin)
        store_value(store, "train_split", mislabelled, "a mistake")
        result = run(home, small_config, instance, worse, BAD_TRAINING)
    assert result.success
    baseline, post = load_value(store, "baseline_eval_report"), load_value(store, "post_train_eval_report")
    assert isinstance(baseline, EvaluationReport)
    assert isinstance(post, EvaluationReport)
    assert post.cosine.ap < baseline.cosine.ap
    # Recorded: it stands on the leaderboard and in the events, below what it was trained from.
    assert metadata(result, "model_leaderboard")["models"] == 2
    seen = observation(result)
    assert seen["decision"] == "refused"
    assert not checks(result)["production_model", "gain_over_baseline"].passed
    assert current_production(store, PRODUCTION) is None
