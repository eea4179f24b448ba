"""Checks that a run reads what it made itself, and what is current otherwise, on any kind of home."""

import json
import uuid
from pathlib import Path

import pytest

from pipeline.core import store as stores
from pipeline.core.errors import DamagedError, NotFoundError
from pipeline.core.store import NOTHING, Pointer, VersionStore


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> VersionStore:
    return VersionStore(str(tmp_path / "home") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def pointer(version: str, run_id: str) -> Pointer:
    return Pointer(version=version, file=f"{version}.parquet", run_id=run_id)


def test_the_last_pointer_is_current(store: VersionStore) -> None:
    store.point_to("splits", pointer("v1", "run-a"))
    store.point_to("splits", pointer("v2", "run-b"))
    assert store.resolve("splits") == pointer("v2", "run-b")


def test_a_run_reads_what_it_made_itself_before_what_is_current(store: VersionStore) -> None:
    store.point_to("splits", pointer("v1", "run-a"))
    store.point_to("splits", pointer("v2", "run-b"))
    assert store.resolve("splits", ["run-a"]) == pointer("v1", "run-a")
    assert store.resolve("splits", ["run-b"]) == pointer("v2", "run-b")


def test_runs_are_asked_in_the_order_given(store: VersionStore) -> None:
    for version in ("v1", "v2", "v3"):
        store.point_to("splits", pointer(version, f"run-{version}"))
    assert store.resolve("splits", ["run-without", "run-v2", "run-v1"]) == pointer("v2", "run-v2")


def test_a_run_that_made_nothing_reads_what_is_current(store: VersionStore) -> None:
    store.point_to("splits", pointer("v1", "run-a"))
    assert store.resolve("splits", ["run-z"]) == pointer("v1", "run-a")


def test_a_run_that_makes_an_asset_again_reads_its_newer_version(store: VersionStore) -> None:
    store.point_to("splits", pointer("v1", "run-a"))
    store.point_to("splits", pointer("v2", "run-a"))
    assert store.resolve("splits", ["run-a"]) == pointer("v2", "run-a")


def test_an_asset_never_made_is_named(store: VersionStore) -> None:
    store.point_to("splits", pointer("v1", "run-a"))
    with pytest.raises(NotFoundError) as caught:
        store.resolve("raw_quora_dataset", ["run-a"])
    assert caught.value.values == {"asset": "raw_quora_dataset", "home": store.home}


# --- only what was seen is replaced ---


def test_only_the_first_of_two_replaces_what_both_have_seen(store: VersionStore) -> None:
    assert store.state("production") == NOTHING
    for mine, theirs in (("v1", "v2"), ("v3", "v4")):
        seen = store.state("production")
        assert store.replace("production", seen, pointer(mine, f"run-{mine}"))
        assert not store.replace("production", seen, pointer(theirs, f"run-{theirs}"))
        assert store.resolve("production") == pointer(mine, f"run-{mine}")
        assert store.made_by("production", f"run-{theirs}") is None


def test_a_writer_that_died_before_the_end_has_replaced_it_all_the_same_where_only_the_store_guards() -> None:
    store = VersionStore(f"memory://{uuid.uuid4().hex}")
    store.point_to("production", pointer("v1", "run-a"))
    before = (store.folder("production") / "current.json").read_bytes()
    assert store.replace("production", store.state("production"), pointer("v2", "run-b"))
    # As it is where the process ended between the two files, or where a slow one writes after a quick one.
    (store.folder("production") / "current.json").write_bytes(before)
    assert store.resolve("production") == pointer("v2", "run-b")
    assert store.replace("production", store.state("production"), pointer("v3", "run-c"))
    assert store.resolve("production") == pointer("v3", "run-c")


def test_a_home_that_nothing_guards_says_so(tmp_path: Path) -> None:
    assert VersionStore(str(tmp_path)).unguarded == VersionStore("memory://here").unguarded == ""
    assert VersionStore("ftp://user@host/folder").unguarded.startswith("nothing guards this PIPELINE_HOME")


# --- what belongs together ---


@pytest.fixture
def trio(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setattr(stores, "_TOGETHER", {})
    stores.register_together("trio", ("a", "b", "c"))
    return "a", "b", "c"


def of(version: str, run_id: str, assets: tuple[str, ...]) -> dict[str, Pointer]:
    return {asset: pointer(f"{version}{asset}", run_id) for asset in assets}


def versions(store: VersionStore, assets: tuple[str, ...], *runs: str) -> list[str]:
    return [store.resolve(asset, runs).version for asset in assets]


def test_a_set_is_read_as_it_was_published_whatever_its_own_pointers_say(
    store: VersionStore, trio: tuple[str, ...]
) -> None:
    store.point_to_together(of("1", "run-1", trio), "run-1")
    store.point_to_together(of("2", "run-2", trio), "run-2")
    assert versions(store, trio) == ["2a", "2b", "2c"]
    assert versions(store, trio, "run-1") == ["1a", "1b", "1c"]
    assert store.assets() == ["a", "b", "c"]
    # As after a kill: the set's own file is there, the pointers of its assets are of before.
    (store.folder("b") / "current.json").write_bytes(pointer("1b", "run-1").to_checked_json())
    assert versions(store, trio) == ["2a", "2b", "2c"]


def test_a_set_of_an_earlier_release_is_read_until_a_new_one_is_there(
    store: VersionStore, trio: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_TOGETHER", {})
        for asset in trio:
            store.point_to(asset, pointer(f"0{asset}", "run-0"))
    assert versions(store, trio) == ["0a", "0b", "0c"]
    store.point_to_together(of("1", "run-1", trio), "run-1")
    assert versions(store, trio) == ["1a", "1b", "1c"]
    assert versions(store, trio, "run-0") == ["0a", "0b", "0c"]


def test_a_set_that_cannot_be_read_is_replaced(store: VersionStore, trio: tuple[str, ...]) -> None:
    store.point_to_together(of("1", "run-1", trio), "run-1")
    (store.root / "together" / "trio" / "current.json").write_bytes(b"{")
    with pytest.raises(DamagedError) as caught:
        store.resolve("a")
    assert caught.value.make_again == "a"
    store.point_to_together(of("2", "run-2", trio), "run-2")
    assert versions(store, trio) == ["2a", "2b", "2c"]


def test_assets_that_are_no_set_are_not_published_together(store: VersionStore, trio: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a, b are not registered as a set"):
        store.point_to_together(of("1", "run-1", ("a", "b")), "run-1")


# --- pointers ---


@pytest.mark.parametrize("file", ["../other/v.json", "/etc/passwd", "", "a/../../b", "v\0.json"])
def test_a_pointer_out_of_its_folder_is_none(store: VersionStore, file: str) -> None:
    path = store.folder("splits") / "current.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "v", "file": file, "run_id": "r"}))
    with pytest.raises(DamagedError):
        store.resolve("splits")


def test_a_pointer_of_the_first_release_has_no_hash_and_may_not_claim_one(store: VersionStore) -> None:
    path = store.folder("splits") / "current.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"version": "v", "file": "v.parquet", "run_id": "r"}
    path.write_text(json.dumps(fields))
    assert store.resolve("splits").sha256 is None
    path.write_text(json.dumps({**fields, "sha256": "0"}))
    with pytest.raises(DamagedError):
        store.resolve("splits")
