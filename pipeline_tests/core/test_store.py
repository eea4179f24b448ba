"""Checks that a run reads what it made itself, and what is current otherwise, on any kind of home."""

import uuid
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.store import Pointer, VersionStore


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
    with pytest.raises(PipelineError, match=r"there is no raw_quora_dataset in .* yet: make it first") as caught:
        store.resolve("raw_quora_dataset", ["run-a"])
    assert store.home in str(caught.value)
