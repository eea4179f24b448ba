"""Which code containers run: what is sent, what its version is, and what of it decides the weights.

There are two hashes. The *deployment's* covers every file that is sent and the packages that are installed. It names
the app, so a change of any of them deploys. The *training's* covers what the training imports, and the packages. It
decides whether a finished training is reused, so a change of the report or of Modal's own files trains nothing again.
Comments and docstrings change neither.
"""

import tomllib
from functools import cache
from pathlib import Path

from pipeline.compute.modal.settings import ModalSettings
from pipeline.core.code_version import code_version, import_closure
from pipeline.core.files import PROJECT_ROOT, content_version

_APP = "pipeline.compute.modal.app"
_TRAINING = "pipeline.training.fine_tune"

_NOT_INSTALLED = {"dagster", "dagster-webserver", "modal", "click", "jinja2", "matplotlib", "pillow", "pyyaml", "rich"}
"""Dependencies that containers do without; Modal brings its own client."""


@cache
def sent_files(root: Path = PROJECT_ROOT) -> frozenset[Path]:
    """The files that are sent to containers, relative to the project: what the app imports."""
    return frozenset(import_closure(_APP, root))


def deployment_version(root: Path = PROJECT_ROOT) -> str:
    """Version of all that containers are made of."""
    return content_version([code_version(sent_files(root), root), *_packages(root)])


def training_version(root: Path = PROJECT_ROOT) -> str:
    """Version of all code that decides the weights."""
    return content_version([code_version(import_closure(_TRAINING, root), root), *_packages(root)])


def dependencies(root: Path = PROJECT_ROOT) -> list[str]:
    """The project's dependencies that containers install, as `pyproject.toml` names them."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [(line, line.split(">")[0].split("=")[0].strip()) for line in project["dependencies"]]
    return [line for line, name in named if name not in _NOT_INSTALLED]


def app_name(code: str, settings: ModalSettings) -> str:
    """The deployed app's name holds the version of its code and how its containers are made.

    What is deployed under a name never changes, so two people with different code don't replace each other's, and work
    that runs keeps the code it began with.
    """
    made = [settings.gpus, settings.timeout, settings.hf_secret]
    return f"sentence-transformers-ft-{content_version([code, made])}"


def _packages(root: Path) -> list[list[str]]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for line in lines if (pin := line.partition("#")[0].strip())]
    return [dependencies(root), pins]
