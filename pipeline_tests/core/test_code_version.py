"""Which files a module needs is found by reading, and their version changes with what they do and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.code_version import code_version, import_closure
from pipeline.core.files import PROJECT_ROOT

SOURCE = '''"""A module."""

from typing import Any


class Settings(Base):
    """Settings."""

    epochs: int = Field(default=1, ge=1, description="Passes over the pairs.")


def double(number: int) -> Any:
    """Twice a number."""
    return 2 * number
'''

UNLIKE = r"""
x = f"{a!r:>{width}} {{b}}" "c" u"d" f"{x:}" f"{y=}" f"{z:%Y-%m-%d}" f"{'a' 'b'}" f"{q:{w}.{p}f}{q:{w}{p}}"
b = b"x" b"y", "\U0001fae8", "\u00ad", r"\d", f"\N{EM DASH}"
n = 1_000, 0x10, 1e5, 2j, ..., None, True, -0.0


@decorated(argument=1)
def f(a, /, b, *c, d=1, **e) -> "str":
    match a:
        case {"x": [1, *rest], **others} if rest:
            pass
        case Name(y=1) | None:
            return
    global z
    try:
        del a[1:2, ...]
    except* (KeyError, ValueError) as error:
        raise error from None
    lambda: (yield)
    while (w := 1) not in {1, 2}:
        continue

    async def g():
        async with a as b, c:
            await d
        return [x async for x in y if x]


class K(Base, metaclass=Meta):
    field: "int | None" = None  # type: ignore[x]
"""
"""What the trees of several versions of Python are known, or suspected, to differ in."""


def version_of(folder: Path, content: str, file: str = "module.py") -> str:
    (folder / file).write_text(content, encoding="utf-8")
    return code_version([Path(file)], folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return", "# Because.\n    return"),
        ("import Any\n", "import Any  # noqa: F401\n\n\n\n"),
        ("2 * number", "(\n        2\n        * number\n    )"),
        ('"""A module."""', '"""Another one, explained at length."""'),
        ('"""Settings."""', '"""Better settings."""'),
        ('    """Twice a number."""\n', ""),
        ("Passes over the pairs.", "How often each pair is seen."),
        ("class Settings", '"""About what comes."""\n\nclass Settings'),
    ],
)
def test_what_is_written_for_readers_changes_no_version(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert version_of(tmp_path, SOURCE) == version_of(tmp_path, SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * number", "3 * number"),
        ("2 * number", "2.0 * number"),
        ("2 * number", "number * 2"),
        ("    return", "    number += 0\n    return"),
        ("default=1", "default=2"),
        ("ge=1", "gt=1"),
        ("epochs", "passes"),
        ("import Any", "import Any, cast"),
        ("-> Any", "-> int"),
    ],
)
def test_what_is_done_changes_the_version(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert version_of(tmp_path, SOURCE) != version_of(tmp_path, SOURCE.replace(old, new))


def test_the_name_of_a_file_and_each_byte_of_data_count(tmp_path: Path) -> None:
    assert version_of(tmp_path, SOURCE) != version_of(tmp_path, SOURCE, "other.py")
    assert version_of(tmp_path, "# a\n", "data.txt") != version_of(tmp_path, "# b\n", "data.txt")


def test_the_order_of_the_files_does_not_count(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        version_of(tmp_path, SOURCE, name)
    assert code_version([Path("a.py"), Path("b.py")], tmp_path) == code_version([Path("b.py"), Path("a.py")], tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A project whose modules import each other in every way."""
    files = {
        "__init__.py": "",
        "app.py": "import json\nfrom typing import TYPE_CHECKING\nfrom pipeline.near import thing, module\n"
        "if TYPE_CHECKING:\n    from pipeline import types_only\nelse:\n    import pipeline.at_run_time\n"
        "def work():\n    from pipeline.far.late import function\n",
        "types_only.py": "",
        "at_run_time.py": "from pipeline import app",
        "unused.py": "",
        "near/__init__.py": "import pipeline.of_the_package",
        "near/thing.py": "",
        "near/module.py": "",
        "near/unused.py": "",
        "near/table.json": "{}",
        "near/.hidden": "",
        "of_the_package.py": "",
        "far/__init__.py": "",
        "far/late.py": "",
        "elsewhere/__init__.py": "",
        "elsewhere/data.json": "{}",
    }
    for name, content in files.items():
        path = tmp_path / "pipeline" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_a_module_needs_what_it_imports_anywhere_with_the_packages_and_the_data_beside_it(package: Path) -> None:
    assert [path.as_posix() for path in import_closure("pipeline.app", package)] == [
        "pipeline/__init__.py",
        "pipeline/app.py",
        "pipeline/at_run_time.py",
        "pipeline/far/__init__.py",
        "pipeline/far/late.py",
        "pipeline/near/__init__.py",
        "pipeline/near/module.py",
        "pipeline/near/table.json",
        "pipeline/near/thing.py",
        "pipeline/of_the_package.py",
    ]


def test_a_package_alone_needs_no_data(package: Path) -> None:
    names = [path.as_posix() for path in import_closure("pipeline.elsewhere", package)]
    assert names == ["pipeline/__init__.py", "pipeline/elsewhere/__init__.py"]


def test_a_module_that_is_not_there_is_an_error(package: Path) -> None:
    with pytest.raises(ValueError, match=r"no module pipeline\.nowhere"):
        import_closure("pipeline.nowhere", package)


# --- other versions of Python -----------------------------------------------------------------------------------

ALL_VERSIONS = """
import json, sys
from pathlib import Path
root, folder = map(Path, sys.argv[1:])
sys.path.insert(0, str(root))
from pipeline.core.code_version import code_version, import_closure
files = sorted(path.relative_to(root) for path in (root / "pipeline").rglob("*.py"))
closure = import_closure("pipeline.training.fine_tune", root)
print(json.dumps({
    "each": {str(file): code_version([file], root) for file in files},
    "closure": [str(file) for file in closure],
    "together": code_version(closure, root),
    "unlike": code_version([Path("unlike.py")], folder),
}))
"""


def other_pythons() -> list[str]:
    """The interpreters on this machine from 3.11 on, but for this one's version; each version once."""
    named = (shutil.which(f"python3.{minor}") for minor in range(11, 30))
    managed = Path.home().glob(".pyenv/versions/*/bin/python")
    found = {}
    for python in [*(path for path in named if path), *map(str, sorted(managed))]:
        command = [python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:3])"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        # A name may stand for an interpreter that isn't installed.
        if said.returncode == 0 and (version := tuple(map(int, said.stdout.split()))) >= (3, 11):
            found[version] = python
    found.pop(sys.version_info[:3], None)
    return list(found.values())


@pytest.mark.slow
def test_every_version_of_python_finds_the_same_files_and_gives_them_the_same_version(tmp_path: Path) -> None:
    if not (pythons := other_pythons()):
        pytest.skip("there is no other Python from 3.11 on, neither on PATH nor of pyenv")
    (tmp_path / "unlike.py").write_text(UNLIKE, encoding="utf-8")

    def versions(python: str) -> dict[str, object]:
        # Without third-party packages: the machine that deploys may have others than a container.
        command = [python, "-I", "-S", "-c", ALL_VERSIONS, str(PROJECT_ROOT), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    here = versions(sys.executable)
    for python in pythons:
        assert versions(python) == here, python
