"""Every environment variable: they choose *where* things are, config files choose *what* is done.

A compute backend defines its own variables, which are listed here too.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.base import Variable
from pipeline.compute.choice import backends
from pipeline.core.errors import PipelineError, excerpt, reason_of
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.foreign_text import has_password, without_credentials
from pipeline.core.store import VersionStore
from pipeline.settings.run_config import project_config

if TYPE_CHECKING:
    from pipeline.core.notices import Recipient

_OWN = (
    Variable(
        "PIPELINE_HOME",
        "`.pipeline/` in the project",
        "values of all assets by data version: a folder or an fsspec URL",
    ),
    Variable("PIPELINE_RUNS_FOLDER", "`runs/` in `PIPELINE_HOME`", "run folders; must be on a local disk"),
    Variable(
        "PIPELINE_COMPUTE",
        "`local`",
        "where models are trained and evaluated: `local`, `modal`, or the dotted name of a module with a `BACKEND`",
    ),
    Variable("PIPELINE_RETRAIN_CONFIG", "`configs/best.yaml`", "run config of `retrain`, its schedule and its sensor"),
    Variable("PIPELINE_RETRAIN_CRON", "`0 3 * * 0`", "when `weekly_retrain` is due, UTC"),
    Variable(
        "PIPELINE_NOTIFY",
        "nobody",
        "who is told of failed runs and refused models: the URL of a chat's webhook, or `mailto:` and addresses",
    ),
    Variable(
        "PIPELINE_SMTP",
        "`smtp://localhost`",
        "the server that takes mail: `smtp://user:password@host:587`, or `smtps://…`",
    ),
    Variable("PIPELINE_UI_URL", "none", "where the UI is reached: messages link to the run there"),
    Variable(
        "PIPELINE_SERVE_TOKEN",
        "none",
        "secret that requests to the service must bear; needed where `serve` is reached from other machines",
    ),
)

_OTHERS = (
    Variable("DAGSTER_HOME", "`.dagster/` with `make`; none otherwise", "Dagster's own history of runs"),
    Variable("HF_TOKEN", "none", "for private or gated base models and hub datasets"),
)
"""Variables of libraries that users of this project meet."""


def variables() -> list[Variable]:
    """Every variable that a user may set, those of all places to compute included."""
    return [*_OWN, *(variable for place in backends() for variable in place.variables), *_OTHERS]


def home() -> str:
    """The folder or URL that holds the values of all assets.

    Raises:
        PipelineError: when the variable names no place that there can be.
    """
    return _place("PIPELINE_HOME", os.environ.get("PIPELINE_HOME")) or str(PROJECT_ROOT / ".pipeline")


def runs_folder() -> Path:
    """The folder on this machine in which run folders are made.

    Raises:
        PipelineError: for a URL, as training writes checkpoints on a disk, and for what is no folder.
    """
    chosen = _place("PIPELINE_RUNS_FOLDER", os.environ.get("PIPELINE_RUNS_FOLDER"))
    folder = chosen or f"{home().rstrip('/')}/runs"
    path = VersionStore(folder).root
    if not isinstance(path, Path):
        raise PipelineError(
            f"run folders can't be made in {folder}: set PIPELINE_RUNS_FOLDER to a folder on this machine"
        )
    return path


def folders() -> list[Path]:
    """The folders on this machine that commands write to, as far as the variables name any."""
    found = [Path(tempfile.gettempdir())]
    with suppress(PipelineError):
        found.append(runs_folder())
    with suppress(PipelineError):
        root = VersionStore(home()).root
        found += [root] if isinstance(root, Path) else []
    return found + [Path(own) for own in [dagster_home()] if own]


def _place(variable: str, value: str | None) -> str | None:
    """The folder or URL that a variable names; None where it is not set, or empty.

    Raises:
        PipelineError: for a blank, the home of an unknown user, a scheme that nothing here reads, or a password.
    """
    if not value:
        return None
    shown = f"{variable} is {excerpt(without_credentials(value))}"
    if not value.strip():
        raise PipelineError(f"{shown}, which is blank: name a folder or an fsspec URL, or unset it")
    if has_password(value):
        raise PipelineError(
            f"{shown} and a password, which Dagster would record: leave it out, and set FSSPEC_<PROTOCOL>_PASSWORD"
        )
    if "://" in value or "::" in value:
        for link in value.split("::"):
            _require_file_system(link.partition("://")[0], shown)
        return value
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise PipelineError(f"{shown}, but there is no such user: name a folder by its whole path") from None
    return value


def _require_file_system(scheme: str, shown: str) -> None:
    # Costs more than all else here, and few homes are URLs.
    from fsspec.registry import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise PipelineError(f"{shown}, whose file system is not installed: {reason_of(error)}") from None
    except ValueError:
        raise PipelineError(
            f"{shown}, but nothing here reads {scheme}://: name a folder, or a URL that fsspec knows, such as s3://"
        ) from None


def vectors_folder() -> Path:
    """The folder on this machine that keeps the vectors of texts.

    Raises:
        PipelineError: when neither home nor run folders are on this machine: vectors are mapped into memory.
    """
    path = VersionStore(home()).root
    return (path if isinstance(path, Path) else runs_folder()) / "vectors"


def compute_kind() -> str:
    """Where models are trained and evaluated."""
    return os.environ.get("PIPELINE_COMPUTE") or "local"


def retrain_config() -> Path:
    """The run config of `retrain`."""
    chosen = os.environ.get("PIPELINE_RETRAIN_CONFIG")
    return Path(chosen) if chosen else project_config("best")


def retrain_cron() -> str:
    """When `weekly_retrain` is due."""
    return os.environ.get("PIPELINE_RETRAIN_CRON") or "0 3 * * 0"


def recipient() -> "Recipient | None":
    """Who is told of failed runs and refused models; None where nobody is.

    Raises:
        PipelineError: when a variable names no webhook, address or mail server; it shows no value, as they are secret.
    """
    if not (target := os.environ.get("PIPELINE_NOTIFY")):
        return None
    # Nobody else needs clients for the web and for mail.
    from pipeline.core import notices

    server = os.environ.get("PIPELINE_SMTP") or "smtp://localhost"
    return notices.recipient(target, "PIPELINE_NOTIFY", server, "PIPELINE_SMTP")


def run_page(run_id: str) -> str:
    """The page of a run in the UI, where it is known where that is; else which run it is."""
    url = os.environ.get("PIPELINE_UI_URL")
    return f"{url.rstrip('/')}/runs/{run_id}" if url else f"Run {run_id}"


def serve_token() -> str | None:
    """The secret that requests to the service must bear; None where they need none.

    Raises:
        PipelineError: for one that no header can hold; it isn't shown.
    """
    token = os.environ.get("PIPELINE_SERVE_TOKEN")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise PipelineError(
            "PIPELINE_SERVE_TOKEN can't be sent in a header: use printable ASCII without blanks, such as what `openssl "
            "rand -hex 32` gives"
        )
    return token or None


def service_folder() -> Path:
    """The folder on this machine that keeps the journal of the service.

    Raises:
        PipelineError: when neither home nor run folders are on this machine.
    """
    path = VersionStore(home()).root
    return (path if isinstance(path, Path) else runs_folder()) / "service"


def dagster_home() -> str | None:
    """The folder of Dagster's own history of runs; None where runs leave none."""
    return os.environ.get("DAGSTER_HOME")
