"""Stores the values of assets by content version, with a pointer to the current one.

Layout below the home folder (`PIPELINE_HOME`), for every asset::

    <asset>/<version>.parquet | <version>.json | <version>/…     the values, each written once
    <asset>/runs/<run id>.json                                   the version that a run made
    <asset>/current.json                                         the version that was made last

A version is a content hash. Where two values have the same version and differ in what it leaves out, such as speed, the
second one's name has the head of its file's hash after the version. A run reads what it made itself before what is
current, so it never reads the rows of another run.

Assets that belong together, such as the three splits, have one file with their pointers, so that a reader finds values
of one run, whatever happened to the writer::

    together/<name>/runs/<run id>.json, together/<name>/current.json

Their own pointers are written after it, for lists of the assets.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import MismatchError, NotFoundError, PipelineError
from pipeline.core.files import bytes_sha256, free_name, write_bytes
from pipeline.core.locks import locked
from pipeline.core.pointers import Pointer, PointerSet, changed, pointer_of, read_pointer, unreadable
from pipeline.core.values import StoredValue

if TYPE_CHECKING:
    from upath import UPath

__all__ = ["Pointer", "VersionStore", "changed", "register_together", "stored_text", "unreadable"]

ValueT = TypeVar("ValueT", bound=StoredValue)


_CURRENT = "current.json"
NOTHING = "nothing"
UNREADABLE = "unreadable"
_SUCCESSORS = "after"
_TOGETHER_FOLDER = "together"
_CREATE_ONCE = {"s3", "s3a", "gs", "gcs", "memory"}
"""Protocols whose fsspec implementations create a file only where there is none (`mode="create"`), by a conditional
write of the store."""

_TOGETHER: dict[str, tuple[str, ...]] = {}


def register_together(name: str, assets: Sequence[str]) -> None:
    """Publish these assets together or not at all, under this name."""
    _TOGETHER[name] = tuple(assets)


def _set_of(asset: str) -> str | None:
    """The name of the set that an asset is published with; None where it is published alone."""
    return next((name for name, assets in _TOGETHER.items() if asset in assets), None)


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
        # A slow import, and few homes are URLs.
        from upath import UPath

        path = UPath(self.home)
        return Path(path.path).expanduser().absolute() if path.protocol in ("", "file", "local") else path

    def folder(self, asset: str) -> "UPath | Path":
        """The folder of one asset."""
        return self.root / asset

    # --- writing ---

    def point_to(self, asset: str, pointer: Pointer) -> None:
        """Record what a run made and make it current, each atomically, the run's own record first."""
        if name := _set_of(asset):
            with locked(self._set_folder(name)):
                self._publish(name, {**self._current_set(name), asset: pointer}, pointer.run_id, {asset: pointer})
        else:
            self.note_run(asset, pointer)
            write_bytes(self.folder(asset) / _CURRENT, pointer.to_checked_json())

    def point_to_together(self, pointers: Mapping[str, Pointer], run_id: str) -> None:
        """As `point_to`, for all assets of a registered set, or for none of them.

        Raises:
            ValueError: when they are no registered set.
        """
        name = next((name for name, assets in _TOGETHER.items() if set(assets) == set(pointers)), None)
        if name is None:
            raise ValueError(f"{', '.join(pointers)} are not registered as a set")
        with locked(self._set_folder(name)):
            self._publish(name, pointers, run_id, pointers)

    def note_run(self, asset: str, pointer: Pointer) -> None:
        """Record what a run made, and leave the current value as it is."""
        write_bytes(self.folder(asset) / "runs" / f"{pointer.run_id}.json", pointer.to_checked_json())

    def write(self, asset: str, value: StoredValue, run_id: str) -> Pointer:
        """Write a value of one file; returns a pointer to it, which is not stored yet."""
        folder, content = self.folder(asset), stored_text(value).encode()
        with locked(folder):
            file = free_name(folder, f"{value.data_version}.json", content)
            write_bytes(folder / file, content)
        return Pointer(version=value.data_version, file=file, run_id=run_id, sha256=bytes_sha256(content))

    def state(self, asset: str) -> str:
        """The current state for `replace`: the hash of the pointer's bytes, `nothing`, or `unreadable`."""
        try:
            content = self._current(asset)
        except PipelineError:
            # An unreadable pointer is replaced.
            return UNREADABLE
        return NOTHING if content is None else bytes_sha256(content)

    def replace(self, asset: str, state: str, pointer: Pointer) -> bool:
        """As `point_to`, unless something else has become current since `state` was called.

        On this machine the kernel's lock on the asset's folder makes it one operation. On a store that can create a
        file only where there is none, the successor of each state is such a file. Other stores have no guard (see
        `unguarded`).

        Returns:
            Whether it is current now.
        """
        folder, text = self.folder(asset), pointer.to_checked_json()
        with locked(folder):
            if self.state(asset) != state:
                return False
            if not isinstance(folder, Path) and self._creates_once:
                successor = folder / _SUCCESSORS / f"{state}.json"
                try:
                    successor.fs.pipe_file(successor.path, text, mode="create")
                except FileExistsError:
                    return False
            self.note_run(asset, pointer)
            write_bytes(folder / _CURRENT, text)
        return True

    @property
    def unguarded(self) -> str:
        """A warning where two writers could overwrite each other; empty where a lock or the store prevents it."""
        if isinstance(self.root, Path) or self._creates_once:
            return ""
        return "nothing guards this PIPELINE_HOME against two promotions at once: promote from one place at a time"

    @property
    def _creates_once(self) -> bool:
        root = self.root
        return not isinstance(root, Path) and root.protocol in _CREATE_ONCE

    def _current(self, asset: str) -> bytes | None:
        """The bytes of the current pointer. Where successors are files of their own, the last one counts: whoever made
        it may not have come to write `current.json`."""
        folder = self.folder(asset)
        try:
            content = (folder / _CURRENT).read_bytes()
        except FileNotFoundError:
            content = None
        except OSError as error:
            raise unreadable(asset, folder / _CURRENT, error) from error
        if not self._creates_once:
            return content
        while True:
            state = NOTHING if content is None else bytes_sha256(content)
            try:
                content = (folder / _SUCCESSORS / f"{state}.json").read_bytes()
            except FileNotFoundError:
                return content

    def _set_folder(self, name: str) -> "UPath | Path":
        return self.root / _TOGETHER_FOLDER / name

    def _current_set(self, name: str) -> Mapping[str, Pointer]:
        try:
            return read_pointer(PointerSet, self._set_folder(name) / _CURRENT, name).pointers
        except (FileNotFoundError, PipelineError):
            # An unreadable pointer is replaced.
            return {}

    def _publish(
        self, name: str, pointers: Mapping[str, Pointer], run_id: str, changed_ones: Mapping[str, Pointer]
    ) -> None:
        text = PointerSet(pointers=dict(pointers), run_id=run_id).to_checked_json()
        write_bytes(self._set_folder(name) / "runs" / f"{run_id}.json", text)
        write_bytes(self._set_folder(name) / _CURRENT, text)
        for asset, pointer in changed_ones.items():
            self.note_run(asset, pointer)
            write_bytes(self.folder(asset) / _CURRENT, pointer.to_checked_json())

    # --- finding ---

    def has(self, asset: str) -> bool:
        """Whether the asset has ever been stored here."""
        return self._current(asset) is not None

    def assets(self) -> list[str]:
        """The assets that have a current value, in alphabetical order."""
        return sorted(path.parent.name for path in self.root.glob("*/current.json"))

    def resolve(self, asset: str, run_ids: Sequence[str] = ()) -> Pointer:
        """The pointer of the first of `run_ids` that made this asset, else the current one.

        Raises:
            NotFoundError: when there is none.
            PipelineError: when it can't be read.
        """
        folder, name = self.folder(asset), _set_of(asset)
        for place in [*(f"runs/{run_id}.json" for run_id in run_ids), _CURRENT]:
            if name and (pointer := self._in_set(name, asset, place)):
                return pointer
            try:
                if place != _CURRENT:
                    return read_pointer(Pointer, folder / place, asset)
                if (content := self._current(asset)) is not None:
                    return pointer_of(Pointer, content, folder / place, asset)
            except FileNotFoundError:
                continue
        raise NotFoundError(f"there is no {asset} in {self.home} yet: make it first", asset=asset, home=self.home)

    def _in_set(self, name: str, asset: str, place: str) -> Pointer | None:
        try:
            return read_pointer(PointerSet, self._set_folder(name) / place, asset).pointers.get(asset)
        except FileNotFoundError:
            return None

    def pointer_files(self) -> "Iterator[tuple[str, UPath | Path, type[Pointer | PointerSet]]]":
        """(asset or name of a set, path, type) of every pointer."""
        kinds: tuple[tuple[str, type[Pointer | PointerSet]], ...] = (
            ("*", Pointer),
            (f"{_TOGETHER_FOLDER}/*", PointerSet),
        )
        for folder, kind in kinds:
            current: list[UPath | Path] = list(self.root.glob(f"{folder}/{_CURRENT}"))
            yield from ((path.parent.name, path, kind) for path in sorted(current, key=str))
            runs: list[UPath | Path] = list(self.root.glob(f"{folder}/runs/*.json"))
            yield from ((path.parent.parent.name, path, kind) for path in sorted(runs, key=str))

    def pointers_in(self, name: str, path: "UPath | Path", kind: type[Pointer | PointerSet]) -> Mapping[str, Pointer]:
        """The pointers in one of `pointer_files`, by asset.

        Raises:
            PipelineError: when it can't be read.
        """
        found = read_pointer(kind, path, name)
        return found.pointers if isinstance(found, PointerSet) else {name: found}

    def files_beside(self, asset: str, pointer: Pointer) -> "Mapping[UPath | Path, str]":
        """SHA-256 of each file next to the one that a pointer names, according to that file.

        Raises:
            DamagedError: when it is missing, or isn't what was written.
        """
        path = self.folder(asset) / pointer.file
        if path.suffix != ".json":
            return {}
        files = _document(self.read_bytes(asset, pointer), asset, path).get("files", {})
        return {path.parent / name: sha256 for name, sha256 in files.items()}

    def made_by(self, asset: str, run_id: str) -> Pointer | None:
        """The pointer that this run has recorded for an asset; None where there is no readable one."""
        try:
            return read_pointer(Pointer, self.folder(asset) / "runs" / f"{run_id}.json", asset)
        except (FileNotFoundError, PipelineError):
            return None

    def of_run(self, asset: str, run_id: str) -> Pointer:
        """The pointer of one run for an asset; the beginning of its id is enough, as the UI shows it.

        Raises:
            NotFoundError: when no run of that id made it, or several did.
            PipelineError: when its pointer can't be read.
        """
        folder = self.folder(asset) / "runs"
        found = sorted(path for path in folder.glob("*.json") if path.name.startswith(run_id)) if run_id else []
        if len(found) != 1:
            matches = f"{len(found)} runs begin with it" if found else "no run has this id"
            raise NotFoundError(
                f"run {run_id!r} made no {asset} in {self.home}, as {matches}: take the whole id from the UI",
                run_id=run_id,
                asset=asset,
                matches=len(found),
            )
        return read_pointer(Pointer, found[0], asset)

    # --- reading ---

    def read_bytes(self, asset: str, pointer: Pointer) -> bytes:
        """The bytes of the file that a pointer names.

        Raises:
            DamagedError: when it is missing, or isn't what was written.
        """
        path = self.folder(asset) / pointer.file
        try:
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            raise unreadable(asset, path, error) from error
        if pointer.sha256 is not None and bytes_sha256(content) != pointer.sha256:
            raise changed(asset, path)
        return content

    def read(self, asset: str, kind: type[ValueT], pointer: Pointer) -> ValueT:
        """The value that a pointer stands for.

        Raises:
            PipelineError: when its file is missing, isn't what was written, or is of a newer release.
        """
        path = self.folder(asset) / pointer.file
        name, fields = _stored(self.read_bytes(asset, pointer), asset, path)
        if name != kind.stored_name:
            raise unreadable(asset, path, ValueError(f"it contains a {name}, not a {kind.stored_name}"))
        return _checked(kind, fields, asset, path, pointer)

    def read_any(self, asset: str, kinds: Mapping[str, type[StoredValue]], pointer: Pointer) -> StoredValue:
        """As `read`, of any of `kinds` (by their stored names).

        Raises:
            PipelineError: also when the file has another type.
        """
        path = self.folder(asset) / pointer.file
        name, fields = _stored(self.read_bytes(asset, pointer), asset, path)
        if name not in kinds:
            raise MismatchError(
                f"{asset}: {path} contains a {name}, which this release doesn't know: upgrade the project",
                path=path,
                type=name,
            )
        return _checked(kinds[name], fields, asset, path, pointer)

    def versions(self, asset: str, file: str) -> Iterator[Pointer]:
        """Every version of an asset that is stored as a folder with this file, of any run."""
        for name in sorted(path.parent.name for path in self.folder(asset).glob(f"*/{file}")):
            yield Pointer(version=name.partition("-")[0], file=f"{name}/{file}", run_id="")


def stored_text(value: StoredValue, files: Mapping[str, str] | None = None) -> str:
    """The JSON of a value, with its type's name and a checksum of itself, for `VersionStore.read`.

    Args:
        files: SHA-256 of each file next to it, by relative path.
    """
    fields = {"files": dict(files or {}), "type": value.stored_name, "value": value.model_dump(mode="json")}
    return checked_json(fields).decode()


def _stored(content: bytes, asset: str, path: "UPath | Path") -> tuple[str, Any]:
    """The stored name and the fields of the value in a file."""
    document = _document(content, asset, path)
    return str(document["type"]), document["value"]


def _document(content: bytes, asset: str, path: "UPath | Path") -> dict[str, Any]:
    try:
        document = read_checked(content)
        if not isinstance(document, dict) or not {"type", "value"} <= set(document) <= {"files", "type", "value"}:
            raise ValueError("it contains no stored value")
    except ValueError as error:
        raise unreadable(asset, path, error) from error
    return document


def _checked(kind: type[ValueT], fields: Any, asset: str, path: "UPath | Path", pointer: Pointer) -> ValueT:
    """The value of these fields, if it has the version of the pointer."""
    try:
        value = kind.from_stored(fields)
        version = value.data_version
    except PipelineError as error:
        raise error.prefixed(f"{asset}: can't read {path}: ") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(asset, path, error) from error
    if version != pointer.version:
        raise changed(asset, path)
    return value
