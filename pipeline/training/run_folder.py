"""The folder of one training run: its name, what is in it, and whether it is finished.

::

    sentence-transformers-ft-<UNIX_TIMESTAMP>/
      checkpoints/<step>/                   the newest few, complete or absent
      <base model with / as -->-ft/         the fine-tuned model; eval/ inside has one row an evaluation
      manifest.json                         written last by the training: a folder without it is unfinished
      binary_classification_evaluation_{pre,post}_train_results.csv (and .json)
      duplicate_probability.json, report.html
      .owner                                which run and training it belongs to
"""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import MismatchError
from pipeline.core.files import claim_folder
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.training.job import RunIdentity
from pipeline.training.manifest import MANIFEST_NAME, read_manifest, verify_files, write_manifest

STEM = "sentence-transformers-ft"


@dataclass(frozen=True)
class RunFolder:
    """One training run on disk.

    Attributes:
        path: absolute path of `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
    """

    path: Path

    @classmethod
    def claim(cls, parent: Path, run: RunIdentity, fingerprint: str) -> "RunFolder":
        """The folder of this training in this run: named by the run's time or the next free second.

        A retry of the run finds it again. Several trainings in one run have a folder each. A folder that the first
        release claimed for the whole run is taken over.
        """
        owner = f"{run.owner}/{fingerprint}"
        return cls(claim_folder(parent.absolute(), STEM, run.unix_time, owner, former_owner=run.owner))

    @property
    def checkpoints(self) -> Path:
        """Holds one folder for each kept checkpoint, named by its step."""
        return self.path / "checkpoints"

    def model(self, base_name: str) -> Path:
        """The fine-tuned model's folder: `BAAI/bge-small-en-v1.5` becomes `BAAI--bge-small-en-v1.5-ft`."""
        return self.path / f"{base_name.replace('/', '--')}-ft"

    @property
    def manifest(self) -> Path:
        """Where the manifest lies once the training is finished."""
        return self.path / MANIFEST_NAME

    def finish(self, result: FineTunedModel, fingerprint: str) -> None:
        """Write the manifest: the result and the SHA-256 of each file of the model, its card left out."""
        write_manifest(self.path, fingerprint, result)

    def finished_result(self, fingerprint: str) -> FineTunedModel | None:
        """The result of a finished run with this fingerprint; None when the run isn't finished.

        Raises:
            DamagedRunError: when its files are not those that were written.
            PipelineError: when the folder holds another training.
        """
        if not self.manifest.is_file():
            return None
        manifest = read_manifest(self.path)
        if manifest.fingerprint != fingerprint:
            raise MismatchError(
                f"{self.path} already holds a finished training of another recipe, data or base model: start a new run",
                path=self.path,
                fingerprint=fingerprint,
                found=manifest.fingerprint,
            )
        verify_files(self.path, manifest)
        return manifest.result
