"""Real training in real containers of the loopback Modal server, held against the same training on this machine."""

import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from modal_loopback import LoopbackModal
from modal_training import UNIX_TIME, VOLUME, Training
from sentence_transformers import SentenceTransformer
from tiny_models import make_model, query_prompt, tiny_tokenizer

from pipeline.compute.base import MeasuringJob, WorkRecord
from pipeline.compute.choice import backend, backends
from pipeline.compute.driver import measure, train
from pipeline.compute.local import LocalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_sha256
from pipeline.core.progress import CheckpointSaved, DevEvaluated, LogLine, TrainingStep, ignore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.work_records import StepRecords, recorded_calls
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute

pytestmark = pytest.mark.slow


def weights_on_modal(loopback: LoopbackModal, result: FineTunedModel, volume: str = VOLUME) -> str:
    return file_sha256(loopback.volume_files(volume)[f"{result.model.name}/model.safetensors"])


def weights_here(result: FineTunedModel) -> str:
    return file_sha256(Path(result.model.location) / "model.safetensors")


def test_the_weights_are_those_of_this_machine_and_lie_in_a_volume_of_the_seeds_layout(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    result = training.run(modal_compute)
    here = training.run(LocalCompute(tmp_path / "local"))

    assert weights_on_modal(modal_loopback, result) == weights_here(here)
    assert result.model.version == here.model.version
    assert result.run_folder == f"modal-volume://{VOLUME}"
    assert result.model.location == f"modal-volume://{VOLUME}/tiny-ft"
    assert result.base_model == here.base_model
    assert result.dev_evaluations == here.dev_evaluations
    files = modal_loopback.volume_files(VOLUME)
    assert {name.partition("/")[0] for name in files} == {"checkpoints", "tiny-ft", "manifest.json"}
    assert {name for name in files if name.startswith("tiny-ft/")} == {
        f"tiny-ft/{path.relative_to(here.model.location)}" for path in Path(here.model.location).rglob("*.*")
    }


def test_a_base_model_is_looked_at_in_a_container_and_refused_by_the_name_that_it_has_here(
    modal_compute: "ModalCompute", modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "base", **query_prompt())
    info = resolve_base_model(BaseModelChoice(model=str(folder)))
    assert modal_compute.inspect(info) == LocalCompute(tmp_path).inspect(info)
    tiny_tokenizer(pad_token=None).save_pretrained(folder)
    with pytest.raises(PipelineError, match=re.escape(f"the tokenizer of {folder} has no token to pad with")):
        modal_compute.inspect(resolve_base_model(BaseModelChoice(model=str(folder))))
    assert [call.function for call in modal_loopback.calls()] == ["inspect_model", "inspect_model"]


def test_the_call_is_recorded_before_it_is_waited_for_and_its_events_arrive(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    first_event_saw: list[WorkRecord] = []
    training.run(
        modal_compute, lambda event: first_event_saw.extend(training.submitted) if not first_event_saw else None
    )

    (call,) = training.submitted
    assert first_event_saw == [call]
    (trained,) = [each for each in modal_loopback.calls() if each.function == "fine_tune"]
    assert (call.call_id, call.place, call.url) == (trained.id, VOLUME, f"https://modal.com/id/{trained.id}")
    assert call.app == trained.app
    assert [event.step for event in training.events if isinstance(event, CheckpointSaved)] == list(range(5, 41, 5))
    assert CheckpointSaved(5, f"modal-volume://{VOLUME}/checkpoints/5") in training.events
    assert [event.step for event in training.events if isinstance(event, DevEvaluated)] == [20, 40]
    assert [event.step for event in training.events if isinstance(event, TrainingStep)][-1] == 40
    assert LogLine("a container works on a CPU") in training.events
    (usage,) = training.usages
    assert (usage.gpu, usage.attempts) == ("none", 1)
    assert usage.cost
    assert usage.cost.amount == 0


def test_code_is_deployed_and_inputs_are_uploaded_once(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    training.run(modal_compute)
    uploads = len(modal_loopback.requests("VolumePutFiles2"))
    training.recipe = training.recipe.model_copy(update={"epochs": 1})
    training.run(modal_compute)

    assert [each.version for each in modal_loopback.deployments()] == [1]
    assert len(modal_loopback.requests("VolumePutFiles2")) == uploads
    assert f"sentence-transformers-ft-{UNIX_TIME + 1}" in modal_loopback.volumes()
    inputs = modal_loopback.volume_files("sentence-transformers-ft-inputs")
    assert {f"pairs/{table.data_version}.parquet" for table in (training.train, training.dev)} < set(inputs)


def test_several_trainings_of_one_run_have_calls_volumes_and_records_of_their_own(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    results: list[FineTunedModel] = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> None:
        caller, run = StepRecords(context, "modal"), RunIdentity(context.run.run_id, UNIX_TIME)
        for epochs in (1, 2):
            recipe = training.recipe.model_copy(update={"epochs": epochs})
            job = TrainingJob(training.train, training.dev, training.base_model, recipe)
            results.append(train(modal_compute, job, run, ignore, caller))

    def trainings() -> list[str]:
        return [each.id for each in modal_loopback.calls() if each.function == "fine_tune"]

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([trained], instance=instance).success
        (run,) = instance.get_runs()
        # What a sensor ends when the run is cancelled.
        assert {call for _, call in recorded_calls(backend("modal"), run.tags)} == set(trainings())
        volumes = {value for tag, value in run.tags.items() if tag.endswith(".volume")}
        assert volumes == {VOLUME, f"sentence-transformers-ft-{UNIX_TIME + 1}"}
        assert [result.run_folder for result in results] == [f"modal-volume://{volume}" for volume in sorted(volumes)]
        assert [result.steps for result in results] == [20, 40]

        # Each is found again by its own record.
        assert dg.materialize([trained], instance=instance).success
        assert results[2:] == results[:2]
        assert len(trainings()) == 2


def test_the_model_comes_down_when_it_is_asked_for_and_is_evaluated_alike_on_both_sides(
    training: Training, modal_compute: "ModalCompute", tmp_path: Path
) -> None:
    result = training.run(modal_compute, download_model=True)
    folder = tmp_path / "runs" / VOLUME
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "tiny-ft"]
    assert SentenceTransformer(str(folder / "tiny-ft"), device="cpu").encode(["A question?"]).shape == (1, 32)

    options = EvaluationOptions(device="cpu", precision="fp32")
    local = LocalCompute(tmp_path / "local")
    remote = MeasuringJob(result.model, training.dev, training.train, options)
    there = measure(modal_compute, remote, ignore)
    downloaded = MeasuringJob(result.at(str(folder)).model, training.dev, training.train, options)
    here = measure(local, downloaded, ignore)
    for name, scores in here.eval_scores.items():
        assert there.eval_scores[name] == pytest.approx(scores, abs=1e-6)
    # As the definitions do, so that the way to the model can be named.
    backends()
    with pytest.raises(PipelineError, match=f"is at modal-volume://{VOLUME}/tiny-ft.*set PIPELINE_COMPUTE=modal"):
        measure(local, remote, ignore)


def test_modals_own_command_lists_the_volume_and_brings_the_model_down(
    training: Training, modal_compute: "ModalCompute", tmp_path: Path
) -> None:
    training.run(modal_compute)
    (tmp_path / "dump").mkdir()
    listed = modal_command("volume", "ls", VOLUME)
    modal_command("volume", "get", VOLUME, "tiny-ft", str(tmp_path / "dump"))
    assert all(name in listed for name in ("checkpoints", "tiny-ft", "manifest.json"))
    assert SentenceTransformer(str(tmp_path / "dump" / "tiny-ft"), device="cpu").encode(["Hm?"]).shape == (1, 32)


def modal_command(*arguments: str) -> str:
    command = [sys.executable, "-m", "modal", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_container_that_is_killed_or_preempted_goes_on_and_ends_with_the_very_same_weights(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    training.recipe = training.recipe.model_copy(update={"epochs": 10})
    moments = random.Random(7)
    harm: list[Callable[[str], None]] = [
        modal_loopback.kill_container,
        modal_loopback.preempt_container,
        modal_loopback.kill_container,
    ]

    def disturb(event: object) -> None:
        # At a random moment after the checkpoint at step 20 of every attempt, as long as there is harm left to do.
        if not harm or not isinstance(event, TrainingStep) or event.step <= 25:
            return
        working = {each.task_id for each in modal_loopback.containers() if each.function == "fine_tune"}
        for task_id in working.difference(harmed):
            harmed.append(task_id)
            threading.Timer(moments.uniform(0, 0.5), harm.pop(0), [task_id]).start()

    harmed: list[str] = []
    result = training.run(modal_compute, disturb)

    (call,) = [each for each in modal_loopback.calls() if each.function == "fine_tune"]
    assert (call.tries, call.state) == (4, "succeeded")
    assert training.usages[-1].attempts == 4
    here = training.run(LocalCompute(tmp_path / "local"))
    assert weights_on_modal(modal_loopback, result) == weights_here(here)
    starts = [index for index, event in enumerate(training.events) if event == LogLine("a container works on a CPU")]
    assert len(starts) == 4
    for start in starts[1:]:
        resumed = next(event for event in training.events[start:] if isinstance(event, TrainingStep))
        assert resumed.step > 20


def test_a_teacher_travels_there_as_base_models_do(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    teacher = resolve_base_model(BaseModelChoice(model=str(make_model(tmp_path / "teacher", pooling=("mean", "max")))))
    knobs = {"loss_weights": {"distillation_embeddings": 5.0}, "teacher_model": teacher.location, "epochs": 1}
    recipe = Recipe.model_validate(training.recipe.model_dump() | knobs)
    job = TrainingJob(training.train, training.dev, training.base_model, recipe, teacher)
    run = RunIdentity("run", UNIX_TIME)
    there = train(modal_compute, job, run, ignore)
    here = train(LocalCompute(tmp_path / "local"), job, run, ignore)
    assert there.teacher_version == here.teacher_version == teacher.version
    assert weights_on_modal(modal_loopback, there) == weights_here(here)
    untaught = replace(job, recipe=recipe.model_copy(update={"loss_weights": {}, "teacher_model": None}), teacher=None)
    assert weights_here(train(LocalCompute(tmp_path / "untaught"), untaught, run, ignore)) != weights_here(here)
