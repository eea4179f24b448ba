"""The page answers while a question is typed, by keyboard, on a phone, in the dark, and shows texts as texts."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from served import Launcher, Served

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs the program `chromium`: apt-get install chromium"),
]

MARKUP = "<img src=x onerror=document.title='owned'> <b>bold</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def test_a_question_is_answered_while_it_is_typed(asked: Served, page: Page) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(asked.address)
    expect(page.get_by_text("5 known questions from known.txt. Model: ")).to_be_visible()
    # The cursor is where the question goes.
    page.keyboard.type("how do i learn python?")
    found = page.get_by_role("list").get_by_role("listitem")
    expect(found).to_have_count(5)
    expect(found.first).to_contain_text("How do I learn Python?")
    expect(found.first).to_contain_text("cosine 1.0000")
    expect(found.first).to_contain_text("same")
    expect(page.get_by_text("The same question", exact=True)).to_be_hidden()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    expect(found).to_have_count(0)
    assert problems == []


def test_two_questions_are_compared_and_the_answer_says_why(asked: Served, page: Page) -> None:
    page.goto(asked.address)
    page.get_by_label("Question", exact=True).fill("Why is the sky blue?")
    page.keyboard.press("Tab")
    page.keyboard.type("why is the sky BLUE? ")
    page.keyboard.press("Enter")
    answer = page.get_by_label("Answer")
    threshold = asked.get("/compare", {"pairs": [["a", "b"]]})["threshold"]
    expect(answer).to_contain_text("The same question")
    expect(answer).to_contain_text(f"reaches the threshold {threshold:.4f}")
    expect(answer).to_contain_text("of the pairs are duplicates")
    page.get_by_text("Settings").click()
    page.get_by_label("Share of duplicates").fill("0.01")
    expect(answer).to_contain_text("0.01 % of the pairs are duplicates")
    page.get_by_label("Known questions to show").fill("2")
    expect(page.get_by_role("list").get_by_role("listitem")).to_have_count(2)
    page.get_by_label("Share of duplicates").fill("100")
    expect(page.get_by_role("alert")).to_contain_text("between 0 and 100 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_everybody_can_read_it(asked: Served, browser: Browser, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(asked.address)
    page.get_by_text("Settings").click()
    page.get_by_label("Question", exact=True).fill("Why is the sky blue?")
    page.get_by_label("Compare with").fill("How do I cook rice?")
    # To a model with random weights all questions are alike; where duplicates are rare, that isn't enough.
    for share, verdict in (("", "The same question"), ("0.001", "Different questions")):
        page.get_by_label("Share of duplicates").fill(share)
        expect(page.get_by_label("Answer")).to_contain_text(verdict)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_texts_are_shown_as_texts(launching: Launcher, deciding_export: Path, page: Page, tmp_path: Path) -> None:
    file = tmp_path / f"{MARKUP.replace('/', '')}.txt"
    file.write_text(f"{MARKUP}\n")
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal"), "--in", str(file)]
    with launching.serving(*arguments) as served:
        page.goto(served.address)
        page.get_by_label("Question", exact=True).fill(MARKUP)
        expect(page.get_by_role("list").get_by_text(MARKUP, exact=True)).to_be_visible()
        assert page.locator("img, main b").count() == 0
        assert page.title() == "Duplicate questions"
        served.signal(signal.SIGTERM)
        served.wait()
        page.get_by_label("Question", exact=True).fill("Is anybody there?")
        expect(page.get_by_role("alert")).to_contain_text("does not respond")


def test_it_asks_for_the_token_where_one_is_needed(
    launching: Launcher, deciding_export: Path, page: Page, tmp_path: Path
) -> None:
    arguments = ["--model", str(deciding_export), "--journal", str(tmp_path / "journal")]
    with launching.serving(*arguments, PIPELINE_SERVE_TOKEN="secret") as served:
        page.goto(served.address)
        expect(page.get_by_text("Enter the token of this service")).to_be_visible()
        page.get_by_label("Question", exact=True).fill("Why?")
        expect(page.get_by_role("alert")).to_contain_text("send the token of the service")
        page.get_by_label("Token of this service").fill("secret")
        page.keyboard.press("Enter")
        expect(page.get_by_text("0 known questions. Model: ")).to_be_visible()
        expect(page.get_by_text("There are no known questions yet.")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()
