"""Pushes a finished model to the Hugging Face hub, to a private repository by default."""

from pathlib import Path

from huggingface_hub import HfApi

from pipeline.core.errors import PipelineError
from pipeline.core.hub_errors import HUB_ERRORS, hub_error
from pipeline.core.locations import remote_location
from pipeline.models.fine_tuned import FineTunedModel
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
        commit = api.upload_folder(
            repo_id=name,
            folder_path=Path(model.model.location),
            # What an earlier model had and this one hasn't.
            delete_patterns="*",
            commit_message=f"Model version {model.model.version}",
        )
    except HUB_ERRORS as error:
        raise hub_error(error, f"repository {name!r} to write to", "`repository`") from error
    return str(commit.oid)
