"""Checks that the environment says where things are, and that every variable that the code reads is explained."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.command_line.cli import cli
from pipeline.core.errors import SettingError
from pipeline.core.files import PROJECT_ROOT
from pipeline.settings.environment import home, runs_folder, variables


def test_run_folders_are_refused_on_an_object_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (str(tmp_path), tmp_path.as_uri()):
        monkeypatch.setenv("PIPELINE_RUNS_FOLDER", folder)
        assert runs_folder() == tmp_path
    monkeypatch.setenv("PIPELINE_RUNS_FOLDER", "memory://runs")
    with pytest.raises(SettingError, match=r"memory://runs.*PIPELINE_RUNS_FOLDER"):
        runs_folder()
    monkeypatch.delenv("PIPELINE_RUNS_FOLDER")
    monkeypatch.setenv("PIPELINE_HOME", "memory://home")
    with pytest.raises(SettingError, match=r"memory://home/runs.*PIPELINE_RUNS_FOLDER"):
        runs_folder()


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIPELINE_RUNS_FOLDER", raising=False)
    monkeypatch.setenv("PIPELINE_HOME", f"{tmp_path}/")
    assert home() == f"{tmp_path}/"
    assert runs_folder() == tmp_path / "runs"
    monkeypatch.setenv("PIPELINE_RUNS_FOLDER", "/elsewhere")
    assert runs_folder() == Path("/elsewhere")
    monkeypatch.delenv("PIPELINE_HOME")
    assert Path(home()).parent == PROJECT_ROOT


NOT_FOR_USERS = {
    # The command line sets it for the steps of its own run.
    "PIPELINE_PROGRESS_FILE",
    # The command line has its own temporary files in one folder of it.
    "TMPDIR",
    # `torchrun` sets them for the processes that it starts.
    "WORLD_SIZE",
    "RANK",
}


def trees() -> list[ast.Module]:
    """The whole code of the pipeline."""
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((PROJECT_ROOT / "pipeline").rglob("*.py"))]


def constants(modules: list[ast.Module]) -> dict[str, str]:
    """The texts that modules give a name to."""
    return {
        target.id: statement.value.value
        for module in modules
        for statement in module.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def uses(module: ast.Module) -> Iterator[tuple[ast.expr, bool]]:
    """Each variable's name as the code has it, where the code uses `os.environ`, and whether it is only read there."""
    found = 0
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ"), attr=method), args=[name, *_]):
                found += 1
                yield name, method == "get"
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=name, ctx=context):
                found += 1
                yield name, isinstance(context, ast.Load)
            case ast.Call(func=ast.Name(id="dict"), args=[ast.Attribute(attr="environ")]):
                # A copy of all, which is only held against another one.
                found += 1
    # There is no other way to a variable: no `getenv`, no import of the name.
    assert len(re.findall(r"\b(?:environb?|getenvb?)\b", ast.unparse(module))) == found


def test_every_variable_that_the_code_reads_is_explained() -> None:
    modules = trees()
    named = constants(modules)
    read = set()
    for name, is_read in (use for module in modules for use in uses(module)):
        assert isinstance(name, ast.Name | ast.Constant)
        if is_read:
            read.add(named[name.id] if isinstance(name, ast.Name) else name.value)
    explained = [variable.name for variable in variables()]
    assert read - set(explained) == NOT_FOR_USERS
    # None in vain: what this project doesn't read is read by a library.
    assert set(explained) - read == {"HF_TOKEN"}
    assert len(explained) == len(set(explained))
    assert all(variable.default and variable.meaning for variable in variables())


def test_config_explains_every_variable_above_the_settings(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["config"], catch_exceptions=False).stdout
    above, _, settings = printed.partition("\nops:\n")
    assert settings
    for variable in variables():
        assert f"\n# {variable.name}: " in above
    words = " ".join(above.replace("\n# ", " ").split())
    assert "PIPELINE_COMPUTE: where models are trained and evaluated: local, modal, or" in words
    path = tmp_path / "all.yaml"
    path.write_text(printed)
    assert CliRunner().invoke(cli, ["config", "--config", str(path)], catch_exceptions=False).stdout == printed


def test_the_page_of_settings_lists_every_variable() -> None:
    printed = CliRunner().invoke(cli, ["config", "--markdown"], catch_exceptions=False)
    assert printed.exit_code == 0
    rows = [line for line in printed.stdout.partition("\n## Steps")[0].splitlines() if line.startswith("| `")]
    assert rows == [f"| `{variable.name}` | {variable.default} | {variable.meaning} |" for variable in variables()]
