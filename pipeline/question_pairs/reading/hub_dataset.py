"""Fetches the files of a dataset of the Hugging Face hub, at one commit."""

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from pipeline.core.errors import InputError, NotFoundError
from pipeline.core.hub_errors import HUB_ERRORS, TIMEOUT, hub_error
from pipeline.question_pairs.reading.files import DataFile, is_data

_NAMES = "`hub_id`"
_MOST_SHOWN = 8


@dataclass(frozen=True)
class HubFiles:
    """The data files of one split, in the hub's cache on this machine.

    Attributes:
        commit: the commit of the revision.
        files: sorted by their path in the repository.
    """

    commit: str
    files: list[DataFile]


def fetch_dataset(hub_id: str, config: str | None, revision: str, split: str, limit: int) -> HubFiles:
    """Download the data files of one configuration and split, at the commit of a revision.

    The files are those below a folder with the name of the configuration, and with the split in their path:
    `default/train/0000.parquet`, `pair-class/train-00000-of-00001.parquet`.

    Args:
        limit: the most bytes that are downloaded.

    Raises:
        PipelineError: when the hub can't be reached or denies access, the dataset, revision, configuration or split
            doesn't exist, or its files are too large.
    """
    what = f"dataset {hub_id!r} at revision {revision!r}"
    try:
        info = HfApi().dataset_info(hub_id, revision=revision, files_metadata=True, timeout=TIMEOUT)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if is_data(file.rfilename)}
        names = _choose(sorted(sizes), config, split, what)
        if (size := sum(sizes[name] for name in names)) > limit:
            raise InputError(
                f"{what} has {size:,} bytes of data for split {split!r}, more than `max_bytes` "
                f"({limit:,}): raise it if that is meant",
                dataset=hub_id,
                split=split,
                counted=size,
                max_bytes=limit,
            )
        paths = [
            hf_hub_download(hub_id, name, repo_type="dataset", revision=info.sha, etag_timeout=TIMEOUT)
            for name in names
        ]
    except HUB_ERRORS as error:
        raise hub_error(error, what, _NAMES) from error
    files = [DataFile(f"hub dataset {hub_id}/{name}", Path(path)) for name, path in zip(names, paths, strict=True)]
    return HubFiles(str(info.sha), files)


def dataset_commit(hub_id: str, revision: str) -> str:
    """Look up the current commit of a revision of a dataset.

    Raises:
        PipelineError: when the hub can't be reached or denies access, or the dataset or revision doesn't exist.
    """
    # Imported here, as it costs what loading the definitions must not.
    try:
        return str(HfApi().dataset_info(hub_id, revision=revision, timeout=TIMEOUT).sha)
    except HUB_ERRORS as error:
        raise hub_error(error, f"dataset {hub_id!r} at revision {revision!r}", _NAMES) from error


def _choose(names: list[str], config: str | None, split: str, what: str) -> list[str]:
    """Choose the files of a configuration and split, or list all files in an error."""
    of_config = [name for name in names if config is None or config in name.split("/")[:-1]]
    is_of_split = re.compile(rf"(^|/){re.escape(split)}([-./_]|$)")
    chosen = [name for name in of_config if is_of_split.search(name)]
    shown = ", ".join(names[:_MOST_SHOWN]) + (f" and {len(names) - _MOST_SHOWN:,} more" if names[_MOST_SHOWN:] else "")
    if not chosen:
        wanted = f"split {split!r}" + (f" of configuration {config!r}" if config else "")
        raise NotFoundError(
            f"{what} has no data file for {wanted}: set `hub_config` and `hub_split`; its data "
            f"files are: {shown or 'none'}",
            config=config,
            split=split,
            files=names,
        )
    if len({name.rpartition("/")[0].removesuffix(f"/{split}") for name in chosen}) > 1:
        raise InputError(
            f"{what} has split {split!r} in several configurations: name one as `hub_config`; its "
            f"data files are: {shown}",
            split=split,
            files=names,
        )
    return chosen
