"""Volumes as folders: the committed content, and the working copy that each container has of it."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from grpclib import GRPCError
from modal_proto import api_pb2 as pb

from .refusals import already_exists, invalid, not_found

BLOCK_BYTES = 8 * 1024 * 1024  # how a Volume of version 2 cuts its files

_Signature = tuple[str, int, int, int, int]


@dataclass(eq=False)
class Volume:
    """What has been committed to a Volume.

    Attributes:
        id: as the protocol knows it.
        name: as people know it; empty for a Volume without a name.
        root: folder that holds the content.
        created_at: seconds since the epoch.
    """

    id: str
    name: str
    root: Path
    created_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)

    @property
    def metadata(self) -> pb.VolumeMetadata:
        """What a client's handle holds."""
        creation = pb.CreationInfo(created_at=self.created_at, created_by="loopback")
        return pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2, name=self.name, creation_info=creation)

    def locate(self, path: str) -> Path:
        """Find where a path of the Volume lies; refuse one that climbs out of it."""
        relative = PurePosixPath("/", path).relative_to("/")
        located = self.root / relative
        if ".." in relative.parts or not located.resolve().is_relative_to(self.root.resolve()):
            raise invalid(f"path {path!r} climbs out of the volume")
        return located

    def find(self, path: str) -> Path:
        """Find an existing file or folder."""
        located = self.locate(path)
        if not located.exists():
            raise not_found("file or folder", path)
        return located

    def refusal_to_write(self, path: str, overwrite: bool) -> GRPCError | None:
        """Say why a file can't be put at a path, if it can't."""
        target = self.locate(path)
        if target == self.root or target.is_dir():
            return invalid(f"path {path!r} is a directory")
        if target.exists() and not overwrite:
            return already_exists("file", path)
        return None

    def entry(self, path: Path) -> pb.FileEntry:
        """Describe a file or folder as a listing does."""
        is_folder = path.is_dir()
        status = path.stat()
        return pb.FileEntry(
            path=str(path.relative_to(self.root)),
            mtime=int(status.st_mtime),
            size=0 if is_folder else status.st_size,
            type=pb.FileEntry.DIRECTORY if is_folder else pb.FileEntry.FILE,
        )

    def files(self) -> list[str]:
        """List the paths of all files."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


class WorkingCopy:
    """A container's own view: the content as of its start or last reload, plus what it has written since."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self.volume = volume
        self.folder = folder
        shutil.copytree(volume.root, folder, symlinks=True)
        self._seen = _signatures(folder)

    def commit(self) -> None:
        """Make the container's changes visible to everybody: new, changed, renamed and deleted files and folders.

        The last writer wins, file by file; what others committed elsewhere in the Volume stays.
        """
        now = _signatures(self.folder)
        for path in sorted(self._seen.keys() - now.keys(), reverse=True):  # what a folder holds before the folder
            _remove(self.volume.root / path)
        for path in sorted(path for path in now if now[path] != self._seen.get(path)):
            _copy(self.folder / path, self.volume.root / path)
        self._seen = now

    def reload(self) -> None:
        """Show what has been committed by now. The container's own changes are committed first."""
        self.commit()
        committed = _signatures(self.volume.root)
        for path in sorted(_signatures(self.folder).keys() - committed.keys(), reverse=True):
            _remove(self.folder / path)
        for path in sorted(committed):
            if not _is_same(self.folder / path, self.volume.root / path):
                _copy(self.volume.root / path, self.folder / path)
        self._seen = _signatures(self.folder)


def write_file(target: Path, content: bytes) -> None:
    """Put a whole file in place at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.writing")
    beside.write_bytes(content)
    beside.replace(target)


def _signatures(root: Path) -> dict[str, _Signature]:
    found: dict[str, _Signature] = {}
    for folder, folder_names, file_names in os.walk(root):
        for name in folder_names + file_names:
            path = Path(folder, name)
            status = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()
            found[str(path.relative_to(root))] = (
                ("folder", 0, 0, 0, 0)
                if is_folder
                else ("file", status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            )
    return found


def _remove(path: Path) -> None:
    """Remove a file, or a folder that holds nothing any more: what others put there stays."""
    if path.is_dir() and not path.is_symlink():
        if not any(path.iterdir()):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        if target.is_file() or target.is_symlink():
            target.unlink()
        target.mkdir(parents=True, exist_ok=True)
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.writing")
    shutil.copy2(source, beside, follow_symlinks=False)
    beside.replace(target)


def _is_same(here: Path, there: Path) -> bool:
    if here.is_symlink() or there.is_symlink():
        return here.is_symlink() and there.is_symlink() and here.readlink() == there.readlink()
    if here.is_dir() or there.is_dir():
        return here.is_dir() and there.is_dir()
    return here.is_file() and here.read_bytes() == there.read_bytes()
