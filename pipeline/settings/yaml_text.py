"""Reads YAML of users, within limits on bytes, depth and values that are checked before anything is built."""

import stat
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import InputError, NotFoundError, reason_of

_MOST_BYTES = 1 << 20
_MOST_LEVELS = 20
_MOST_NODES = 100_000
"""Values of a document. An alias counts as all values of its anchor."""

_SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C, if PyYAML has it: the definitions read two config files each time they load."""


class _Loader(_SAFE_LOADER):
    """Reads keys of mappings as texts: in YAML 1.1 a label `yes` or `no` would be a boolean."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.constructor.SafeConstructor`."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = self.DEFAULT_SCALAR_TAG
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_TEXT_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_LOADER_ERRORS = (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError)
"""What a loader raises. Impossible dates and numbers are plain errors."""


def config_text(path: Path) -> str:
    """Read the text of a config file of at most 1 MiB.

    Raises:
        NotFoundError: when it is missing.
        InputError: when it is no regular file (a read of a pipe would wait), too large or no UTF-8.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"the config {path} is a folder: name a file in it, such as {_example(path)}", path=path)
        if not stat.S_ISREG(mode):
            raise InputError(f"the config {path} is a pipe or a device: write it to a file and name that", path=path)
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"no config file at {path.absolute()}: name another, such as one in configs/", path=path.absolute()
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"can't read the config file {path}: {reason_of(error)}", path=path) from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES:,} bytes: a config has a few thousand at most", path=path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"can't read the config file {path}: line {line:,} is no UTF-8: save it as UTF-8", path=path, line=line
        ) from error


def _example(folder: Path) -> str:
    return str(next(iter(sorted(folder.glob("*.yaml"))), "configs/quickstart.yaml"))


def load_yaml(text: str, what: str) -> Any:
    """Load a YAML document: keys as texts, and numbers, booleans and dates by YAML's own rules.

    Args:
        what: the name of the text in messages.

    Raises:
        InputError: when it is no YAML, or exceeds a limit.
    """
    return _loaded(text, what, _Loader)


def load_yaml_texts(text: str, what: str) -> Any:
    """Load a YAML document as `load_yaml` does, but every scalar as text."""
    return _loaded(text, what, _TEXT_LOADER)


def _loaded(text: str, what: str, loader: Any) -> Any:
    try:
        _check_size(text, what, loader)
        return yaml.load(text, Loader=loader)
    except _LOADER_ERRORS as error:
        raise InputError(f"can't read {what}: {reason_of(error)}", what=what) from error


def _check_size(text: str, what: str, loader: Any) -> None:
    """Count levels and values, from the parser's events.

    An alias counts as all values of its anchor: few bytes can stand for many values.
    """
    sizes: dict[str, int] = {}
    total, level = 0, 0
    open_anchors: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append((event.anchor, total))
            total, level = total + 1, level + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
            anchor, before = open_anchors.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if level > _MOST_LEVELS:
            raise InputError(
                f"{what} is nested more than {_MOST_LEVELS} levels deep: a config has four or five", what=what
            )
        if total > _MOST_NODES:
            raise InputError(
                f"{what} holds more than {_MOST_NODES:,} values, including those of aliases: it is no config", what=what
            )
