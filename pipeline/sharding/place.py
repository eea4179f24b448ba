"""A folder of shards, on this machine or on object storage: files that are there whole, or not at all.

pyarrow reads local folders, `s3://`, `gs://` and `abfss://` itself, so that a container needs nothing else; fsspec
reads every other URL.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import replacing
from pipeline.core.foreign_text import without_credentials
from pipeline.sharding.schemes import READ_BY_PYARROW


class Place:
    """A folder or URL, and what is below it.

    Attributes:
        location: as it was given.
        local: the folder, where it is one of this machine; else None.
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        scheme, separator, path = self.location.partition("://")
        self.local = None if separator else Path(self.location).expanduser().absolute()
        if self.local:
            self._system: Any = fs.LocalFileSystem()
            self._root = self.local.as_posix()
        elif scheme in READ_BY_PYARROW:
            self._system, self._root = fs.FileSystem.from_uri(self.location)
        else:
            import fsspec

            self._system, self._root = fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme))), path

    def below(self, *names: str) -> "Place":
        """A folder in it."""
        return Place("/".join([self.location, *names]))

    def names(self) -> set[str]:
        """Of the files in it; none where it isn't there."""
        with self._reached():
            found = self._system.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        # What a kill left half written begins with a dot.
        return {entry.base_name for entry in found if entry.is_file and not entry.base_name.startswith(".")}

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: where there is none.
        """
        with self.open(name) as file:
            return bytes(file.read())

    def open(self, name: str) -> Any:
        """A file to read at any point, as pyarrow takes it.

        Raises:
            FileNotFoundError: where there is none.
        """
        return self._system.open_input_file(f"{self._root}/{name}")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path on this machine to write to; when the block ends well, the file has its name in the place."""
        with self._reached():
            if self.local:
                with replacing(self.local / name) as temporary:
                    assert isinstance(temporary, Path)
                    yield temporary
                return
            # An upload that is broken off could leave a file with a part of its bytes: what is uploaded is whole.
            with tempfile.TemporaryDirectory(prefix="shards-") as staging:
                path = Path(staging) / "file"
                yield path
                self._system.create_dir(self._root, recursive=True)
                with path.open("rb") as source, self._system.open_output_stream(f"{self._root}/{name}") as target:
                    shutil.copyfileobj(source, target, 1 << 24)

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole."""
        with self.writing(name) as path:
            path.write_bytes(content)

    def remove(self, name: str) -> None:
        """Delete a file."""
        with self._reached():
            self._system.delete_file(f"{self._root}/{name}")

    def clear(self) -> None:
        """Delete all that is in it."""
        with self._reached():
            self._system.delete_dir_contents(self._root, missing_dir_ok=True)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = without_credentials(self.location)
            raise PipelineError(
                f"shards can't be kept in {where} ({reason_of(error)}): make room or check the access, or set "
                "PIPELINE_SHARDS to another place"
            ) from error
