"""The job `publish` through the hub's real client, against a hub on this machine; each run is a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_runs import Config, failures, run_job
from damaged_production import DAMAGES
from loopback_hub import LoopbackHub, Repository, loopback_hub
from made_reports import a_training, before_and_after, finished_training

from pipeline.core.errors import ModelError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.promotion import Candidate
from pipeline.reporting.hub_upload import publish as push
from pipeline.reporting.options import Publication

TOKEN = "hf_a_secret_that_nobody_may_see"
ID = ("models", "team/duplicates")


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as running:
        running.write_token = TOKEN
        yield running


EXAMPLE = "model = SentenceTransformer({!r})"


@pytest.fixture
def model(pipeline_home: Path) -> Path:
    """The folder of a model in production."""
    trained = finished_training(pipeline_home / "runs" / "one")
    folder = Path(trained.model.location)
    (folder / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n# A card\n{EXAMPLE.format(str(folder))}\n")
    report = before_and_after()[1].model_copy(update={"model": trained.model})
    record = Candidate(trained, report, "0123abcd").promoted(None, datetime.now(UTC), is_rollback=False)
    store = VersionStore(str(pipeline_home))
    store_value(store, PRODUCTION, record, "0123abcd")
    return folder


def publish(hub: LoopbackHub, folder: Path, token: str = TOKEN, **config: object) -> subprocess.CompletedProcess[str]:
    """Run the job `publish` to its end."""
    path = folder / "publish.yaml"
    settings = {"ops": {"publish_production_model": {"config": {"repository": ID[1], **config}}}}
    path.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "pipeline.definitions", "-j", "publish"]
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [*command, "-c", str(path)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_the_model_is_pushed_to_a_private_repository_without_what_an_earlier_one_left(
    hub: LoopbackHub, model: Path, tmp_path: Path
) -> None:
    hub.repositories[ID] = Repository({"old.json": b"{}"}, private=True)
    result = publish(hub, tmp_path)
    assert result.returncode == 0, result.stderr
    files = hub.repositories[ID].files
    sent = {path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    # Whoever reads the card there loads the model from there.
    assert files.pop("README.md").decode() == sent.pop("README.md").decode().replace(str(model), ID[1])
    assert files == sent
    assert TOKEN not in result.stdout + result.stderr


@pytest.mark.slow
def test_a_new_repository_is_private(hub: LoopbackHub, model: Path, tmp_path: Path) -> None:
    result = publish(hub, tmp_path)
    assert result.returncode == 0, result.stderr
    assert hub.repositories[ID].private
    assert "model.safetensors" in hub.repositories[ID].files


@pytest.mark.slow
def test_a_public_repository_is_refused_and_nothing_is_sent(hub: LoopbackHub, model: Path, tmp_path: Path) -> None:
    hub.repositories[ID] = Repository({})
    result = publish(hub, tmp_path)
    assert result.returncode != 0
    assert "'team/duplicates' on the Hugging Face hub is public" in result.stderr
    assert hub.repositories[ID].files == {}


@pytest.mark.slow
def test_a_wrong_token_is_refused_in_one_line_that_does_not_show_it(
    hub: LoopbackHub, model: Path, tmp_path: Path
) -> None:
    result = publish(hub, tmp_path, token="hf_wrong")
    assert result.returncode != 0
    assert "repository 'team/duplicates' to write to" in result.stderr
    assert "hf_wrong" not in result.stdout + result.stderr
    assert ID not in hub.repositories


@pytest.mark.slow
def test_a_model_whose_files_have_changed_is_not_pushed(hub: LoopbackHub, model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").write_bytes(b"other")
    result = publish(hub, tmp_path)
    assert result.returncode != 0
    assert "is not the file that the manifest names" in result.stderr
    assert not any(request.startswith("POST") for request in hub.requests)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("kind", DAMAGES)
def test_an_unreadable_record_stops_publishing_in_one_line(pipeline_home: Path, kind: str) -> None:
    DAMAGES[kind].do(VersionStore(str(pipeline_home)))
    with dg.DagsterInstance.ephemeral() as instance:
        config: Config = {"publish_production_model": {"repository": ID[1]}}
        result = run_job("publish", pipeline_home, instance, config, raise_on_error=False)
    said = failures(result)["publish_production_model"]
    assert said.splitlines() == [said]
    assert said.startswith("the record of the model in production can't be read (")
    assert DAMAGES[kind].said in said
    assert said.endswith(": materialise production_model, with `run_id` to choose an earlier model")


def test_a_model_in_a_volume_is_refused_in_one_line() -> None:
    model = a_training("t1").at("modal-volume://runs")
    with pytest.raises(ModelError) as caught:
        push(model, Publication(repository="team/duplicates"))
    assert caught.value.values == {"location": "modal-volume://runs/some-model-ft"}


def test_the_launchpad_opens_with_a_placeholder_that_is_refused() -> None:
    result = defs.resolve_job_def("publish").execute_in_process(raise_on_error=False)
    (said,) = failures(result).values()
    assert said.startswith("publish_production_model.repository is the placeholder owner/name")
