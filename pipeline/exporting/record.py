"""What `export.json` says of an export: the file that makes a folder an export, and that vouches for all others in it.

Read by whoever runs an export, so it imports neither torch nor transformers.
"""

from pathlib import Path

from pydantic import ValidationError

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import content_version, file_sha256, write_bytes
from pipeline.core.values import Stored
from pipeline.exporting.options import ExportPrecision

RECORD_FILE, GRAPH_FILE, TOKENIZER_FILE = "export.json", "model.onnx", "tokenizer.json"
AGAIN = "export the model again"


class ExportRecord(Stored):
    """An export: what it was made from, how texts go in, and what its files hold.

    Attributes:
        identity: hash of all that decides its embeddings and decisions.
        model_name, model_version: of the model that it was made from.
        precision: of its weights.
        dimensions: of an embedding, which has length 1.
        max_seq_length: tokens that a text is cut to, those of the prompt included; None for no limit. `tokenizer.json`
            cuts and pads by itself.
        prompt: the text that stands before each question; empty for none. It is not in `tokenizer.json`.
        modules: what the graph is made of, in order, such as `Transformer (BertModel)`; pooling and all that follows
            it are in the graph.
        inputs: names of the graph's inputs, int64 of shape (texts, tokens).
        opset: of the ONNX graph.
        libraries: version of each library that made it.
        files: SHA-256 of each other file by its name.
    """

    identity: str
    model_name: str
    model_version: str
    precision: ExportPrecision
    dimensions: int
    max_seq_length: int | None
    prompt: str
    modules: tuple[str, ...]
    inputs: tuple[str, ...]
    opset: int
    libraries: dict[str, str]
    files: dict[str, str]

    @property
    def vectors_version(self) -> str:
        """What tells its vectors from those of others: fp32 ones are the model's own."""
        return self.model_version if self.precision == "fp32" else f"{self.model_version}-{self.precision}"

    def sealed(self, folder: Path) -> "ExportRecord":
        """The record with the hashes of the files that lie in a folder, and the identity that follows from them."""
        files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != RECORD_FILE}
        what = [self.model_version, self.precision, self.prompt, self.max_seq_length, files]
        return self.model_copy(update={"files": files, "identity": content_version(what)})


def write_record(folder: Path, record: ExportRecord) -> None:
    """Write `export.json`, which is the last file of an export."""
    write_bytes(folder / RECORD_FILE, record.to_checked_json())


def is_export(folder: Path) -> bool:
    """Whether a folder holds an export, sound or damaged."""
    return (folder / RECORD_FILE).is_file()


def read_record(folder: Path) -> ExportRecord:
    """What `export.json` says.

    Raises:
        PipelineError: when there is none, or it isn't what was written.
    """
    path = folder / RECORD_FILE
    try:
        return ExportRecord.from_checked_json(path.read_bytes())
    except FileNotFoundError:
        raise PipelineError(f"{folder} is no export: it has no {RECORD_FILE}; {AGAIN}") from None
    except PipelineError as error:
        raise PipelineError(f"can't read {path}: {error}") from error
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise PipelineError(f"{path} is damaged ({where}: {detail['msg']}): {AGAIN}") from error
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path} is damaged ({reason_of(error)}): {AGAIN}") from error


def require_sound(folder: Path, record: ExportRecord) -> None:
    """Refuse an export whose files are not those that were written.

    Raises:
        PipelineError: it names the first such file.
    """
    for name, sha256 in record.files.items():
        path = folder / name
        try:
            changed = file_sha256(path) != sha256
        except OSError as error:
            raise PipelineError(f"the export lacks {path} ({reason_of(error)}): {AGAIN}") from error
        if changed:
            raise PipelineError(f"{path} is not what was exported: {AGAIN}")
