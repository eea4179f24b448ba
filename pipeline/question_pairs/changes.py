"""Says whether a source of question pairs has changed, without reading its pairs."""

import hashlib

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.reading.files import Deadline, bytes_sha256, find_files
from pipeline.question_pairs.reading.hub_dataset import dataset_commit


def source_fingerprint(source: PairSource, seconds: float) -> str | None:
    """The commit of a hub dataset, or a hash of the names and bytes of files; with corrections, of theirs too.

    None for the bundled sample without corrections, which changes with the code only.

    Args:
        seconds: how long a source behind a URL may take; a shorter `max_seconds` of the source counts.

    Raises:
        PipelineError: when the source is missing, unreachable, too slow, or larger than its `max_bytes`.
    """
    deadline = Deadline(min(seconds, source.max_seconds))
    if source.source == "bundled_sample":
        of_pairs = None
    elif source.source == "hub":
        of_pairs = dataset_commit(source.hub_id, source.hub_revision)
    else:
        of_pairs = _files_sha256(str(source.path), "path", source.max_bytes, deadline)
    if not source.corrections:
        return of_pairs
    of_corrections = _files_sha256(source.corrections, "corrections", source.max_bytes, deadline)
    return hashlib.sha256(f"{of_pairs}\0{of_corrections}".encode()).hexdigest()


def _files_sha256(location: str, setting: str, limit: int, deadline: Deadline) -> str:
    digest = hashlib.sha256()
    for file in find_files(location, deadline, setting):
        digest.update(f"{file.name}\0{bytes_sha256(file, limit, deadline)}\0".encode())
    return digest.hexdigest()
