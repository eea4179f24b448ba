"""Pushes a finished model to the Hugging Face hub, to a private repository by default."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi

from pipeline.core.errors import PipelineError
from pipeline.core.hub_errors import HUB_ERRORS, hub_error
from pipeline.core.locations import remote_location
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.reporting.model_card import card_on_hub
from pipeline.reporting.options import Publication


def publish(model: FineTunedModel, publication: Publication) -> str:
    """Push the model's folder, its card included, as one commit; the token is HF_TOKEN's. Returns the commit.

    Raises:
        PipelineError: when the model isn't on this machine, the hub can't be reached or refuses, or the repository is
            public and shall not be.
    """
    if place := remote_location(model.model.location):
        raise PipelineError(
            f"the model lies at {place}, not on this machine: bring its folder here, and push it with `hf upload`"
        )
    api, name = HfApi(), publication.repository
    try:
        api.create_repo(name, private=publication.private, exist_ok=True)
        if publication.private and not api.model_info(name).private:
            raise PipelineError(
                f"the repository {name!r} on the Hugging Face hub is public: name another one, make it private there, "
                "or set `private: false`"
            )
        with _as_published(model, name) as folder:
            commit = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                # What an earlier model had and this one hasn't.
                delete_patterns="*",
                commit_message=f"Model version {model.model.version}",
            )
    except HUB_ERRORS as error:
        raise hub_error(error, f"repository {name!r} to write to", "`repository`") from error
    return str(commit.oid)


@contextmanager
def _as_published(model: FineTunedModel, repository: str) -> Iterator[Path]:
    """A folder of links to the model's files, with a card that names the repository and no folder of this machine."""
    location = Path(model.model.location).absolute()
    with tempfile.TemporaryDirectory(prefix="pipeline-publish-") as temporary:
        folder = Path(temporary) / location.name
        shutil.copytree(location, folder, copy_function=os.symlink)
        card = folder / "README.md"
        if card.is_file():
            text = card_on_hub(card.read_text(encoding="utf-8"), model.model, repository)
            card.unlink()
            card.write_text(text, encoding="utf-8")
        yield folder
