"""Volumes: what clients upload, list and read, and what containers see and commit."""

import os
import time
from pathlib import Path
from types import ModuleType

import modal
import pytest

from modal_loopback import LoopbackModal, wait_until
from modal_loopback.sample_app import modal_cli

pytestmark = pytest.mark.slow

SEVERAL_BLOCKS = 2 * 8 * 1024 * 1024 + 12345


@pytest.fixture
def volume(modal_loopback: LoopbackModal) -> modal.Volume:
    return modal.Volume.from_name("models", create_if_missing=True, version=2).hydrate()


def _upload(volume: modal.Volume, files: dict[str, bytes], folder: Path, force: bool = False) -> None:
    with volume.batch_upload(force=force) as batch:
        for path, content in files.items():
            local = folder / path.replace("/", "_")
            local.write_bytes(content)
            batch.put_file(local, path)


def _contents(modal_loopback: LoopbackModal, name: str) -> dict[str, bytes]:
    return {path: file.read_bytes() for path, file in modal_loopback.volume_files(name).items()}


def test_what_is_uploaded_is_listed_read_and_removed(
    volume: modal.Volume, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    large = os.urandom(SEVERAL_BLOCKS) + b"\0" * 1000
    files = {"model/config.json": b"{}", "model/weights": large, "empty": b""}
    _upload(volume, files, tmp_path)

    assert _contents(modal_loopback, "models") == files
    assert sorted(entry.path for entry in volume.listdir("/", recursive=True)) == ["empty", "model", *sorted(files)[1:]]
    assert b"".join(volume.read_file("model/weights")) == large

    volume.remove_file("model", recursive=True)
    assert sorted(modal_loopback.volume_files("models")) == ["empty"]


def test_a_file_that_exists_is_only_overwritten_by_force(
    volume: modal.Volume, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    _upload(volume, {"a.txt": b"before"}, tmp_path)

    with pytest.raises(FileExistsError, match=r"a\.txt"):
        _upload(volume, {"a.txt": b"after"}, tmp_path)
    _upload(volume, {"a.txt": b"after"}, tmp_path, force=True)

    assert _contents(modal_loopback, "models") == {"a.txt": b"after"}


def test_content_that_the_service_has_is_not_uploaded_again(
    volume: modal.Volume, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    content = os.urandom(1000)
    _upload(volume, {"a.bin": content}, tmp_path)
    asked = len(modal_loopback.requests("VolumePutFiles2"))

    _upload(volume, {"b.bin": content}, tmp_path)

    assert len(modal_loopback.requests("VolumePutFiles2")) == asked + 1
    assert _contents(modal_loopback, "models") == {"a.bin": content, "b.bin": content}


def test_the_cli_lists_volumes_and_files_and_gets_a_folder(
    volume: modal.Volume, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    files = {"run/model/config.json": b"{}", "run/model/weights": os.urandom(100), "run/manifest.json": b"[]"}
    _upload(volume, files, tmp_path)
    target = tmp_path / "got"
    target.mkdir()

    assert "models" in modal_cli("volume", "list", folder=tmp_path).stdout
    listed = modal_cli("volume", "ls", "models", "run", folder=tmp_path)
    got = modal_cli("volume", "get", "models", "run", str(target), folder=tmp_path)

    assert listed.stdout.split() == ["run/manifest.json", "run/model"]
    assert got.returncode == 0, got.stderr
    assert {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()} == files


def test_a_volume_is_deleted_by_name(volume: modal.Volume, modal_loopback: LoopbackModal) -> None:
    assert modal_loopback.volumes() == ["models"]

    modal.Volume.objects.delete("models")

    assert modal_loopback.volumes() == []
    with pytest.raises(modal.exception.NotFoundError, match="models"):
        modal.Volume.from_name("models").hydrate()


def test_a_container_changes_replaces_removes_and_renames_what_others_see(
    sample: ModuleType, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    before = {
        "kept.txt": b"kept",
        "replaced.txt": b"before",
        "removed.txt": b"",
        "removed/deep/file.txt": b"",
        "old-name/deep/file.txt": b"renamed",
    }
    _upload(sample.volume, before, tmp_path)

    seen = sample.edit_volume.remote()

    assert _contents(modal_loopback, "sample-data") == {
        "kept.txt": b"kept",
        "new/deep/file.txt": b"new",
        "replaced.txt": b"after",
        "new-name/deep/file.txt": b"renamed",
    }
    assert sorted(entry.path for entry in sample.volume.listdir("/", recursive=True)) == seen


def test_a_container_sees_the_content_of_its_start_until_it_reloads(
    sample: ModuleType, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    _upload(sample.volume, {"watched.txt": b"first"}, tmp_path)
    call = sample.watch_volume.spawn(1.5)
    wait_until(lambda: "ready.txt" in modal_loopback.volume_files("sample-data"))

    _upload(sample.volume, {"watched.txt": b"second"}, tmp_path, force=True)

    assert call.get(timeout=20) == ("first", "first", "second")


def test_what_a_container_leaves_uncommitted_is_committed_when_it_ends(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    sample.leave_note.remote("for later")
    assert modal_loopback.volume_files("sample-data") == {}

    wait_until(lambda: not modal_loopback.containers())

    assert _contents(modal_loopback, "sample-data") == {"note.txt": b"for later"}


def test_what_a_crashed_container_left_uncommitted_is_lost(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    sample.leave_note.remote("never seen")

    [container] = modal_loopback.containers()
    modal_loopback.kill_container(container.task_id)
    wait_until(lambda: not modal_loopback.containers())

    assert modal_loopback.volume_files("sample-data") == {}


def test_two_containers_that_write_different_files_dont_undo_each_other(
    sample: ModuleType, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    call = sample.count_to.spawn(5, 0.2)
    wait_until(lambda: "count.txt" in modal_loopback.volume_files("sample-data"))
    _upload(sample.volume, {"meanwhile.txt": b"here"}, tmp_path)

    call.get(timeout=20)

    assert sorted(modal_loopback.volume_files("sample-data")) == ["count.txt", "meanwhile.txt"]


def test_a_read_only_volume_refuses_writes(sample: ModuleType) -> None:
    with pytest.raises(OSError, match="Read-only"):
        sample.write_to_read_only.remote()


def test_a_mount_leaves_nothing_on_this_machine(sample: ModuleType) -> None:
    sample.leave_note.remote("x")

    assert not Path("/sample-data").exists()


def test_a_test_can_tamper_with_a_volume(volume: modal.Volume, modal_loopback: LoopbackModal, tmp_path: Path) -> None:
    _upload(volume, {"model/weights": b"right", "manifest.json": b"{}"}, tmp_path)

    modal_loopback.tamper("models", "model/weights", b"wrong")
    modal_loopback.tamper("models", "manifest.json", None)

    assert b"".join(volume.read_file("model/weights")) == b"wrong"
    with pytest.raises(FileNotFoundError):
        b"".join(volume.read_file("manifest.json"))


def test_a_volume_of_version_1_is_refused_by_name(modal_loopback: LoopbackModal) -> None:
    with pytest.raises(modal.exception.Error, match="ask for 'old' with version=2"):
        modal.Volume.from_name("old", create_if_missing=True).hydrate()

    assert len(modal_loopback.complaints()) == 1


def test_volumes_list_newest_first(modal_loopback: LoopbackModal) -> None:
    for name in ("first", "second"):
        modal.Volume.from_name(name, create_if_missing=True, version=2).hydrate()
        time.sleep(0.01)

    assert [each.name for each in modal.Volume.objects.list()] == ["second", "first"]
