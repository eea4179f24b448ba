"""Push a finished model to the Hugging Face hub, by default to a private repository."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi

from pipeline.core.errors import ModelError, SettingError
from pipeline.core.hub_errors import HUB_ERRORS, hub_error
from pipeline.core.locations import remote_location
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.reporting.model_card import card_on_hub
from pipeline.reporting.options import Publication


def publish(model: FineTunedModel, publication: Publication) -> str:
    """Push the model's folder with its card as one commit, authenticated by HF_TOKEN; return the commit.

    Raises:
        PipelineError: when the model isn't on this machine, the hub can't be reached or refuses, or the repository is
            public although it should be private.
    """
    if place := remote_location(model.model.location):
        raise ModelError(
            f"the model is at {place}, not on this machine: download its folder, and push it with `hf upload`",
            location=model.model.location,
        )
    api, name = HfApi(), publication.repository
    try:
        api.create_repo(name, private=publication.private, exist_ok=True)
        if publication.private and not api.model_info(name).private:
            raise SettingError(
                f"the repository {name!r} on the Hugging Face hub is public: name another one, make it private there, "
                "or set `private: false`",
                repository=name,
            )
        with _as_published(model, name) as folder:
            commit = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                # Delete files of an earlier model that this one doesn't have.
                delete_patterns="*",
                commit_message=f"Model version {model.model.version}",
            )
    except HUB_ERRORS as error:
        raise hub_error(error, f"repository {name!r} to write to", "`repository`") from error
    return str(commit.oid)


@contextmanager
def _as_published(model: FineTunedModel, repository: str) -> Iterator[Path]:
    """Make a folder of links to the model's files, with a card that names the repository instead of a local folder."""
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
