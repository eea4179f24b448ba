"""Verifies every stored file: pointers, the values that they name with their files, and run folders."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.checksums import read_checked
from pipeline.core.errors import PipelineError
from pipeline.core.files import bytes_sha256
from pipeline.core.store import Pointer, VersionStore
from pipeline.evaluation.results_csv import FILES_KEY
from pipeline.exporting.exported import ExportedModel
from pipeline.orchestration.asset_values import load_pointed
from pipeline.orchestration.steps import REMOVED_ASSETS
from pipeline.training.checkpoints import damage_of
from pipeline.training.manifest import MANIFEST_NAME, read_manifest, verify_files
from pipeline.training.run_folder import STEM


def damage_in(store: VersionStore, runs_folder: Path) -> Iterator[str]:
    """Yield a line for each file below a home and its run folders that is not what was written.

    Files of the first release, which wrote fewer hashes, are verified as far as those go.
    """
    seen: set[tuple[str, str]] = set()
    for name, path, kind in store.pointer_files():
        pointers: Mapping[str, Pointer] = {}
        try:
            pointers = store.pointers_in(name, path, kind)
        except PipelineError as error:
            yield str(error)
        for asset, pointer in pointers.items():
            if asset not in REMOVED_ASSETS and (key := (asset, pointer.file)) not in seen:
                seen.add(key)
                yield from _of_value(store, asset, pointer)
    for manifest in sorted(runs_folder.glob(f"{STEM}-*/{MANIFEST_NAME}")):
        yield from _of_run(manifest.parent)
    for checkpoint in sorted(runs_folder.glob(f"{STEM}-*/checkpoints/[0-9]*")):
        if reason := damage_of(checkpoint):
            yield f"the checkpoint {checkpoint} can't be used: {reason}"


def _of_value(store: VersionStore, asset: str, pointer: Pointer) -> Iterator[str]:
    side_files: Mapping[Any, str] = {}
    value: Any = None
    try:
        value = load_pointed(store, asset, pointer)
        side_files = store.files_beside(asset, pointer)
    except PipelineError as error:
        yield str(error)
    yield from _changed(side_files)
    if isinstance(value, ExportedModel):
        yield from _changed({store.root / value.folder / name: sha256 for name, sha256 in value.record.files.items()})


def _of_run(folder: Path) -> Iterator[str]:
    yield from _errors_of(lambda: verify_files(folder, read_manifest(folder)))
    for results in sorted(folder.glob("binary_classification_evaluation_*_results.json")):
        files: Mapping[str, str] = {}
        try:
            files = read_checked(results.read_bytes()).get(FILES_KEY, {})
        except (OSError, ValueError, AttributeError):
            yield f"{results} is not what was written: measure the model again"
        yield from _changed({folder / name: sha256 for name, sha256 in files.items()})


def _errors_of(verify: Callable[[], object]) -> Iterator[str]:
    try:
        verify()
    except PipelineError as error:
        yield str(error)


def _changed(files: Mapping[Any, str]) -> Iterator[str]:
    for path, sha256 in files.items():
        try:
            if bytes_sha256(path.read_bytes()) == sha256:
                continue
        except OSError:
            yield f"{path} is gone"
        else:
            yield f"{path} is not what was written"
