"""The files of this project that a module needs, and their version, which comments and docstrings don't change.

They are found by parsing, not by importing: every `import` in the module, also inside functions, and theirs in turn.
Imports under `if TYPE_CHECKING:` are left out, as they never run.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from pipeline.core.files import PROJECT_ROOT, VERSION_LENGTH

PACKAGE = "pipeline"
_FILES = 1_024
"""Size of the caches: each file is needed by several versions."""


def import_closure(module: str, root: Path = PROJECT_ROOT) -> list[Path]:
    """The files that `module` needs, relative to `root`, in sorted order.

    They are the modules of this project that it imports, directly or through others, their packages, and the data files
    in the folders of those modules.

    Args:
        module: dotted name of a module of this project.
        root: the folder with the package.

    Raises:
        ValueError: when there is no such module.
    """
    if _file_of(module, root) is None:
        raise ValueError(f"there is no module {module} below {root}")
    found: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found or (path := _file_of(name, root)) is None:
            continue
        found.add(name)
        pending += [name.rpartition(".")[0]] if "." in name else []
        pending += _imports(path.read_bytes())
    files = {path for name in found if (path := _file_of(name, root)) is not None}
    folders = {path.parent for path in files if path.name != "__init__.py"}
    files |= {path for folder in folders for path in folder.iterdir() if _is_data(path)}
    return sorted(path.relative_to(root) for path in files)


def code_version(files: Iterable[Path], root: Path = PROJECT_ROOT) -> str:
    """Version of files: of Python files by what they do, of others by their bytes. The same on every supported Python.

    Comments, blank lines, layout, docstrings and the descriptions of settings don't change it.

    Args:
        files: relative to `root`.
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        content = (root / file).read_bytes()
        digest.update(f"{file.as_posix()}\0".encode())
        if file.suffix == ".py":
            digest.update(_behaviour(content))
        else:
            digest.update(content)
        digest.update(b"\0\0")
    return digest.hexdigest()[:VERSION_LENGTH]


def _file_of(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")


@lru_cache(maxsize=_FILES)
def _imports(content: bytes) -> tuple[str, ...]:
    return tuple(_imported(ast.parse(content)))


@lru_cache(maxsize=_FILES)
def _behaviour(content: bytes) -> bytes:
    """The behaviour of a Python file, as bytes."""
    return "\0".join(_canonical(ast.parse(content))).encode()


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of this project that a file imports; both `a` and `a.b` for `from a import b`."""
    for node in _without_type_checking(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == PACKAGE)


def _without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _without_type_checking(child)


def _canonical(node: ast.AST) -> Iterator[str]:
    """A tree as words. Empty fields are left out, as newer versions of Python have more of them.

    Values are written in ASCII, as versions differ in the characters that `repr` escapes.
    """
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("type_comment", "kind"):
            continue
        yield name
        if isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    if not (_is_prose(item) or _is_empty_part(item, node)):
                        yield from _canonical(item)
                else:
                    yield ascii(item)
        elif isinstance(value, ast.AST):
            yield from _canonical(value)
        else:
            yield f"{type(value).__name__} {value!a}"
    yield "end"


def _is_prose(node: ast.AST) -> bool:
    """Whether a part of the tree has no effect: a docstring, or the description of a setting."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.keyword) and node.arg == "description"


def _is_empty_part(node: ast.AST, whole: ast.AST) -> bool:
    """Whether a part of an f-string is an empty text, which only some versions of Python have."""
    return isinstance(whole, ast.JoinedStr) and isinstance(node, ast.Constant) and node.value == ""
