"""The seal of a training run: which files its model has, and whether they still are what was sealed."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel
from pipeline.core.storage import folder_sha256, json_text, write_text
from pipeline.models.embedding_models import UNSEALED_FILES

MANIFEST_NAME = "manifest.json"


class Manifest(BaseModel):
    """What `manifest.json` says.

    Attributes:
        fingerprint: of the recipe, the data versions and the base model.
        result: the training's result.
        sha256: of each file of the model by its path below the run folder, the model's card left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    result: FineTunedModel
    sha256: dict[str, str]


def write_manifest(root: Path, fingerprint: str, result: FineTunedModel) -> None:
    """Seal the run folder `root`: hash every file of the model, and write the manifest whole.

    Places in it are relative to the run folder, which may be copied or looked at from another machine.
    """
    files = _model_files(root, result.model.name)
    manifest = Manifest(fingerprint=fingerprint, result=result.at("."), sha256=files)
    write_text(root / MANIFEST_NAME, json_text(manifest.model_dump()))


def read_manifest(root: Path) -> Manifest:
    """The manifest of the run folder `root`, wherever that was copied to or mounted; no file is hashed.

    Its result's places are below `root`.

    Raises:
        PipelineError: when the folder isn't sealed, or its manifest can't be read.
    """
    path = root / MANIFEST_NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise PipelineError(
            f"{root} has no {MANIFEST_NAME}, so its training never finished: rematerialise fine_tuned_model"
        ) from None
    except (OSError, ValidationError) as error:
        raise PipelineError(f"can't read {path}: rematerialise fine_tuned_model") from error
    return manifest.model_copy(update={"result": manifest.result.at(str(root))})


def verify_files(root: Path, manifest: Manifest) -> None:
    """Hash every file of the model in the run folder `root` and hold it against the manifest.

    Paths are joined to `root`; where the training ran doesn't matter.

    Raises:
        PipelineError: for the first file that is missing, was added or has other bytes.
    """
    found = _model_files(root, manifest.result.model.name)
    for name in sorted({*found, *manifest.sha256}):
        if found.get(name) != manifest.sha256.get(name):
            raise PipelineError(f"{root / name} is not the file that was sealed: rematerialise fine_tuned_model")


def _model_files(root: Path, model: str) -> dict[str, str]:
    if Path(model).name != model or model == "..":
        raise PipelineError(f"the manifest in {root} names a model that lies outside: {model!r}")
    return {f"{model}/{name}": digest for name, digest in folder_sha256(root / model, UNSEALED_FILES).items()}
