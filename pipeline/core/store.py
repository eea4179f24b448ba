"""Where the values of assets lie: by content version, with a pointer to the current one.

Layout below the home folder (`PIPELINE_HOME`), for every asset::

    <asset>/<version>.parquet | <version>.json | <version>/…     the values, each written once
    <asset>/runs/<run id>.json                                   which version a run made
    <asset>/current.json                                         which version was made last

A version is a content hash, so runs side by side can only write the same bytes to the same name. A run
reads what it made itself before it reads what is current, so it never picks up a neighbour's rows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import json_text, write_text
from pipeline.core.values import Stored, StoredValue

if TYPE_CHECKING:
    from upath import UPath

ValueT = TypeVar("ValueT", bound=StoredValue)


class Pointer(Stored):
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
    def root(self) -> "UPath | Path":
        """The home folder as a path object: a plain absolute `Path` on the local disk."""
        if "://" not in self.home and "::" not in self.home:
            return Path(self.home).expanduser().absolute()
        # Costs more than all else here, and few homes are URLs.
        from upath import UPath

        path = UPath(self.home)
        return Path(path.path).expanduser().absolute() if path.protocol in ("", "file", "local") else path

    def folder(self, asset: str) -> "UPath | Path":
        """The folder of one asset."""
        return self.root / asset

    def point_to(self, asset: str, pointer: Pointer) -> None:
        """Record what `pointer.run_id` made and make it current, each atomically, the run's own record first."""
        text = json_text(pointer.model_dump())
        write_text(self.folder(asset) / "runs" / f"{pointer.run_id}.json", text)
        write_text(self.folder(asset) / "current.json", text)

    def has(self, asset: str) -> bool:
        """Whether the asset has ever been made here."""
        return (self.folder(asset) / "current.json").exists()

    def assets(self) -> list[str]:
        """The assets that have a current value, in alphabetical order."""
        return sorted(path.parent.name for path in self.root.glob("*/current.json"))

    def resolve(self, asset: str, run_ids: Sequence[str] = ()) -> Pointer:
        """The pointer of the first of `run_ids` that made this asset, else the current one.

        Raises:
            PipelineError: when there is none, or it can't be read.
        """
        folder = self.folder(asset)
        for path in [*(folder / "runs" / f"{run_id}.json" for run_id in run_ids), folder / "current.json"]:
            try:
                return _read_pointer(path, asset)
            except FileNotFoundError:
                continue
        raise PipelineError(f"there is no {asset} in {self.home} yet: make it first")

    def of_run(self, asset: str, run_id: str) -> Pointer:
        """What one run made of an asset; the head of its id is enough, as the UI shows it.

        Raises:
            PipelineError: when no run of that id made it, or several did, or its pointer can't be read.
        """
        folder = self.folder(asset) / "runs"
        found = sorted(path for path in folder.glob("*.json") if path.name.startswith(run_id)) if run_id else []
        if len(found) != 1:
            known = "several runs begin like that" if found else "no run of that id did"
            raise PipelineError(
                f"run {run_id!r} made no {asset} in {self.home}: {known}; take the whole id from the UI"
            )
        return _read_pointer(found[0], asset)

    def read(self, asset: str, kind: type[ValueT], pointer: Pointer) -> ValueT:
        """The value that a pointer stands for.

        Raises:
            PipelineError: when its file is gone, or isn't what was written.
        """
        path = self.folder(asset) / pointer.file
        name, fields = _stored(path, asset)
        if name != kind.stored_name:
            raise unreadable(asset, path, ValueError(f"it holds a {name}, not a {kind.stored_name}"))
        return _checked(kind, fields, asset, path, pointer)

    def read_any(self, asset: str, kinds: Mapping[str, type[StoredValue]], pointer: Pointer) -> StoredValue:
        """As `read`, of whichever of `kinds` (by their stored names) the file holds.

        Raises:
            PipelineError: also when it holds a type that isn't among them.
        """
        path = self.folder(asset) / pointer.file
        name, fields = _stored(path, asset)
        if name not in kinds:
            raise PipelineError(f"{asset}: {path} holds a {name}, which this release doesn't know: upgrade the project")
        return _checked(kinds[name], fields, asset, path, pointer)

    def versions(self, asset: str, file: str) -> Iterator[Pointer]:
        """Every version of an asset that is stored as a folder with this file in it, whichever run made it."""
        for version in sorted(path.parent.name for path in self.folder(asset).glob(f"*/{file}")):
            yield Pointer(version=version, file=f"{version}/{file}", run_id="")


def stored_text(value: StoredValue) -> str:
    """What `VersionStore.read` reads: JSON with the type's name."""
    return json_text({"type": value.stored_name, "value": value.model_dump(mode="json")})


def unreadable(asset: str, path: "UPath | Path", error: Exception) -> PipelineError:
    """The error for a stored file that is gone or damaged."""
    return PipelineError(f"{asset}: can't read {path} ({_reason(error)})", make_again=asset)


def changed(asset: str, path: "UPath | Path") -> PipelineError:
    """The error for a stored file whose content has another version than its name."""
    return PipelineError(f"{asset}: the content of {path} has changed since it was written", make_again=asset)


def _stored(path: "UPath | Path", asset: str) -> tuple[str, Any]:
    """The stored name and the fields of the value in a file."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return str(stored["type"]), stored["value"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(asset, path, error) from error


def _checked(kind: type[ValueT], fields: Any, asset: str, path: "UPath | Path", pointer: Pointer) -> ValueT:
    """The value of these fields, if it has the version that the pointer says."""
    try:
        value = kind.from_stored(fields)
        version = value.data_version
    except PipelineError as error:
        raise PipelineError(f"{asset}: can't read {path}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(asset, path, error) from error
    if version != pointer.version:
        raise changed(asset, path)
    return value


def _read_pointer(path: "UPath | Path", asset: str) -> Pointer:
    try:
        return Pointer.from_stored_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except PipelineError as error:
        raise PipelineError(f"{asset}: can't read {path}: {error}") from error
    except (OSError, ValueError) as error:
        raise unreadable(asset, path, error) from error


def _reason(error: Exception) -> str:
    """What went wrong; of a value that lacks or has too many fields, the first field."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"no {error}" if isinstance(error, KeyError) else reason_of(error)
