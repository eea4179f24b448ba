"""Nothing that was acknowledged is lost: by a kill, by a model that is swapped under load, or by the end."""

import http.client
import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deciding_model import made_decision
from effort import exhaustive, tries
from exports import info_of
from made_reports import before_and_after
from safetensors.torch import load_file, save_file
from served import Launcher, Served

from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import EXPORTED_ASSET, PRODUCTION_ASSET
from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.exported import ExportedModel, store_files
from pipeline.exporting.options import ExportOptions, ParityLimits
from pipeline.exporting.parity import Parity
from pipeline.exporting.record import read_record
from pipeline.orchestration.asset_values import store_value
from pipeline.quality.promotion import Candidate

pytestmark = pytest.mark.slow


@exhaustive
def test_what_was_acknowledged_survives_a_kill_at_any_moment(
    launching: Launcher, deciding_export: Path, known_file: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--in", str(known_file), "--journal", str(tmp_path / "journal")]
    draw = random.Random(0)
    there: dict[str, bool] = {}
    """By question, whether it was added last or removed, as far as that was acknowledged."""
    for turn in range(tries(4, 20)):
        with launching.serving(*arguments) as served:
            _check_known(served, there)
            served.get("/add", {"questions": [f"before {turn}"]})
            there[f"before {turn}"] = True

            def change(client: int, served: Served = served, turn: int = turn) -> dict[str, bool]:
                mine: dict[str, bool] = {}
                for number in range(10_000):
                    question = f"question {turn} {client} {number}"
                    removed = f"question {turn} {client} {number - 3}" if number % 5 == 4 else None
                    try:
                        served.get("/add", {"questions": [question]})
                        mine[question] = True
                        if removed:
                            # While it is asked for, either may be there.
                            mine.pop(removed, None)
                            served.get("/remove", {"questions": [removed]})
                            mine[removed] = False
                    except (OSError, http.client.HTTPException, ValueError):
                        return mine
                return mine

            with ThreadPoolExecutor(4) as pool:
                changes = [pool.submit(change, client) for client in range(4)]
                time.sleep(draw.uniform(0.05, 0.6))
                served.signal(signal.SIGKILL)
                for one in changes:
                    there |= one.result()
            served.wait()
    with launching.serving(*arguments) as served:
        _check_known(served, there)
    assert len(there) > tries(4, 20)


def _check_known(served: Served, there: dict[str, bool]) -> None:
    questions = list(there)
    for start in range(0, len(questions), 100):
        asked = questions[start : start + 100]
        found = served.get("/search", {"questions": asked, "top": 5})["results"]
        for question, nearest in zip(asked, found, strict=True):
            assert (question in [one["question"] for one in nearest]) == there[question], question


def put_into_production(home: Path, folder: Path) -> str:
    """Record the model of a folder as the one in production, as a promotion does; returns its version."""
    info = info_of(folder)
    report = before_and_after()[1].model_copy(update={"model": info})
    assert report.training is not None
    trained = report.training.model_copy(
        update={"model": info, "run_folder": str(folder.parent), "decision": made_decision(info.version)}
    )
    record = Candidate(trained, report, "0123abcd").promoted(None, datetime.now(UTC), is_rollback=False)
    store_value(VersionStore(str(home)), PRODUCTION_ASSET, record, "0123abcd")
    return info.version


def other_model(tiny_model: Path, folder: Path) -> Path:
    """The tiny model with other weights."""
    shutil.copytree(tiny_model, folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, path, {"format": "pt"})
    return folder


@contextmanager
def load(served: Served, clients: int, ask: Callable[[Served, int], Any]) -> Iterator[list[Any]]:
    """Clients that ask one thing after the other during the block; then the list has what came of it."""
    outcomes: list[Any] = []
    is_over = threading.Event()

    def client(number: int) -> None:
        while not is_over.is_set():
            outcomes.append(ask(served, number))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_a_promoted_model_is_taken_up_under_load_and_each_request_has_one_model(
    launching_with_torch: Launcher, deciding_model: Path, tiny_model: Path, known_file: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = put_into_production(home, deciding_model)
    arguments = ["--in", str(known_file), "--limit", "watch_seconds=0.2"]
    with launching_with_torch.serving(*arguments, PIPELINE_HOME=str(home)) as served:
        added: list[str] = []

        def ask(served: Served, number: int) -> str:
            if number == 0:
                added.append(f"added {len(added)}")
                served.get("/add", {"questions": [added[-1]]})
                return ""
            # Several parts, which are embedded in several batches.
            answer = served.get("/search", {"questions": ["Why is the sky blue?", "Why?"] * 20, "top": 1})
            cosines = {round(one[0]["cosine"], 6) for one in answer["results"][::2]}
            assert cosines == {1.0}
            thresholds.setdefault(answer["model"], set()).add(answer["threshold"])
            return str(answer["model"])

        thresholds: dict[str, set[float]] = {}
        with load(served, 4, ask) as outcomes:
            _until(lambda: len(outcomes) > 20)
            second = put_into_production(home, other_model(tiny_model, tmp_path / "other"))
            _until(lambda: second in outcomes)
            _until(lambda: len(outcomes) > outcomes.index(second) + 20)
        assert first != second
        assert set(outcomes) == {"", first, second}
        assert {len(values) for values in thresholds.values()} == {1}
        assert served.get("/health")["about"]["model"] == second
        # What was added before and meanwhile is known to the new model too.
        _check_known(served, dict.fromkeys(added, True))


def test_a_new_export_is_taken_up_without_torch(
    launching: Launcher, deciding_export: Path, tiny_model: Path, tmp_path: Path
) -> None:
    store = VersionStore(str(tmp_path / "home"))
    other, info = tmp_path / "export", info_of(other_model(tiny_model, tmp_path / "other"))
    export_model(ExportSource(info, made_decision(info.version)), ExportOptions(), ParityLimits(), other)
    versions = [keep_export(store, folder) for folder in (other, deciding_export)]
    arguments = ["--model", "exported", "--limit", "watch_seconds=0.2"]
    with launching.serving(*arguments, PIPELINE_HOME=store.home) as served:
        served.get("/add", {"questions": ["Why is the sky blue?"]})
        for version, folder in ((versions[1], other), (versions[0], deciding_export), (versions[1], None)):
            _until(lambda version=version: served.get("/health")["about"]["model"] == version)  # type: ignore[misc]
            assert served.get("/search", {"questions": ["why is the SKY blue?"]})["results"][0][0]["cosine"] > 0.999
            if folder:
                keep_export(store, folder)


def keep_export(store: VersionStore, folder: Path) -> str:
    """Make an export the newest, as the job `export` does; returns the version of its model."""
    record = read_record(folder)
    parity = Parity(questions=1, min_cosine=1, mean_cosine=1, pairs=0, ap_of_model=None, ap_of_export=None)
    place = f"{EXPORTED_ASSET}/{record.identity}"
    value = ExportedModel(record=record, model=info_of("bundled"), parity=parity, eval_version="v", folder=place)
    store_files(store, place, folder, record)
    store_value(store, EXPORTED_ASSET, value, "0123abcd")
    return record.model_version


def test_a_model_that_cannot_be_taken_up_takes_nothing_away(
    launching_with_torch: Launcher, deciding_model: Path, tiny_model: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = put_into_production(home, deciding_model)
    with launching_with_torch.serving("--limit", "watch_seconds=0.2", PIPELINE_HOME=str(home)) as served:
        broken = other_model(tiny_model, tmp_path / "other")
        put_into_production(home, broken)
        (broken / "model.safetensors").unlink()
        _until(lambda: served.get("/health")["status"] == "outdated")
        health = served.get("/health")["about"]
        assert health["model"] == first
        assert health["problem"] == health["trouble"] is not None
        assert served.get("/search", {"questions": ["Why?"]})["model"] == first
        figures = served.get("/metrics")
        for name in ("pipeline_model_outdated", "pipeline_swap_trouble"):
            assert f"{name} 1.0" in figures
        for name in ("pipeline_reloads_total", "pipeline_swaps_total"):
            assert f'{name}{{outcome="failed"}}' in figures
        # One that can be loaded ends the problem.
        put_into_production(home, deciding_model)
        _until(lambda: served.get("/health")["status"] == "ok")


def test_the_end_drops_no_request(launching: Launcher, deciding_export: Path, known_file: Path, tmp_path: Path) -> None:
    """Clients with open connections and clients with one for each request: whoever was let in gets an answer."""
    arguments = ["--model", str(deciding_export), "--in", str(known_file), "--journal", str(tmp_path / "journal")]
    with launching.serving(*arguments) as served:
        host = served.address.removeprefix("http://")
        connections: dict[int, http.client.HTTPConnection] = {}

        def ask(served: Served, number: int) -> str:
            connection = connections.get(number)
            if connection is None:
                connection = http.client.HTTPConnection(host, timeout=60)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    time.sleep(0.01)
                    return "refused"
            body = json.dumps({"questions": ["Why is the sky blue?"] * 3})
            try:
                connection.request("POST", "/search", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                connections.pop(number, None)
                connection.close()
                return f"dropped: {error!r}"
            if number % 2 or response.getheader("connection") == "close":
                connections.pop(number, None)
                connection.close()
            else:
                connections[number] = connection
            return str(response.status)

        with load(served, 8, ask) as outcomes:
            _until(lambda: len(outcomes) > 50)
            served.signal(signal.SIGTERM)
            assert served.wait() == 0
            _until(lambda: outcomes[-8:] == ["refused"] * 8)
        assert set(outcomes) == {"200", "refused"}
        assert "Stopping" in served.log.read_text()
        for connection in connections.values():
            connection.close()


def test_a_second_service_with_the_same_journal_is_refused(
    launching: Launcher, deciding_export: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal")]
    with launching.serving(*arguments):
        refused = launching.begin(arguments, {})
        assert refused.wait() == 1
        assert "another process serves with the journal in" in refused.log.read_text()


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
