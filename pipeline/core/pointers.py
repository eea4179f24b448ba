"""Pointers to stored values: the version of an asset, the run that made it, and the hash of its file."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import ValidationError, field_validator

from pipeline.core.errors import DamagedError, PipelineError, reason_of
from pipeline.core.foreign_text import shortened
from pipeline.core.values import Stored, Upgrade

if TYPE_CHECKING:
    from pathlib import Path

    from upath import UPath

StoredT = TypeVar("StoredT", bound=Stored)


def _without_hash(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 added the file's hash."""
    if "sha256" in fields:
        raise ValueError("a pointer of schema 1 has no sha256")
    return {**fields, "sha256": None}


class Pointer(Stored):
    """Names one stored version of an asset.

    Attributes:
        file: path of the value's main file below the asset's folder.
        run_id: the run that made it.
        sha256: of the bytes of that file, which in turn has the hashes of the files next to it; None in pointers of
            the first release.
    """

    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: _without_hash}

    version: str
    file: str
    run_id: str
    sha256: str | None = None

    @field_validator("file")
    @classmethod
    def _lies_below_the_folder(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in file:
            raise ValueError(f"{file!r} is no path below the asset's folder")
        return file


class PointerSet(Stored):
    """Pointers of assets that belong together, in one file, so they are replaced together or not at all.

    Attributes:
        pointers: by asset.
        run_id: the run that made them.
    """

    pointers: dict[str, Pointer]
    run_id: str


def read_pointer(kind: type[StoredT], path: "UPath | Path", asset: str) -> StoredT:
    """The pointer in a file.

    Raises:
        FileNotFoundError: when there is none.
        PipelineError: when it can't be read: a `DamagedError`, or a `MismatchError` for one of a newer release.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(asset, path, error) from error
    return pointer_of(kind, content, path, asset)


def pointer_of(kind: type[StoredT], content: bytes, path: "UPath | Path", asset: str) -> StoredT:
    """As `read_pointer`, from the bytes of the file."""
    try:
        return kind.from_checked_json(content)
    except PipelineError as error:
        raise error.prefixed(f"{asset}: can't read {path}: ") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(asset, path, error) from error


def unreadable(asset: str, path: "UPath | Path", error: Exception) -> DamagedError:
    """The error to raise for a stored file that is missing or damaged."""
    return DamagedError(f"{asset}: can't read {path} ({_reason(error)})", make_again=asset, path=path)


def changed(asset: str, path: "UPath | Path") -> DamagedError:
    """The error to raise for a stored file whose content is not what was written."""
    return DamagedError(f"{asset}: the content of {path} has changed since it was written", make_again=asset, path=path)


_REASON_LENGTH = 100


def _reason(error: Exception) -> str:
    """The message of an error; the first field of a validation error."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        reason = reason_of(ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))
    elif isinstance(error, OSError) and error.strerror:
        # Without the path, which the line has already.
        reason = error.strerror
    else:
        reason = f"no {error}" if isinstance(error, KeyError) else reason_of(error)
    return shortened(reason, _REASON_LENGTH)
