"""Says whether a source of question pairs has changed, without reading its pairs."""

import hashlib

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.reading.files import Deadline, bytes_sha256, find_files
from pipeline.question_pairs.reading.hub_dataset import dataset_commit


def source_fingerprint(source: PairSource, seconds: float) -> str | None:
    """The commit of a hub dataset, or a hash of the names and bytes of files.

    None for the bundled sample, which changes with the code only.

    Args:
        seconds: how long a source behind a URL may take; a shorter `max_seconds` of the source counts.

    Raises:
        PipelineError: when the source is missing, unreachable, too slow, or larger than its `max_bytes`.
    """
    if source.source == "bundled_sample":
        return None
    if source.source == "hub":
        return dataset_commit(source.hub_id, source.hub_revision)
    digest = hashlib.sha256()
    deadline = Deadline(min(seconds, source.max_seconds))
    for file in find_files(str(source.path), deadline):
        digest.update(f"{file.name}\0{bytes_sha256(file, source.max_bytes, deadline)}\0".encode())
    return digest.hexdigest()
