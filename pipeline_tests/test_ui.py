"""Dagster's UI on a real `dagster dev`, driven in a real headless Chromium."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster_server import ask, dagster_dev
from effort import PROVES, exhaustive
from playwright.sync_api import Page, expect, sync_playwright

from pipeline.core.files import PROJECT_ROOT

CHROMIUM = shutil.which("chromium")
RUN_SECONDS = 900
# The UI polls, and two cores also train meanwhile.
PATIENCE_MS = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs the program `chromium`: apt-get install chromium"),
]

ASSETS = (
    "raw_quora_dataset",
    "train_split",
    "dev_split",
    "eval_split",
    "base_model",
    "baseline_eval_report",
    "fine_tuned_model",
    "post_train_eval_report",
    "production_model",
    "model_leaderboard",
)
MINING = ("questions", "question_embeddings", "mined_duplicates", "question_index")
"""Made by a job of their own."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty `PIPELINE_HOME`."""
    return tmp_path_factory.mktemp("ui") / "home"


@pytest.fixture(scope="module")
def webserver(home: Path) -> Iterator[str]:
    """The address of a `dagster dev` with the project's own settings and empty folders."""
    dagster_home = home.with_name("dagster_home")
    dagster_home.mkdir()
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", dagster_home)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "PIPELINE_"))}
    environment = {**others, "OMP_NUM_THREADS": "1", "PIPELINE_HOME": str(home), "DAGSTER_HOME": str(dagster_home)}
    with dagster_dev(environment, home.with_name("dagster-dev.log")) as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        # Large enough for the whole lineage: zoomed out, Dagster draws small boxes with cut names.
        page = browser.new_page(viewport={"width": 4000, "height": 4400})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


ALL, QUICKSTART = "__ASSET_JOB", "quickstart"
"""The job of *Materialize all*, and one of the project's."""


def _run_statuses(address: str, job: str) -> list[str]:
    query = "query ($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results { status } } } }"
    return [run["status"] for run in ask(address, query, job=job)["runsOrError"]["results"]]


def _materialize_all(page: Page, model: Path) -> None:
    """With the default settings in `make prove`; else by the launchpad, on few pairs and with a tiny model."""
    button = page.get_by_role("button", name="Materialize all")
    if PROVES:
        button.click()
        return
    button.click(modifiers=["Shift"])
    settings = f"ops: {{raw_quora_dataset: {{config: {{fraction: 0.2}}}}, base_model: {{config: {{model: {model}}}}}}}"
    # The first editor is the search for assets. The launchpad fills in the defaults before it takes other settings.
    editor = page.locator(".CodeMirror").last
    expect(editor).to_contain_text("baseline_eval_report", timeout=PATIENCE_MS)
    editor.evaluate("(element, text) => element.CodeMirror.setValue(text)", settings)
    page.get_by_role("button").filter(has_text=re.compile("^Materialize$")).click()


@exhaustive
def test_the_ui_shows_the_lineage_and_materialises_all_with_a_click(
    webserver: str, page: Page, tmp_path: Path, home: Path, tiny_model: Path
) -> None:
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    page.goto(f"{webserver}/asset-groups")
    expect(page.get_by_text("reports", exact=True).filter(visible=True).last).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Alt+e")
    page.wait_for_timeout(2_000)  # Groups open one after the other; only what is in sight is drawn.
    page.keyboard.press("Alt+Digit0")
    for asset in (*ASSETS, *MINING):
        # A long name is shown with an ellipsis; the element that measures it has it whole.
        expect(page.get_by_text(asset, exact=True).first).to_be_attached(timeout=PATIENCE_MS)
    _materialize_all(page, tiny_model)

    while not _run_statuses(webserver, ALL):
        page.wait_for_timeout(200)
    # The graph is drawn without a GPU; meanwhile the cores are for the training.
    page.goto("about:blank")
    deadline = time.monotonic() + RUN_SECONDS
    while not (statuses := _run_statuses(webserver, ALL)) or statuses[0] not in ("SUCCESS", "FAILURE", "CANCELED"):
        assert time.monotonic() < deadline, f"the run is still {statuses}"
        time.sleep(1)
    assert statuses == ["SUCCESS"]
    (manifest,) = (home / "runs").glob("*/manifest.json")
    assert (json.loads(manifest.read_text())["result"]["train_pairs"] < 1_000) != PROVES

    page.goto(f"{webserver}/asset-groups")
    expect(page.get_by_text("Materialized").first).to_be_attached(timeout=PATIENCE_MS)
    page.keyboard.press("Alt+Digit0")
    page.wait_for_timeout(1_000)  # The zoom is animated; the picture is for people.
    page.screenshot(path=pictures / "lineage.png")

    page.goto(f"{webserver}/assets/post_train_eval_report?view=overview")
    expect(page.get_by_text("How well the fine-tuned model does").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("cosine_ap_gain").first).to_be_attached(timeout=PATIENCE_MS)
    for word in ("reports", "embeddings", "CSV"):
        expect(page.get_by_text(word).first).to_be_attached(timeout=PATIENCE_MS)
    page.screenshot(path=pictures / "report.png")

    page.get_by_text("Show Markdown").first.click()
    expect(page.get_by_text("The worst mistakes")).to_be_attached(timeout=PATIENCE_MS)
    drawn = page.locator("img[src^='data:image/png']")
    assert drawn.count() == 5
    for picture in drawn.all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    drawn.first.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "report-pictures.png")


def _schedule_status(address: str) -> str:
    selector = '{repositoryName: "__repository__", repositoryLocationName: "pipeline", scheduleName: "weekly_retrain"}'
    query = (
        f"{{ scheduleOrError(scheduleSelector: {selector}) {{ ... on Schedule {{ scheduleState {{ status }} }} }} }}"
    )
    return str(ask(address, query)["scheduleOrError"]["scheduleState"]["status"])


def _launch_quickstart(address: str) -> str:
    """Start a run; returns its id."""
    selector = f'{{repositoryName: "__repository__", repositoryLocationName: "pipeline", jobName: "{QUICKSTART}"}}'
    launched = "... on LaunchRunSuccess { run { id } }"
    launch = f"launchRun(executionParams: {{selector: {selector}}}) {{ {launched} }}"
    return str(ask(address, f"mutation {{ {launch} }}")["launchRun"]["run"]["id"])


def test_a_schedule_is_switched_on_and_off_and_a_run_is_terminated_with_clicks(
    webserver: str, page: Page, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    page.goto(f"{webserver}/locations/pipeline/schedules/weekly_retrain")
    switch = page.locator("label:has(input[type=checkbox])").first
    for status in ("RUNNING", "STOPPED"):
        switch.click()
        expect(page.get_by_role("checkbox").first).to_be_checked(checked=status == "RUNNING", timeout=PATIENCE_MS)
        page.screenshot(path=pictures / f"schedule-{status.lower()}.png")
        assert _schedule_status(webserver) == status

    run = _launch_quickstart(webserver)
    page.goto(f"{webserver}/runs/{run}")
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while _run_statuses(webserver, QUICKSTART) != ["STARTED"]:
        assert time.monotonic() < deadline, f"the run is {_run_statuses(webserver, 'quickstart')}"
        time.sleep(0.5)
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    while _run_statuses(webserver, QUICKSTART) != ["CANCELED"]:
        assert time.monotonic() < deadline, f"the run is {_run_statuses(webserver, 'quickstart')}"
        time.sleep(0.5)
    expect(page.get_by_text("Canceled").first).to_be_visible(timeout=PATIENCE_MS)
    page.screenshot(path=pictures / "terminated.png")
