"""Checks what files and folders promise: written whole or not at all, one owner each, and hashes that follow them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.files import (
    PROJECT_ROOT,
    VERSION_LENGTH,
    claim_folder,
    content_version,
    file_sha256,
    folder_sha256,
    json_text,
    replacing,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half_and_fail(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("power cut")


def test_a_written_text_is_read_back_in_folders_that_were_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text.json"
    write_text(path, "Grüße, 世界\n")
    assert path.read_bytes() == "Grüße, 世界\n".encode()
    assert names_in(path.parent) == ["text.json"]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "a long first text")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["text"]


def test_the_old_file_stands_while_the_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="power cut"):
        write_half_and_fail(path)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["text"]


def test_a_failing_first_writer_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        write_half_and_fail(tmp_path / "text")
    assert names_in(tmp_path) == []


def test_a_claim_makes_the_folder_with_the_number_asked_for(tmp_path: Path) -> None:
    folder = claim_folder(tmp_path / "runs", "model", 1700000000, "run-a")
    assert folder == tmp_path / "runs" / "model-1700000000"
    assert folder.is_dir()
    assert names_in(tmp_path / "runs") == ["model-1700000000"]


def test_the_same_owner_gets_the_same_folder_with_all_that_is_in_it(tmp_path: Path) -> None:
    first = claim_folder(tmp_path, "model", 7, "run-a")
    (first / "checkpoint").mkdir()
    (first / "checkpoint" / "weights").write_bytes(b"w")
    assert claim_folder(tmp_path, "model", 7, "run-a") == first
    assert (first / "checkpoint" / "weights").read_bytes() == b"w"
    assert names_in(tmp_path) == ["model-7"]


def test_another_owner_gets_the_next_number(tmp_path: Path) -> None:
    claim_folder(tmp_path, "model", 7, "run-a")
    assert claim_folder(tmp_path, "model", 7, "run-b") == tmp_path / "model-8"
    assert claim_folder(tmp_path, "model", 7, "run-c") == tmp_path / "model-9"
    assert claim_folder(tmp_path, "model", 7, "run-b") == tmp_path / "model-8"
    assert names_in(tmp_path) == ["model-7", "model-8", "model-9"]


def test_a_folder_or_file_of_nobody_known_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model-7").mkdir()
    (tmp_path / "model-7" / "precious").write_text("mine")
    (tmp_path / "model-8").write_text("a file")
    assert claim_folder(tmp_path, "model", 7, "run-a") == tmp_path / "model-9"
    assert (tmp_path / "model-7" / "precious").read_text() == "mine"
    assert (tmp_path / "model-8").read_text() == "a file"


CLAIM = """
import sys, time
from pathlib import Path
from pipeline.core.files import claim_folder
parent, gate, owner = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(gate.parent / f"ready-{sys.argv[4]}").touch()
while not gate.exists():
    time.sleep(0.001)
print(claim_folder(parent, "model", 100, owner).name)
"""


def claim_at_once(tmp_path: Path, owners: list[str]) -> list[str]:
    """Let one process per owner claim at the same moment; return the folders' names."""
    gate = tmp_path / "gate"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path / "runs"), str(gate), owner, str(number)],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, owner in enumerate(owners)
    ]
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("ready-*"))) < len(owners):
            assert time.monotonic() < deadline, "the processes did not start"
            assert all(process.poll() is None for process in processes), "a process died before its claim"
            time.sleep(0.01)
        gate.touch()
        names = [process.communicate(timeout=30)[0].strip() for process in processes]
        assert [process.returncode for process in processes] == [0] * len(owners)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return names


def test_eight_processes_at_once_get_eight_folders_in_a_row(tmp_path: Path) -> None:
    names = claim_at_once(tmp_path, [f"run-{number}" for number in range(8)])
    assert sorted(names) == [f"model-{number}" for number in range(100, 108)]
    assert names_in(tmp_path / "runs") == sorted(names)


def test_processes_of_one_owner_at_once_get_one_folder(tmp_path: Path) -> None:
    assert claim_at_once(tmp_path, ["run-a"] * 4) == ["model-100"] * 4
    assert names_in(tmp_path / "runs") == ["model-100"]


JSON_VALUES = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=6)


@settings(derandomize=True, deadline=None, max_examples=tries(50))
@given(JSON_VALUES)
def test_the_version_of_a_value_does_not_depend_on_the_order_of_its_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert content_version(turned) == content_version(value)
    assert json_text(turned) == json_text(value)
    assert len(content_version(value)) == VERSION_LENGTH


def test_the_version_of_a_value_changes_with_it() -> None:
    values: tuple[object, ...] = ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": [1]}, {}, [], None)
    assert len({content_version(value) for value in values}) == len(values)


def test_a_folders_hashes_follow_its_files(tmp_path: Path) -> None:
    write_text(tmp_path / "b" / "weights", "w")
    write_text(tmp_path / "a", "")
    write_text(tmp_path / "b" / "README.md", "card")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    before = folder_sha256(tmp_path, ignore=["README.md"])
    assert list(before) == ["a", "b/weights"]
    assert before["a"] == file_sha256(tmp_path / "a") == empty
    write_text(tmp_path / "b" / "README.md", "another card")
    assert folder_sha256(tmp_path, ignore=["README.md"]) == before
    write_text(tmp_path / "b" / "weights", "v")
    assert folder_sha256(tmp_path, ignore=["README.md"]) != before
