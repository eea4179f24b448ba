"""A base model of the Hugging Face hub is fetched by the container, with a token that only containers get, and once."""

from collections.abc import Iterator
from pathlib import Path

import modal
import pytest
from loopback_hub import LoopbackHub, Repository, loopback_hub
from modal_loopback import LoopbackModal
from modal_training import Training, fresh_compute

from pipeline.compute.base import MeasuringJob
from pipeline.compute.driver import measure
from pipeline.core.progress import ignore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.info import ModelInfo

pytestmark = pytest.mark.slow

TOKEN = "hf_of_the_containers"
OPTIONS = EvaluationOptions(device="cpu")


@pytest.fixture
def private_model(training: Training) -> Iterator[tuple[LoopbackHub, ModelInfo]]:
    """A hub with a private model, and what is said of it."""
    folder = Path(training.base_model.location)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    repository = Repository(files, token=TOKEN)
    with loopback_hub() as hub:
        hub.repositories["models", "org/private"] = repository
        yield (
            hub,
            ModelInfo(
                kind="hub",
                name="org/private",
                location="org/private",
                revision=repository.commit,
                version=repository.commit,
            ),
        )


def test_a_private_hub_model_is_fetched_once_with_the_secrets_token(
    training: Training,
    private_model: tuple[LoopbackHub, ModelInfo],
    modal_loopback: LoopbackModal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    hub, model = private_model
    modal_loopback.set_container_environment(HF_ENDPOINT=hub.url)
    modal.Secret.objects.create("huggingface", {"HF_TOKEN": TOKEN})
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    monkeypatch.setenv("PIPELINE_MODAL_HF_SECRET", "huggingface")
    compute = fresh_compute(monkeypatch, tmp_path)

    job = MeasuringJob(model, training.dev, training.train, OPTIONS)
    first = measure(compute, job, ignore)
    fetched = [request for request in hub.requests if request.startswith("GET") and "safetensors" in request]
    second = measure(compute, job, ignore)
    again = [request for request in hub.requests if request.startswith("GET") and "safetensors" in request]

    assert fetched == again == [f"GET /org/private/resolve/{model.revision}/model.safetensors"]
    assert (first.eval_scores["cosine"] == second.eval_scores["cosine"]).all()
    cached = modal_loopback.volume_files("sentence-transformers-ft-hub-cache")
    assert any(name.endswith("/model.safetensors") for name in cached)
