"""The record of an export, `export.json`, which describes it and holds the hashes of its other files.

The service reads it, so this module imports neither torch nor transformers.
"""

from pathlib import Path

from pydantic import ValidationError

from pipeline.core.errors import DamagedError, NotFoundError, PipelineError, reason_of
from pipeline.core.files import content_version, file_sha256, write_bytes
from pipeline.core.values import Stored
from pipeline.exporting.options import ExportPrecision

RECORD_FILE, GRAPH_FILE, TOKENIZER_FILE = "export.json", "model.onnx", "tokenizer.json"
AGAIN = "export the model again"


class ExportRecord(Stored):
    """An export: its model, its inputs and its files.

    Attributes:
        identity: hash of everything that decides its embeddings and decisions.
        model_name, model_version: of the exported model.
        precision: of its weights.
        dimensions: of an embedding, which has length 1.
        max_seq_length: tokens that a text is truncated to, including those of the prompt; None for no limit.
            `tokenizer.json` truncates and pads.
        prompt: prepended to each question; empty for none. It is not in `tokenizer.json`.
        modules: of the graph, in order, such as `Transformer (BertModel)`, including pooling and what follows it.
        inputs: names of the graph's inputs, int64 of shape (texts, tokens).
        opset: of the ONNX graph.
        libraries: version of each library that wrote it.
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
        """Version under which its vectors are cached: fp32 vectors equal the model's own."""
        return self.model_version if self.precision == "fp32" else f"{self.model_version}-{self.precision}"

    def sealed(self, folder: Path) -> "ExportRecord":
        """Return the record with the hashes of the files in a folder, and the identity that follows from them."""
        files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != RECORD_FILE}
        what = [self.model_version, self.precision, self.prompt, self.max_seq_length, files]
        return self.model_copy(update={"files": files, "identity": content_version(what)})


def write_record(folder: Path, record: ExportRecord) -> None:
    """Write `export.json`, the last file of an export."""
    write_bytes(folder / RECORD_FILE, record.to_checked_json())


def is_export(folder: Path) -> bool:
    """Whether a folder contains an export, intact or damaged."""
    return (folder / RECORD_FILE).is_file()


def read_record(folder: Path) -> ExportRecord:
    """Read `export.json`.

    Raises:
        PipelineError: when there is none, or it is damaged.
    """
    path = folder / RECORD_FILE
    try:
        return ExportRecord.from_checked_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"{folder} is no export: it has no {RECORD_FILE}; {AGAIN}", folder=folder) from None
    except PipelineError as error:
        raise type(error)(f"can't read {path}: {error}", path=path) from error
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise DamagedError(f"{path} is damaged ({where}: {detail['msg']}): {AGAIN}", path=path) from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} is damaged ({reason_of(error)}): {AGAIN}", path=path) from error


def require_intact(folder: Path, record: ExportRecord) -> None:
    """Refuse an export with missing or changed files.

    Raises:
        DamagedError: it names the first such file.
    """
    for name, sha256 in record.files.items():
        path = folder / name
        try:
            changed = file_sha256(path) != sha256
        except OSError as error:
            raise DamagedError(f"the export lacks {path} ({reason_of(error)}): {AGAIN}", path=path) from error
        if changed:
            raise DamagedError(f"{path} is not what was exported: {AGAIN}", path=path)
