"""Pushes a sealed model to the Hugging Face hub: to a private repository unless told otherwise."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel, in_volume


class Publication(BaseModel):
    """Where a model is published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str = Field(
        pattern=r"^[\w.-]+/[\w.-]+$", description="Id on the Hugging Face hub, `owner/name`. Made where there is none."
    )
    private: bool = Field(
        default=True, description="Only the owner can see it. A repository that is public already is refused then."
    )


def publish(model: FineTunedModel, publication: Publication) -> str:
    """Push the model's folder, its card included, as one commit; the token is HF_TOKEN's. Returns the commit.

    Raises:
        PipelineError: when the model isn't on this machine, the hub can't be reached or refuses, or the repository is
            public and shall not be.
    """
    # Imported here, as they cost what loading the definitions must not.
    from huggingface_hub import HfApi

    from pipeline.core.hub_errors import HUB_ERRORS, hub_error

    if found := in_volume(model.model.location):
        raise PipelineError(
            f"the model lies in the Modal Volume {found[0]}, not on this machine: fetch it with `modal volume get`, "
            "and push its folder with `hf upload`"
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
        raise hub_error(error, f"repository {name!r} to write to", "`repository` of the job `publish`") from error
    return str(commit.oid)
