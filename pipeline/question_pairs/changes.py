"""Says whether a source of question pairs has changed, without reading its pairs."""

import hashlib

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.reading.files import bytes_sha256, find_files
from pipeline.question_pairs.reading.hub_dataset import dataset_commit


def source_fingerprint(source: PairSource) -> str | None:
    """The commit of a hub dataset, or a hash of the names and bytes of files.

    None for the bundled sample, which changes with the code only.

    Raises:
        PipelineError: when the source is missing or unreachable.
    """
    if source.source == "bundled_sample":
        return None
    if source.source == "hub":
        return dataset_commit(source.hub_id, source.hub_revision)
    digest = hashlib.sha256()
    for file in find_files(str(source.path)):
        digest.update(f"{file.name}\0{bytes_sha256(file)}\0".encode())
    return digest.hexdigest()
