"""Hub datasets through the real client, against a hub on this machine; each test is a process of its own."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback_hub import LoopbackHub, Repository, loopback_hub

from pipeline.core.files import PROJECT_ROOT
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs

TOKEN = "hf_a_secret_that_nobody_may_see"
QUORA = ("datasets", "quora-competitions/quora")
ROWS = pd.DataFrame(
    {"qid1": [1, 1, 4], "qid2": [2, 3, 5], "question1": ["a", "a", "d"], "question2": ["b", "c", "e"]}
).assign(is_duplicate=[1, 0, 1])
LOAD = """
import json, sys
from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_audited
try:
    pairs = load_audited(PairSource(source="hub", **json.loads(sys.argv[1])))
except PipelineError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({"version": pairs.table.data_version, "rows": len(pairs.table), "facts": pairs.audit.facts,
                      "origin": pairs.table.origin.model_dump()}))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as running:
        yield running


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def nested(rows: pd.DataFrame) -> bytes:
    return parquet(
        [
            {
                "questions": {"id": [row.qid1, row.qid2], "text": [row.question1, row.question2]},
                "is_duplicate": bool(row.is_duplicate),
            }
            for row in rows.itertuples()
        ]
    )


def quora() -> Repository:
    """The release as the hub converted it, here in two files."""
    return Repository(
        {
            ".gitattributes": b"*.parquet filter=lfs",
            "default/train/0001.parquet": nested(ROWS[2:]),
            "default/train/0000.parquet": nested(ROWS[:2]),
        },
        revisions=("refs/convert/parquet",),
    )


def load(hub: LoopbackHub | str, cache: Path, environment: Any = None, **settings: Any) -> Any:
    """What a fresh process says that loads the hub dataset; its output and errors hold no token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    url = hub if isinstance(hub, str) else hub.url
    result = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(settings)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **(environment or {})},
    )
    assert result.returncode == 0, result.stderr
    assert TOKEN not in result.stdout + result.stderr
    said = json.loads(result.stdout.splitlines()[-1])
    if "error" in said:
        assert said["error"].splitlines() == [said["error"]]
    return said


def test_the_whole_release_is_the_default_and_has_the_version_of_its_file(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories[QUORA] = quora()
    said = load(hub, tmp_path / "cache")
    path = tmp_path / "quora_duplicate_questions.tsv"
    ROWS.to_csv(path, sep="\t", index=False)
    assert said["version"] == load_pairs(PairSource(source="file", path=str(path))).data_version
    commit = quora().commit
    assert said["origin"] == {
        "schema": 2,
        "source": "quora-competitions/quora",
        "synthetic": False,
        "dataset_version": said["version"],
        "division": None,
        "revision": commit,
    }
    assert said["facts"]["commit"] == commit
    assert said["facts"]["files"] == 2
    downloads = [request for request in hub.requests if request.startswith("GET") and "/resolve/" in request]
    assert all(f"/resolve/{commit}/default/train/" in request for request in downloads)
    # The second time nothing is downloaded again.
    assert load(hub, tmp_path / "cache") == said
    assert [r for r in hub.requests if r.startswith("GET") and "/resolve/" in r] == downloads


def test_a_dataset_of_ones_own_is_read_at_a_branch_with_a_token(hub: LoopbackHub, tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "label": 1}, {"sentence1": "c", "sentence2": "d", "label": 0}]
    files = {"data/train-00000-of-00001.parquet": parquet(rows), "data/test.jsonl": json.dumps(rows[0]).encode()}
    hub.repositories["datasets", "me/pairs"] = Repository(files, token=TOKEN)
    settings = {"hub_id": "me/pairs", "hub_revision": "main", "hub_config": None}
    assert "or it is private" in load(hub, tmp_path, **settings)["error"]
    assert load(hub, tmp_path, {"HF_TOKEN": TOKEN}, **settings)["rows"] == 2
    assert load(hub, tmp_path, {"HF_TOKEN": TOKEN}, **settings, hub_split="test")["rows"] == 1
    assert "or it is private" in load(hub, tmp_path, {"HF_TOKEN": TOKEN + "x"}, **settings)["error"]


def test_a_dataset_that_does_not_exist_is_named(hub: LoopbackHub, tmp_path: Path) -> None:
    error = load(hub, tmp_path)["error"]
    assert error.startswith("there is no dataset 'quora-competitions/quora'")
    assert "correct `hub_id`" in error


def test_a_gated_dataset_says_what_to_do(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories[QUORA] = Repository(quora().files, ("refs/convert/parquet",), gated=True)
    error = load(hub, tmp_path, {"HF_TOKEN": TOKEN})["error"]
    assert "is gated: accept its terms on the hub's page of quora-competitions/quora and set HF_TOKEN" in error


def test_a_revision_that_does_not_exist_is_named(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories[QUORA] = quora()
    error = load(hub, tmp_path, hub_revision="v9")["error"]
    assert "no such revision of dataset 'quora-competitions/quora' at revision 'v9'" in error


@pytest.mark.parametrize("settings", [{"hub_split": "test"}, {"hub_config": "other"}])
def test_a_split_that_is_not_there_is_named_beside_the_files(
    hub: LoopbackHub, tmp_path: Path, settings: dict[str, str]
) -> None:
    hub.repositories[QUORA] = quora()
    error = load(hub, tmp_path, **settings)["error"]
    assert next(iter(settings.values())) in error
    assert "default/train/0000.parquet" in error


def test_a_configuration_must_be_chosen_where_there_are_several(hub: LoopbackHub, tmp_path: Path) -> None:
    rows = parquet([{"anchor": "a", "positive": "b"}])
    files = {"pair/train/0000.parquet": rows, "pair-class/train-00000-of-00001.parquet": rows}
    hub.repositories["datasets", "me/pairs"] = Repository(files)
    settings = {"hub_id": "me/pairs", "hub_revision": "main"}
    assert "in several configurations" in load(hub, tmp_path, **settings, hub_config=None)["error"]
    assert load(hub, tmp_path, **settings, hub_config="pair")["rows"] == 1


def test_a_dataset_larger_than_the_limit_is_not_downloaded(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories[QUORA] = quora()
    assert "more than `max_bytes`" in load(hub, tmp_path, max_bytes=1024)["error"]
    assert not [request for request in hub.requests if "/resolve/" in request]


def test_a_file_that_is_cut_short_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    whole = nested(ROWS)
    hub.repositories[QUORA] = Repository(
        {"default/train/0000.parquet": whole[: len(whole) // 2]}, ("refs/convert/parquet",)
    )
    assert "can't read question pairs from hub dataset quora-competitions/quora/default" in load(hub, tmp_path)["error"]


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_a_hub_that_cannot_be_reached_is_said_within_seconds(tmp_path: Path, environment: dict[str, str]) -> None:
    start = time.monotonic()
    error = load("http://127.0.0.1:9", tmp_path, environment)["error"]
    assert time.monotonic() - start < 15
    assert "can't fetch dataset 'quora-competitions/quora'" in error
    assert ("HF_HUB_OFFLINE is set" if environment else "from http://127.0.0.1:9 (ConnectError)") in error


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.is_silent = True
    start = time.monotonic()
    assert "check the network" in load(hub, tmp_path)["error"]
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("hub_id", ["a/b/c", "with blank/x", "../up"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, hub_id: str) -> None:
    assert "write owner/name" in load("http://127.0.0.1:9", tmp_path, hub_id=hub_id)["error"]
