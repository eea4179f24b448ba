"""What Dagster's real UI and a report's page do with foreign text, in a real Chromium: a server on loopback counts
whoever asks it for something."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster_server import answers, running
from made_reports import before_and_after
from playwright.sync_api import Page, sync_playwright

from pipeline.core.store import VersionStore
from pipeline.core.tables import markdown_lines
from pipeline.evaluation.report import EvaluationReport, Mistake
from pipeline.orchestration.assets import production
from pipeline.orchestration.assets.common import finding_result, table_metadata
from pipeline.quality.production_record import ProductionModel
from pipeline.quality.rules import Finding
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_audited
from pipeline.reporting.leaderboard import Leaderboard, leaderboard_row
from pipeline.reporting.model_card import model_card_text
from pipeline.reporting.rendering import markdown
from pipeline.reporting.rendering import page as report_page

CHROMIUM = shutil.which("chromium")
STARTUP_SECONDS = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs the program `chromium`: apt-get install chromium"),
]


class Canary(ThreadingHTTPServer):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counting)
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def texts(self, name: str) -> list[str]:
        """Texts that would have a browser ask for something, if anybody took them for markup."""
        url = f"{self.address}/{name}"
        return [
            f"![x]({url}/image)",
            f"<img src={url}/tag>",
            f"`` ` | ![x]({url}/code)",
            f"\n\n![x][r]\n\n[r]: {url}/reference",
            f"![x](<{url}/angle>)",
            f"\\![x]({url}/escaped)",
            f"--- ![x]({url}/dashes)",
            f"<style>@import '{url}/style'</style>",
            f"see {url}/plain or www.example.org",
        ]


class _Counting(BaseHTTPRequestHandler):
    server: Canary

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def nasty_report(canary: Canary) -> EvaluationReport:
    """A report whose model, source and questions have names that are markup."""
    _, post = before_and_after()
    text = " ".join(canary.texts("report"))
    mistakes = [
        Mistake(pair_id=i, question1=text, question2="b", is_duplicate=i == 1, score=0.1)
        for i, text in enumerate(canary.texts("mistake"))
    ]
    assert post.training is not None
    assert post.baseline is not None
    origin = post.origin.model_copy(update={"source": text})
    named = {"name": text}
    training = post.training.model_copy(
        update={
            "origin": origin,
            "model": post.training.model.model_copy(update=named),
            "base_model": post.training.base_model.model_copy(update=named),
            "device": text,
        }
    )
    return post.model_copy(
        update={
            "model": post.model.model_copy(update=named),
            "origin": origin,
            "mistakes": mistakes,
            "training": training,
            "baseline": post.baseline.model_copy(update={"model": post.baseline.model.model_copy(update=named)}),
        }
    )


def events(canary: Canary, folder: Path) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """What the project's assets record, made from such texts, and one record that is markup indeed."""
    yield dg.AssetMaterialization(
        "control", metadata={"text": dg.MetadataValue.md(f"![x]({canary.address}/control)")}, description="control"
    )
    texts = canary.texts("question")
    # Each is repeated, mirrored and contradicted, so that the account quotes it.
    rows = [(a, b, label) for a, b in itertools.pairwise(texts) for label in (0, 1)]
    rows += [(b, a, label) for a, b, label in rows] + [("", texts[0], 1)]
    file = folder / f"x]({canary.address.replace('/', '%2F')}) ![x.csv"
    pd.DataFrame(rows, columns=["question1", "question2", "is_duplicate"]).to_csv(file, index=False)
    pairs = load_audited(PairSource(source="file", path=str(file)))
    origin = pairs.table.origin.model_copy(update={"source": texts[0]})
    table = type(pairs.table)(pairs.table.pairs, origin)
    account = dg.MetadataValue.md("\n".join(markdown_lines(pairs.audit.table)))
    yield dg.AssetMaterialization("dataset", metadata={**table_metadata(table), "account": account})

    report = nasty_report(canary)
    assert report.training is not None
    yield dg.AssetMaterialization("report", metadata={"report": dg.MetadataValue.md(markdown(report))})
    card = model_card_text(report.training)
    yield dg.AssetMaterialization("card", metadata={"model_card": dg.MetadataValue.md(card)})
    record = ProductionModel(
        model=report.training,
        report=report,
        run_id="r",
        promoted_at=datetime.now(UTC).isoformat(),
        is_rollback=False,
        previous=None,
    )
    history = dict(production._metadata(record, VersionStore(str(folder))))
    yield dg.AssetMaterialization("production", metadata={**history, "trained_by": "r"})
    yield dg.AssetMaterialization(
        "leaderboard", metadata={"leaderboard": dg.MetadataValue.md(a_leaderboard(report).to_markdown())}
    )
    for text in canary.texts("finding"):
        result = finding_result(Finding(False, 1.0, 0.0, text), "production", "gain_over_baseline")
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("production"),
            check_name="gain_over_baseline",
            passed=False,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )


def a_leaderboard(report: EvaluationReport) -> Leaderboard:
    row = leaderboard_row(report, behind=None)
    return Leaderboard(
        eval_version="v",
        threshold_kind="dev",
        origin=report.origin,
        pairs=1,
        positive_rate=0.5,
        rows=[row],
        left_out={report.model.name: 1},
    )


def test_dagsters_ui_asks_nobody_for_what_stands_in_foreign_text(
    canary: Canary, browser_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        for event in events(canary, tmp_path):
            instance.report_runless_asset_event(event)
    with webserver(tmp_path) as address:
        for asset in ("control", "dataset", "report", "card", "production", "leaderboard"):
            browser_page.goto(f"{address}/assets/{asset}?view=events")
            browser_page.get_by_text("Metadata", exact=True).first.wait_for()
            look(browser_page, canary)
            # What is long, Dagster shows on demand.
            for button in browser_page.get_by_text("Show Markdown").all():
                button.click()
                browser_page.get_by_role("dialog").first.wait_for()
                look(browser_page, canary)
                browser_page.keyboard.press("Escape")
                browser_page.get_by_role("dialog").first.wait_for(state="hidden")
    assert set(canary.asked) == {"/control"}


def look(page: Page, canary: Canary) -> None:
    """Wait until what the page shows is asked for; no address in a text is a link."""
    page.wait_for_timeout(500)
    assert page.locator(f"a[href^='{canary.address}']").count() == 0


@contextmanager
def webserver(folder: Path) -> Iterator[str]:
    """The address of Dagster's webserver over the instance of DAGSTER_HOME, without any code of a user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", folder / "webserver.log"
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "--empty-workspace"]
    with running(command, os.environ, log) as process:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address


def test_the_page_of_a_report_asks_nobody_and_runs_nothing(canary: Canary, browser_page: Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report = nasty_report(canary)
    scripted = report.mistakes[0].model_copy(update={"question1": f"<script src={canary.address}/script></script>"})
    file.write_text(report_page(report.model_copy(update={"mistakes": [*report.mistakes, scripted]}), ()))
    browser_page.goto(file.as_uri())
    browser_page.wait_for_timeout(300)
    assert browser_page.get_by_text("![x](").count() > 0
    assert canary.asked == []


def test_a_terminal_is_told_nothing_by_the_name_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "\x1b]2;owned\x07\x1b[31m.csv"
    file.write_text("question1,question2,is_duplicate\na,b,2\n")
    command = [sys.executable, "-m", "pipeline", "pairs"]
    command += ["--set", "raw_quora_dataset.source=file", "--set", f"raw_quora_dataset.path={file}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert " ]2;owned " in result.stderr
    assert not {"\x1b", "\x07"} & set(result.stdout + result.stderr)
