"""How reports look: Markdown that can't be broken by a question, pictures that say in words what they show, and a page
that needs nothing from elsewhere and can be read without seeing it."""

import html
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from made_reports import before_and_after
from markdown_it import MarkdownIt
from PIL import Image
from playwright.sync_api import Route, sync_playwright

from pipeline.core.foreign_text import for_markdown
from pipeline.evaluation.report import EvaluationReport, Mistake
from pipeline.reporting.plots import pictures
from pipeline.reporting.rendering import markdown, page, results_markdown
from pipeline.reporting.result_files import report_files

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def reports() -> tuple[EvaluationReport, EvaluationReport]:
    return before_and_after()


@pytest.fixture(scope="module")
def post(reports: tuple[EvaluationReport, EvaluationReport]) -> EvaluationReport:
    return reports[1]


def test_markdown_shows_before_after_and_gain_and_a_baseline_alone_has_neither(
    reports: tuple[EvaluationReport, EvaluationReport],
) -> None:
    baseline, post = reports
    text = markdown(post)
    # The gain comes first: on a phone the others are out of sight.
    assert (
        f"| average precision | {post.gains['ap'].signed} | {post.intervals['ap']} | {baseline.intervals['ap']} |"
        in text
    )
    assert post.tasks is not None
    assert baseline.tasks is not None
    assert (
        f"| duplicate mining, average precision | {post.task_gains['mining_ap'].signed} | "
        f"{post.task_intervals['mining_ap']} | {baseline.tasks.mining_ap:.4f} |" in text
    )
    assert f"({post.cosine.mcc - baseline.cosine.mcc:+.4f})" in text
    assert "(+" not in markdown(baseline)


@pytest.mark.parametrize(
    "question",
    [
        "Is `a | b` a *pipe*?",
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
        "two\nlines",
        "# 5 $x$ ~~y~~ \\n",
        "a_b_c &lt; d",
    ],
)
def test_a_question_comes_out_of_markdown_as_it_is(question: str) -> None:
    rendered = MarkdownIt("js-default").render(f"| a | b |\n|---|---|\n| {for_markdown(question)} | end |")
    cells = re.findall(r"<td>(.*?)</td>", rendered)
    assert len(cells) == 2
    assert html.unescape(cells[0]) == " ".join(question.split())


def test_results_for_a_published_page_have_no_row_of_the_data(post: EvaluationReport) -> None:
    text = results_markdown(post)
    assert "average precision" in text
    assert post.mistakes
    for mistake in post.mistakes:
        assert for_markdown(mistake.question1) not in text
        assert for_markdown(mistake.question1) in markdown(post)


def test_pictures_show_what_the_report_has_the_figures_for(post: EvaluationReport) -> None:
    assert [picture.name for picture in pictures(post)] == ["curves", "scores", "reliability", "slices", "training"]
    baseline, without_dev = before_and_after(dev_fraction=0)
    assert [picture.name for picture in pictures(baseline)] == ["curves", "scores", "slices"]
    assert "reliability" not in [picture.name for picture in pictures(without_dev)]


def test_a_pictures_alternative_text_gives_its_figures(post: EvaluationReport) -> None:
    assert post.baseline is not None
    alt = {picture.name: picture.alt for picture in pictures(post)}
    assert f"baseline {post.baseline.cosine.ap:.4f}, fine-tuned {post.cosine.ap:.4f}" in alt["curves"]
    assert f"F1 threshold: baseline {post.baseline.cosine.f1_threshold:.4f}" in alt["scores"]
    assert "Loss from 3.500 at step 1 to 1.250 at step 20" in alt["training"]
    assert "from 0.6100 to 0.7200" in alt["training"]


def test_pictures_are_the_same_bytes_for_the_same_report(post: EvaluationReport) -> None:
    # An equal report, but another object: its pictures are drawn again.
    first, second = dict(report_files(post)), dict(report_files(post.model_copy()))
    assert first == second
    for name in ("curves", "scores", "reliability", "slices", "training"):
        assert first[f"pictures/{name}.svg"].startswith(b"<?xml")
        with Image.open(io.BytesIO(first[f"pictures/{name}.png"])) as image:
            assert image.width > 800
    # Each is stored with every run, in Dagster's database.
    assert sum(len(content) for name, content in first.items() if name.endswith(".png")) < 200_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs the program `chromium`: apt-get install chromium")
def test_the_page_opens_without_network_and_passes_an_accessibility_check_on_a_phone_in_the_dark_too(
    post: EvaluationReport, tmp_path: Path
) -> None:
    nasty = Mistake(pair_id=7, question1="<img src=x onerror=alert(1)>", question2="b", is_duplicate=True, score=0.1)
    shown = post.model_copy(update={"mistakes": [*post.mistakes, nasty]})
    file = tmp_path / "report.html"
    file.write_text(page(shown, pictures(shown)))
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        context.route(re.compile(r"^(?!file:|data:)"), refuse)
        opened = context.new_page()
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda message: errors.append(message.text))
        opened.goto(file.as_uri())
        assert opened.locator("h1").inner_text().startswith("some-model-ft on ")
        assert opened.get_by_text(nasty.question1).count() == 1
        for picture in opened.locator("figure img").all():
            assert picture.evaluate("image => image.naturalWidth") > 600
            assert len(picture.get_attribute("alt") or "") > 40
        found = Axe().run(opened)
        assert found.violations_count == 0, found.generate_report()

        # On a phone in the dark.
        opened.set_viewport_size({"width": 390, "height": 844})
        opened.emulate_media(color_scheme="dark")
        assert opened.evaluate("document.documentElement.scrollWidth") == 390
        verdict, gain = opened.locator(".verdict"), opened.get_by_text(shown.gains["ap"].signed, exact=True)
        assert verdict.evaluate("part => part.getBoundingClientRect().top") < 844
        assert gain.evaluate("cell => cell.getBoundingClientRect().right") <= 390
        for picture in opened.locator("figure img").all():
            # Drawn for this width, so that its letters are about as large as those of the page.
            assert picture.evaluate("image => image.naturalWidth") < 400
            with Image.open(io.BytesIO(picture.screenshot())) as image:
                pixels = np.asarray(image.convert("L"))
            assert pixels[1, 1] < 40
            assert pixels.max() > 200
        found = Axe().run(opened)
        assert found.violations_count == 0, found.generate_report()
        assert (asked, errors) == ([], [])
        browser.close()
