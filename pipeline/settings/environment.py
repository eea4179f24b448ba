"""The environment variables: they choose *where* things are, config files choose *what* is done.

A compute backend defines its own variables, which are listed here too.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.base import Variable
from pipeline.compute.choice import backends
from pipeline.core.errors import NotInstalledError, PipelineError, SettingError, excerpt, reason_of
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
        "who is notified of failed runs and refused models: the URL of a chat's webhook, or `mailto:` and addresses",
    ),
    Variable(
        "PIPELINE_SMTP",
        "`smtp://localhost`",
        "mail server: `smtp://user:password@host:587`, or `smtps://…`",
    ),
    Variable("PIPELINE_UI_URL", "none", "URL of the UI, for links to runs in messages"),
    Variable(
        "PIPELINE_SERVE_TOKEN",
        "none",
        "secret of requests to the service; required if `serve` accepts requests from other machines",
    ),
)

_OTHERS = (
    Variable("DAGSTER_HOME", "`.dagster/` with `make`; none otherwise", "Dagster's own history of runs"),
    Variable("HF_TOKEN", "none", "for private or gated base models and hub datasets"),
)
"""Variables of libraries that users of this project meet."""


def variables() -> list[Variable]:
    """All variables that a user may set, including those of all compute backends."""
    return [*_OWN, *(variable for backend in backends() for variable in backend.variables), *_OTHERS]


def home() -> str:
    """The folder or URL that holds the values of all assets.

    Raises:
        SettingError: when the variable names no possible location.
    """
    return _location("PIPELINE_HOME", os.environ.get("PIPELINE_HOME")) or str(PROJECT_ROOT / ".pipeline")


def runs_folder() -> Path:
    """The folder on this machine in which run folders are made.

    Raises:
        SettingError: for a URL, as training writes checkpoints to a disk, and for an impossible folder.
    """
    chosen = _location("PIPELINE_RUNS_FOLDER", os.environ.get("PIPELINE_RUNS_FOLDER"))
    folder = chosen or f"{home().rstrip('/')}/runs"
    path = VersionStore(folder).root
    if not isinstance(path, Path):
        raise SettingError(
            f"run folders can't be made in {folder}: set PIPELINE_RUNS_FOLDER to a folder on this machine",
            variable="PIPELINE_RUNS_FOLDER",
            location=folder,
        )
    return path


def folders() -> list[Path]:
    """The folders on this machine that commands write to."""
    found = [Path(tempfile.gettempdir())]
    with suppress(PipelineError):
        found.append(runs_folder())
    with suppress(PipelineError):
        root = VersionStore(home()).root
        found += [root] if isinstance(root, Path) else []
    return found + [Path(own) for own in [dagster_home()] if own]


def _location(variable: str, value: str | None) -> str | None:
    """The folder or URL that a variable names, or None if it is unset or empty.

    Raises:
        SettingError: for a blank, the home of an unknown user, an unknown scheme, or a password.
        NotInstalledError: for a URL whose file system is not installed.
    """
    if not value:
        return None
    shown = f"{variable} is {excerpt(without_credentials(value))}"
    if not value.strip():
        raise SettingError(f"{shown}, which is blank: name a folder or an fsspec URL, or unset it", variable=variable)
    if has_password(value):
        raise SettingError(
            f"{shown} and a password, which Dagster would record: leave it out, and set FSSPEC_<PROTOCOL>_PASSWORD",
            variable=variable,
        )
    if "://" in value or "::" in value:
        for link in value.split("::"):
            _require_file_system(link.partition("://")[0], variable, shown)
        return value
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise SettingError(
            f"{shown}, but there is no such user: name a folder by its whole path", variable=variable
        ) from None
    return value


def _require_file_system(scheme: str, variable: str, shown: str) -> None:
    # Slow to import, and few homes are URLs.
    from fsspec.registry import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise NotInstalledError(
            f"{shown}, whose file system is not installed: {reason_of(error)}", variable=variable
        ) from None
    except ValueError:
        raise SettingError(
            f"{shown}, but nothing here reads {scheme}://: name a folder, or a URL that fsspec knows, such as s3://",
            variable=variable,
            scheme=scheme,
        ) from None


def vectors_folder() -> Path:
    """The folder on this machine that stores the vectors of texts.

    Raises:
        SettingError: when neither home nor run folders are on this machine, as vectors are mapped into memory.
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
    """Who is notified of failed runs and refused models, if anybody.

    Raises:
        PipelineError: when a variable names no webhook, address or mail server. It shows no value, as they are secret.
    """
    if not (target := os.environ.get("PIPELINE_NOTIFY")):
        return None
    # Imports clients for the web and for mail, which nothing else needs.
    from pipeline.core import notices

    server = os.environ.get("PIPELINE_SMTP") or "smtp://localhost"
    return notices.recipient(target, "PIPELINE_NOTIFY", server, "PIPELINE_SMTP")


def run_page(run_id: str) -> str:
    """The page of a run in the UI if its URL is known, else the name of the run."""
    url = os.environ.get("PIPELINE_UI_URL")
    return f"{url.rstrip('/')}/runs/{run_id}" if url else f"Run {run_id}"


def serve_token() -> str | None:
    """The secret that requests to the service need, if any.

    Raises:
        SettingError: for one that a header can't contain. It isn't shown.
    """
    token = os.environ.get("PIPELINE_SERVE_TOKEN")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingError(
            "PIPELINE_SERVE_TOKEN can't be sent in a header: use printable ASCII without blanks, such as the output of "
            "`openssl rand -hex 32`",
            variable="PIPELINE_SERVE_TOKEN",
        )
    return token or None


def service_folder() -> Path:
    """The folder on this machine that stores the journal of the service.

    Raises:
        SettingError: when neither home nor run folders are on this machine.
    """
    path = VersionStore(home()).root
    return (path if isinstance(path, Path) else runs_folder()) / "service"


def dagster_home() -> str | None:
    """The folder of Dagster's own history of runs, or None if runs aren't recorded."""
    return os.environ.get("DAGSTER_HOME")
