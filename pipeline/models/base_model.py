"""Resolve a base model by name: the bundled one, a folder or a model of the Hugging Face hub, with safetensors weights.

`pipeline.models.inspection` checks whether it can be used.
"""

from pathlib import Path

import safetensors
from huggingface_hub import snapshot_download

from pipeline.core.errors import DamagedError, ModelError, NotFoundError, SettingError, reason_of
from pipeline.core.files import content_version, folder_sha256
from pipeline.core.hub_errors import HUB_ERRORS, TIMEOUT, hub_error
from pipeline.models.bundled import BUNDLED_NAME, BUNDLED_VERSION, bundled_folder, require_bundled
from pipeline.models.decision import DECISION_FILE_NAME
from pipeline.models.folder import refuse_incomplete
from pipeline.models.info import CARD_FILES, ModelInfo
from pipeline.models.options import BaseModelChoice

_NOT_THE_MODEL = (*CARD_FILES, DECISION_FILE_NAME)
"""Files of a model folder that change no embedding, so that they are no part of the model's version."""


def resolve_base_model(choice: BaseModelChoice) -> ModelInfo:
    """Resolve the model once, so that everything downstream uses the same one.

    Raises:
        PipelineError: when it can't be found, has no safetensors weights or damaged ones, lacks other files, or is
            bundled and not what it was.
    """
    if choice.model == "bundled":
        _refuse_revision(choice)
        folder = bundled_folder()
        require_bundled(folder)
        return ModelInfo(kind="bundled", name=BUNDLED_NAME, location=str(folder), version=BUNDLED_VERSION)
    folder = Path(choice.model).expanduser()
    if folder.is_dir():
        _refuse_revision(choice)
        if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise ModelError(
                f"the model folder {folder.resolve()} has neither modules.json nor config.json: name the folder that "
                "`save_pretrained` wrote",
                path=folder,
            )
        folder = folder.resolve()
        _refuse_damaged_weights(folder)
        version = model_folder_version(folder)
        refuse_incomplete(folder)
        return ModelInfo(kind="folder", name=folder.name, location=str(folder), version=version)
    if choice.model.count("/") != 1 or choice.model.startswith((".", "/", "~")):
        raise NotFoundError(
            f"no base model {choice.model!r}: it is neither `bundled`, nor a folder, nor a hub id like "
            "BAAI/bge-small-en-v1.5",
            model=choice.model,
        )
    snapshot, commit = download_model(choice.model, choice.revision)
    refuse_incomplete(snapshot)
    return ModelInfo(kind="hub", name=choice.model, location=choice.model, revision=commit, version=commit)


def _refuse_revision(choice: BaseModelChoice) -> None:
    if choice.revision:
        raise SettingError(
            f"base model {choice.model!r} has no revisions, but revision is {choice.revision!r}: leave it out",
            model=choice.model,
            revision=choice.revision,
        )


def download_model(hub_id: str, revision: str | None) -> tuple[Path, str]:
    """The model's folder in the hub cache, and its commit."""
    wanted = f"base model {hub_id!r}" + (f" at revision {revision!r}" if revision else "")
    try:
        folder = Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors", "*.jinja"],
                ignore_patterns=["onnx/*", "openvino/*"],
                etag_timeout=TIMEOUT,
            )
        )
    except HUB_ERRORS as error:
        raise hub_error(error, wanted, "`model` and `revision`") from error
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(
            f"{wanted} has no safetensors weights: choose a revision that has", model=hub_id, revision=revision
        )
    return folder, folder.name


_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def model_folder_version(folder: Path) -> str:
    """Content hash of a model folder without its card and its decision.

    Raises:
        PipelineError: when the folder has no safetensors weights.
    """
    if not any(folder.rglob("*.safetensors")):
        pickled = sorted(path.name for path in folder.rglob("*") if path.suffix in _PICKLED)
        only = f", only pickled ones ({', '.join(pickled)}), which could run code when loaded" if pickled else ""
        raise ModelError(
            f"the model folder {folder} has no *.safetensors weights{only}: save the model with safe serialisation",
            path=folder,
        )
    return content_version(folder_sha256(folder, ignore=_NOT_THE_MODEL))


def _refuse_damaged_weights(folder: Path) -> None:
    for weights in sorted(folder.rglob("*.safetensors")):
        try:
            # Reads the header alone, which says how long the file must be.
            with safetensors.safe_open(weights, framework="np"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise DamagedError(
                f"the weights {weights} are damaged ({reason_of(error)}): copy or save them again", path=weights
            ) from error
