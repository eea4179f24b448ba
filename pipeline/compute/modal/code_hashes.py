"""The code of containers: which files are sent, and the hashes that decide what is deployed and retrained.

The hash of the *deployment* covers every file that is sent and the installed packages. It names the app, so a change of
any of them deploys another app. The hash of the *training* covers the files that decide the weights
(`pipeline.training.reuse`), and the packages. It decides whether a finished training is reused, so a change of the
report or of Modal's own files retrains nothing. Comments and docstrings change neither.
"""

import tomllib
from functools import cache
from pathlib import Path

from pipeline.compute.modal.settings import ModalSettings
from pipeline.core.code_version import code_version, import_closure
from pipeline.core.files import PROJECT_ROOT, content_version
from pipeline.training.reuse import deciding_code

_APP = "pipeline.compute.modal.app"

_NOT_INSTALLED = {"dagster", "dagster-webserver", "modal", "click", "jinja2", "matplotlib", "pillow", "pyyaml", "rich"}
"""Dependencies that containers don't need; Modal adds its own client."""


@cache
def sent_files(root: Path = PROJECT_ROOT) -> frozenset[Path]:
    """The files to send to containers, relative to the project: those that the app imports."""
    return frozenset(import_closure(_APP, root))


def deployment_version(root: Path = PROJECT_ROOT) -> str:
    """Version of everything that containers consist of."""
    return content_version([code_version(sent_files(root), root), *_packages(root)])


def training_version(root: Path = PROJECT_ROOT) -> str:
    """Version of all code and packages that decide the weights."""
    return content_version([code_version(deciding_code(root), root), *_packages(root)])


def dependencies(root: Path = PROJECT_ROOT) -> list[str]:
    """The project's dependencies to install in containers, from `pyproject.toml`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [(line, line.split(">")[0].split("=")[0].strip()) for line in project["dependencies"]]
    return [line for line, name in named if name not in _NOT_INSTALLED]


def app_name(code: str, settings: ModalSettings) -> str:
    """Name the app by the version of its code and the settings of its containers.

    So the code under a name never changes: people with different code don't replace each other's app, and running work
    keeps the code that it started with.
    """
    made = [settings.gpus, settings.timeout, settings.hf_secret]
    return f"sentence-transformers-ft-{content_version([code, made])}"


def _packages(root: Path) -> list[list[str]]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for line in lines if (pin := line.partition("#")[0].strip())]
    return [dependencies(root), pins]
