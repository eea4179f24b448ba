"""The service answers what the classifier answers, and refuses invalid requests in one line."""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import Launcher, Served

from pipeline.core.files import PROJECT_ROOT
from pipeline.duplicates.classifier import DuplicateClassifier

pytestmark = pytest.mark.slow

PAIRS = [
    ("How do I learn Python?", "What is the best way to learn Python?"),
    ("Why is the sky blue?", "How do I cook rice?"),
    ("same", "SAME "),
]


def connected(served: Served) -> AbstractContextManager[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=60))


@pytest.fixture(scope="module")
def classifier(deciding_model: Path) -> DuplicateClassifier:
    return DuplicateClassifier.load(deciding_model, "cpu")


@pytest.mark.parametrize("settings", [{}, {"prior": 0.05}, {"precision": 0.9}, {"precision": 0.8, "prior": 0.2}])
def test_pairs_are_decided_as_the_classifier_does(
    asked: Served, classifier: DuplicateClassifier, settings: dict[str, Any]
) -> None:
    answer = asked.get("/compare", {"pairs": PAIRS, **settings})
    results = answer["results"]
    np.testing.assert_allclose([one["cosine"] for one in results], classifier.cosine(PAIRS), atol=1e-5)
    expected = classifier.probability(PAIRS, settings.get("prior"))
    np.testing.assert_allclose([one["probability"] for one in results], expected, atol=1e-5)
    assert answer["threshold"] == pytest.approx(classifier.threshold(**settings))
    assert [one["same"] for one in results] == classifier.is_duplicate(PAIRS, **settings).tolist()
    share = classifier.decision.calibration.positive_rate
    assert answer["prior"] == pytest.approx(settings.get("prior", share))
    assert answer["model"] == classifier.chosen.info.version


def test_the_nearest_known_questions_are_found(
    asked: Served, classifier: DuplicateClassifier, known_file: Path
) -> None:
    known = known_file.read_text().splitlines()
    queries = ["how do i learn python? ", "Is the sky blue?"] * 15
    answer = asked.get("/search", {"questions": queries[:20], "top": 3})
    assert len(answer["results"]) == 20
    for query, found in zip(queries, answer["results"], strict=False):
        cosines = classifier.cosine([(query, one) for one in known])
        order = np.argsort(-cosines)[:3]
        assert [one["question"] for one in found] == [known[number] for number in order]
        np.testing.assert_allclose([one["cosine"] for one in found], cosines[order], atol=1e-5)
        assert [one["same"] for one in found] == (cosines[order] >= classifier.decision.threshold).tolist()


def test_the_requests_of_the_page_on_serving_are_answered(asked: Served) -> None:
    page = (PROJECT_ROOT / "docs" / "serving.md").read_text(encoding="utf-8").replace("\\\n", " ")
    requests = re.findall(r"curl -s http://127\.0\.0\.1:8080(/\w+) .*? -d '(.*?)'", page)
    assert [path for path, _ in requests] == ["/compare", "/search", "/add"]
    for path, body in requests:
        assert asked.get(path, json.loads(body))
    asked.get("/remove", json.loads(requests[-1][1]))


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/compare", {"pairs": []}, 422, "pairs: "),
        ("/compare", {"pairs": [["a", " \t"]]}, 422, "pairs.0.1: "),
        ("/compare", {"pairs": [["a", "\ud800"]]}, 422, "pairs.0.1: "),
        ("/compare", {"pairs": [["a", "b", "c"]]}, 422, "pairs.0"),
        ("/compare", {"pairs": [["a", "b"]], "prior": 1}, 422, "prior: "),
        ("/compare", b'{"pairs": [["a", "b"]], "prior": NaN}', 422, "prior: "),
        ("/compare", {"pairs": [["a", "b"]], "threshold": 0.5}, 422, "threshold: "),
        ("/search", {"questions": ["a" * 10_001]}, 422, "questions.0: "),
        ("/search", {"questions": ["a"], "top": 0}, 422, "top: "),
        ("/search", b"{", 422, "JSON"),
        ("/search", b'{"questions": ["\xff"]}', 422, "JSON in UTF-8"),
        ("/search", b"[" * 9_000, 422, "JSON"),
        ("/search", {"questions": ["a"] * 21}, 413, "21"),
        ("/search", {"questions": ["a" * 1_000] * 20}, 413, "20,000 bytes"),
        ("/nothing", {}, 404, "Not Found"),
    ],
)
def test_invalid_requests_are_refused_in_one_line(asked: Served, path: str, body: Any, status: int, named: str) -> None:
    answer = asked.ask(path, body)
    assert (answer.status, set(answer.body)) == (status, {"detail"})
    assert named in answer.body["detail"]
    assert "\n" not in answer.body["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 413),
        ({"Content-Length": "100000"}, 413),
        ({"Host": "evil.example:8080"}, 400),
        ({"Host": "evil.example:8080", "Connection": "close"}, 400),
    ],
)
def test_a_client_that_sends_on_after_a_refusal_gets_it(asked: Served, headers: dict[str, str], status: int) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 10_000
            # The answer is there long before the body is.
            time.sleep(0.1)

    with connected(asked) as connection:
        headers = {"Content-Type": "application/json", **headers}
        connection.request("POST", "/search", parts(), headers, encode_chunked="Content-Length" not in headers)
        response = connection.getresponse()
        assert response.status == status
        assert response.read()


@pytest.mark.parametrize("headers", [{}, {"Host": "evil.example:8080"}])
def test_a_body_without_an_end_is_not_read_forever(asked: Served, headers: dict[str, str]) -> None:
    def parts() -> Iterator[bytes]:
        while True:
            yield b" " * 10_000
            time.sleep(0.01)

    headers = {"Content-Type": "application/json", **headers}
    with connected(asked) as connection, pytest.raises(OSError, match=r"reset|Broken pipe"):
        connection.request("POST", "/search", parts(), headers, encode_chunked=True)


def test_the_page_of_another_site_gets_nothing(asked: Served) -> None:
    # Its name leads to this machine, or its script sends what needs no permission to be sent.
    assert asked.ask("/health", Host="evil.example:8080").status == 400
    assert asked.ask("/remove", {"questions": ["Why is the sky blue?"]}, **{"Content-Type": "text/plain"}).status == 422
    answer = asked.ask("/health", Origin="https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_two_hundred_connections_at_once_are_all_answered(asked: Served) -> None:
    begin = threading.Barrier(200)

    def one(number: int) -> list[int]:
        statuses = []
        with connected(asked) as connection:
            begin.wait(60)
            for turn in range(3):
                body = json.dumps({"questions": [f"question {number} {turn}"]})
                connection.request("POST", "/search", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
        return statuses

    with ThreadPoolExecutor(200) as pool:
        assert [status for statuses in pool.map(one, range(200)) for status in statuses] == [200] * 600


def test_prometheus_reads_the_figures(asked: Served) -> None:
    asked.get("/search", {"questions": ["Why?"]})
    samples = [one for family in text_string_to_metric_families(asked.get("/metrics")) for one in family.samples]
    figures = {(one.name, one.labels.get("path"), one.labels.get("status")): one.value for one in samples}
    assert figures["pipeline_requests_total", "/search", "200"] >= 1
    assert figures["pipeline_request_seconds_count", "/search", None] >= 1
    assert figures["pipeline_known_questions", None, None] == 5
    assert {one.labels["version"] for one in samples if one.name == "pipeline_model"} == {
        asked.get("/health")["about"]["model"]
    }
    # The names of the release before are exposed for one more.
    by_name = {one.name: one.value for one in samples}
    assert by_name["pipeline_waiting"] == by_name["pipeline_queue_size"] == 0
    assert by_name["pipeline_swap_trouble"] == by_name["pipeline_model_outdated"] == 0
    # Unknown paths make no series of their own.
    asked.ask("/nothing/of/the/kind")
    assert "/nothing" not in asked.get("/metrics")


def test_a_request_that_takes_too_long_is_given_up_and_others_are_answered(
    launching: Launcher, deciding_export: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal")]
    with launching.serving(*arguments, "--limit", "request_seconds=0.5") as served:
        with connected(served) as connection:
            # A body that doesn't come.
            connection.putrequest("POST", "/search")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", "100")
            connection.endheaders()
            response = connection.getresponse()
            assert response.status == 503
            assert "0.5 s" in json.loads(response.read())["detail"]
        assert served.get("/search", {"questions": ["Why?"]})["results"] == [[]]


def test_more_requests_than_may_wait_are_refused_and_told_when_to_come_back(
    launching: Launcher, deciding_export: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal")]
    with launching.serving(*arguments, "--limit", "max_waiting=1") as served:
        with connected(served) as slow:
            # An idle connection takes no place; a request whose body has not come takes the only one.
            slow.connect()
            assert served.ask("/health").status == 200
            slow.putrequest("POST", "/search")
            slow.putheader("Content-Length", "100")
            slow.endheaders()
            time.sleep(0.3)
            refused = served.ask("/search", {"questions": ["Why?"]})
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        deadline = time.monotonic() + 10
        while served.ask("/health").status == 503:
            assert time.monotonic() < deadline
        assert 'pipeline_requests_total{path="/search",status="503"} 1.0' in served.get("/metrics")


def test_an_address_in_ipv6_is_a_name_of_this_machine(
    launching: Launcher, deciding_export: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal"), "--host", "::1"]
    with launching.serving(*arguments) as served:
        assert served.address.startswith("http://[::1]:")
        assert served.ask("/health").status == 200
        assert served.ask("/health", Host="[::2]:80").status == 400


def test_others_than_this_machine_need_the_token(launching: Launcher, deciding_export: Path, tmp_path: Path) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal"), "--host", "0.0.0.0"]
    refused = launching.begin(arguments, {})
    assert refused.wait() == 1
    assert "set PIPELINE_SERVE_TOKEN" in refused.log.read_text()
    with launching.serving(*arguments, PIPELINE_SERVE_TOKEN="secret-1") as served:
        assert served.get("/search", {"questions": ["Why?"]})
        for wrong in (None, "secret-2", "secret-1x"):
            served.token = wrong
            for path in ("/search", "/add", "/metrics", "/openapi.json"):
                answer = served.ask(path, {"questions": ["Why?"]} if path in ("/search", "/add") else None)
                assert (answer.status, "token" in answer.body["detail"]) == (401, True)
            # The page has no data, and a load balancer that asks for the health no token.
            assert served.ask("/").status == 200
            assert served.get("/health") == {"status": "ok", "about": None}


def test_a_model_without_a_decision_gives_cosines_only(
    launching_with_torch: Launcher, tiny_model: Path, tmp_path: Path
) -> None:
    with launching_with_torch.serving("--model", str(tiny_model), "--journal", str(tmp_path / "journal")) as served:
        answer = served.get("/compare", {"pairs": [["a", "b"]]})
        assert (answer["threshold"], answer["prior"]) == (None, None)
        assert {**answer["results"][0], "cosine": 0} == {"cosine": 0, "probability": None, "same": None}
        refused = served.ask("/compare", {"pairs": [["a", "b"]], "precision": 0.9})
        assert (refused.status, "has no decision" in refused.body["detail"]) == (400, True)
        about = served.get("/health")["about"]
        assert (about["has_decision"], about["decides"]) == (False, False)
        assert "Decision none" in served.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--limit", "max_batches=3"], "--limit max_batches: "),
        (["--limit", "max_batch=0"], "--limit max_batch: "),
        (["--limit", "max_batch"], "--limit max_batch: "),
        (["--column", "title"], "--column"),
        (["--host", "nowhere.invalid"], "nowhere.invalid"),
        (["--model", "no such model"], "no such model"),
    ],
)
def test_invalid_options_are_refused_before_anything_starts(
    launching: Launcher, tmp_path: Path, arguments: list[str], named: str
) -> None:
    refused = launching.begin(["--journal", str(tmp_path / "journal"), *arguments], {})
    assert refused.wait() in (1, 2)
    (line,) = [line for line in refused.log.read_text().splitlines() if line.startswith("Error")]
    assert named in line


def test_an_address_in_use_is_named(launching: Launcher, asked: Served, tmp_path: Path) -> None:
    port = asked.address.rpartition(":")[2]
    refused = launching.begin(["--journal", str(tmp_path / "journal"), "--port", port], {})
    assert refused.wait() == 1
    assert f"can't listen on 127.0.0.1:{port}" in refused.log.read_text()
