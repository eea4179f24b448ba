"""The manifest of a finished training: the files of its model with their hashes, and verifying them."""

from pathlib import Path

from pipeline.core.errors import DamagedError, MismatchError, NotFoundError
from pipeline.core.files import folder_sha256, write_bytes
from pipeline.core.values import Stored
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import CARD_FILES

MANIFEST_NAME = "manifest.json"


class DamagedRunError(DamagedError):
    """A finished training whose manifest can't be read, or whose model has other files than were written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, make_again="model")


class Manifest(Stored):
    """What `manifest.json` says.

    Attributes:
        fingerprint: of the recipe, the data versions and the base model.
        result: the training's result.
        sha256: of each file of the model by its path below the run folder, the model's card left out.
    """

    fingerprint: str
    result: FineTunedModel
    sha256: dict[str, str]


def write_manifest(root: Path, fingerprint: str, result: FineTunedModel) -> None:
    """Finish the run folder `root`: hash every file of the model, and write the manifest whole.

    Places in it are relative to the run folder, which may be copied or looked at from another machine.
    """
    files = _model_files(root, result.model.name)
    manifest = Manifest(fingerprint=fingerprint, result=result.at("."), sha256=files)
    write_bytes(root / MANIFEST_NAME, manifest.to_checked_json())


def read_manifest(root: Path) -> Manifest:
    """The manifest of the run folder `root`, wherever that was copied to or mounted; no file is hashed.

    Its result's places are below `root`.

    Raises:
        DamagedRunError: when its manifest can't be read.
        PipelineError: when the training isn't finished, or a newer release wrote the manifest.
    """
    path = root / MANIFEST_NAME
    try:
        manifest = Manifest.from_checked_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(
            f"{root} has no {MANIFEST_NAME}, so its training never finished", make_again="model", path=path
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedRunError(f"can't read {path}: it isn't what was written") from error
    return manifest.model_copy(update={"result": manifest.result.at(str(root))})


def verify_files(root: Path, manifest: Manifest) -> None:
    """Hash every file of the model in the run folder `root` and hold it against the manifest.

    Paths are joined to `root`; where the training ran doesn't matter.

    Raises:
        DamagedRunError: for the first file that is missing, was added or has other bytes.
    """
    found = _model_files(root, manifest.result.model.name)
    for name in sorted({*found, *manifest.sha256}):
        if found.get(name) != manifest.sha256.get(name):
            raise DamagedRunError(f"{root / name} is not the file that the manifest names")


def verify_model(root: Path, version: str) -> None:
    """Check that the run folder `root` holds the model of this version, file by file.

    Raises:
        PipelineError: when the training isn't finished, the model is another one, or a file isn't the one written.
    """
    manifest = read_manifest(root)
    if (found := manifest.result.model.version) != version:
        raise MismatchError(
            f"the manifest of {root} is of model version {found}, not {version}",
            make_again="model",
            path=root,
            version=version,
            found=found,
        )
    verify_files(root, manifest)


def _model_files(root: Path, model: str) -> dict[str, str]:
    if Path(model).name != model or model == "..":
        raise DamagedError(f"the manifest in {root} names a model that lies outside: {model!r}", path=root, model=model)
    return {f"{model}/{name}": digest for name, digest in folder_sha256(root / model, CARD_FILES).items()}
