"""The folder of one training run: its names, its seal, and which files belong to it.

::

    sentence-transformers-ft-<UNIX_TIMESTAMP>/
      checkpoints/<step>/                   the newest few, complete or absent
      <base model with / as -->-ft/         the fine-tuned model; eval/ inside has one row an epoch
      manifest.json                         written last: a folder without it is unfinished
      binary_classification_evaluation_{pre,post}_train_results.csv (and .json)
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.embedding_models import UNSEALED_FILES
from pipeline.errors import PipelineError
from pipeline.references import FineTunedModel
from pipeline.storage import claim_folder, folder_sha256, json_text, write_text

STEM = "sentence-transformers-ft"


@dataclass(frozen=True)
class RunFolder:
    """One training run on disk.

    Attributes:
        path: absolute path of `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
    """

    path: Path

    @classmethod
    def claim(cls, parent: Path, unix_time: int, owner: str) -> "RunFolder":
        """The folder of this owner: made with this timestamp, or the next free one, or found again on a retry."""
        return cls(claim_folder(parent.absolute(), STEM, unix_time, owner))

    @property
    def checkpoints(self) -> Path:
        """Holds one folder for each kept checkpoint, named by its step."""
        return self.path / "checkpoints"

    def model(self, base_name: str) -> Path:
        """The fine-tuned model's folder: `BAAI/bge-small-en-v1.5` becomes `BAAI--bge-small-en-v1.5-ft`."""
        return self.path / f"{base_name.replace('/', '--')}-ft"

    @property
    def manifest(self) -> Path:
        """The seal."""
        return self.path / "manifest.json"

    def seal(self, result: FineTunedModel, fingerprint: str) -> None:
        """Write the manifest: the result and the SHA-256 of each file of the model, its card left out.

        Places in it are relative to the run folder, which may be copied or looked at from another machine.
        """
        files = _sealed_files(self.path / result.model.name)
        manifest = {"fingerprint": fingerprint, "result": result.at(".").model_dump(), "sha256": files}
        write_text(self.manifest, json_text(manifest))

    def sealed_result(self, fingerprint: str) -> FineTunedModel | None:
        """The result of a finished run with this fingerprint; None when the run isn't finished.

        Raises:
            PipelineError: when the folder holds another training, or its files are not those that were sealed.
        """
        if not self.manifest.is_file():
            return None
        manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
        if manifest["fingerprint"] != fingerprint:
            raise PipelineError(
                f"{self.path} already holds a finished training of another recipe, data or base model: start a new run"
            )
        result = FineTunedModel.model_validate(manifest["result"]).at(str(self.path))
        if Path(result.model.name).name != result.model.name or result.model.name == "..":
            raise PipelineError(f"{self.manifest} names a model that lies outside, {result.model.name!r}")
        found = _sealed_files(Path(result.model.location))
        for name in sorted({*found, *manifest["sha256"]}):
            if found.get(name) != manifest["sha256"].get(name):
                raise PipelineError(f"{self.path / name} is not the file that was sealed: start a new run")
        return result


def _sealed_files(model: Path) -> dict[str, str]:
    """SHA-256 of each file that the seal covers, by path in the run folder."""
    return {f"{model.name}/{name}": digest for name, digest in folder_sha256(model, UNSEALED_FILES).items()}
