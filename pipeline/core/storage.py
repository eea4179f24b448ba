"""Where values lie and how they are written: atomic files, content versions, and pointers to the current one.

Layout below the home folder (`PIPELINE_HOME`), for every asset::

    <asset>/<version>.parquet | <version>.json | <version>/…     the values, each written once
    <asset>/runs/<run id>.json                                   which version a run made
    <asset>/current.json                                         which version was made last

A version is a content hash, so runs side by side can only write the same bytes to the same name. A run
reads what it made itself before it reads what is current, so it never picks up a neighbour's rows.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from pipeline.core.errors import PipelineError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
VERSION_LENGTH = 16
"""Hex digits of a data version: 64 bits, short enough to read in the UI."""


def default_home() -> str:
    """The home folder: `PIPELINE_HOME` (a path or any fsspec URL), else `.pipeline` in the project."""
    return os.environ.get("PIPELINE_HOME") or str(PROJECT_ROOT / ".pipeline")


def default_runs_folder() -> str:
    """Where run folders are made: `PIPELINE_RUNS_FOLDER`, else `runs/` in the home folder."""
    return os.environ.get("PIPELINE_RUNS_FOLDER") or f"{default_home().rstrip('/')}/runs"


def local_folder(folder: str) -> Path:
    """The absolute path of a folder on a local disk.

    Raises:
        PipelineError: for a URL: training writes checkpoints on a disk.
    """
    path = VersionStore(folder).root
    if not isinstance(path, Path):
        raise PipelineError(
            f"run folders can't be made in {folder}: set PIPELINE_RUNS_FOLDER to a folder on this machine"
        )
    return path


def json_text(value: Any) -> str:
    """Deterministic, readable JSON with a final newline."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def content_version(value: Any) -> str:
    """Version of a JSON-like value: the head of the SHA-256 of its canonical form."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_LENGTH]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path, ignore: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of each file below `folder`, by relative POSIX path in sorted order, `ignore`d names left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ignore)
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


@contextmanager
def replacing(path: UPath | Path) -> Iterator[UPath | Path]:
    """Give a temporary name beside `path` to write to, and rename it to `path` when the block ends well.

    On a local disk the bytes are flushed before the rename, so that `path` holds the old or the new file
    even after a power cut. An object store shows a file only when its upload is complete, so there the
    name itself is handed out.
    """
    if not isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: UPath | Path, text: str) -> None:
    """Write a UTF-8 text file atomically, replacing what was there."""
    write_bytes(path, text.encode())


def write_bytes(path: UPath | Path, content: bytes) -> None:
    """Write a file atomically, replacing what was there."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def claim_folder(parent: Path, stem: str, number: int, owner: str) -> Path:
    """Make or find the folder `<stem>-<number>` that belongs to `owner`; count up while others hold the number.

    A claim is a folder that already holds its owner's name, renamed into place: it is there whole or not
    at all, and two processes never get the same one. The same owner gets the same folder again.
    """
    parent.mkdir(parents=True, exist_ok=True)
    claim = parent / f".claim-{uuid.uuid4().hex}"
    claim.mkdir()
    try:
        (claim / OWNER_FILE).write_text(owner, encoding="utf-8")
        while True:
            folder = parent / f"{stem}-{number}"
            try:
                claim.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
            else:
                return folder
            if _owner_of(folder) == owner:
                return folder
            number += 1
    finally:
        shutil.rmtree(claim, ignore_errors=True)


OWNER_FILE = ".owner"


def _owner_of(folder: Path) -> str | None:
    try:
        return (folder / OWNER_FILE).read_text(encoding="utf-8")
    except OSError:
        return None


@dataclass(frozen=True)
class Pointer:
    """Which version of an asset was made, by which run, and in which file below the asset's folder."""

    version: str
    file: str
    run_id: str


@dataclass(frozen=True)
class VersionStore:
    """The values of all assets below one home folder.

    Attributes:
        home: a local path or any fsspec URL.
    """

    home: str

    @property
    def root(self) -> UPath | Path:
        """The home folder as a path object: a plain absolute `Path` on the local disk."""
        path = UPath(self.home)
        return Path(path.path).expanduser().absolute() if path.protocol in ("", "file", "local") else path

    def folder(self, asset: str) -> UPath | Path:
        """The folder of one asset."""
        return self.root / asset

    def point_to(self, asset: str, pointer: Pointer) -> None:
        """Record what `pointer.run_id` made and make it current, each atomically, the run's own record first."""
        text = json_text(asdict(pointer))
        write_text(self.folder(asset) / "runs" / f"{pointer.run_id}.json", text)
        write_text(self.folder(asset) / "current.json", text)

    def has(self, asset: str) -> bool:
        """Whether the asset has ever been materialised here."""
        return (self.folder(asset) / "current.json").exists()

    def resolve(self, asset: str, run_ids: Sequence[str] = ()) -> Pointer:
        """The pointer of the first of `run_ids` that made this asset, else the current one.

        Raises:
            PipelineError: when nothing has been materialised.
        """
        folder = self.folder(asset)
        for path in [*(folder / "runs" / f"{run_id}.json" for run_id in run_ids), folder / "current.json"]:
            try:
                return Pointer(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
        raise PipelineError(f"{asset} has not been materialised in {self.home}: materialise it first")

    def of_run(self, asset: str, run_id: str) -> Pointer:
        """What one run made of an asset; the head of its id is enough, as the UI shows it.

        Raises:
            PipelineError: when no run of that id made it, or several did.
        """
        folder = self.folder(asset) / "runs"
        found = sorted(path for path in folder.glob("*.json") if path.name.startswith(run_id)) if run_id else []
        if len(found) != 1:
            known = "several runs begin like that" if found else "no run of that id did"
            raise PipelineError(
                f"run {run_id!r} made no {asset} in {self.home}: {known}; take the whole id from the UI"
            )
        return Pointer(**json.loads(found[0].read_text(encoding="utf-8")))
