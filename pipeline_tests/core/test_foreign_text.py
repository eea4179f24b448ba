"""Foreign text is shown as it is and does nothing: on a terminal, in Markdown and in CSV; URLs show no credentials."""

import html
import re

import pytest
from effort import tries
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.core.errors import reason_of
from pipeline.core.foreign_text import (
    credentials,
    for_csv,
    for_markdown,
    for_terminal,
    has_password,
    redacted,
    shortened,
    without_credentials,
)
from pipeline.core.tables import Table, markdown_lines

# Mostly what means something somewhere, so that short texts hit it.
SIGNS = st.sampled_from([*"\\`*_{}[]()<>|#$~&!-+=:.@/'\"%^;,0123456789 \t\n\x1b\x07\u202e\u200b", "://", "www.", "ab"])
TEXTS = st.lists(SIGNS | st.characters(), max_size=12).map("".join)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NASTY = (
    "![x](http://127.0.0.1:9/x.png)",
    "<img src=http://127.0.0.1:9/x.png>",
    "[a]: http://127.0.0.1:9/ 'x'",
    "http://127.0.0.1:9/ www.example.org me@example.org",
    "1. one",
    "- - -",
    "=====",
    "    four spaces",
    "`` ` ``",
    "a | b \\| c",
    "&lt;b&gt; &#33;",
    "\x1b]8;;http://127.0.0.1:9/\x07click\x1b]8;;\x07",
)


def shown_by(markdown: str) -> str:
    """The text that a reader sees, without the joiner that nobody sees."""
    rendered = MARKDOWN.render(markdown)
    assert not re.search(r"<(?!/?(p|table|thead|tbody|tr|th|td)( |>))", rendered), rendered
    return html.unescape(re.sub(r"<[^>]+>", "", rendered)).replace("\u2060", "").strip()


@settings(derandomize=True, deadline=None, max_examples=tries(300))
@given(TEXTS)
def test_markdown_shows_any_text_as_a_terminal_does(text: str) -> None:
    assert shown_by(for_markdown(text)) == for_terminal(text)


@pytest.mark.parametrize("text", NASTY)
def test_markdown_makes_no_link_picture_list_or_code_of_a_text(text: str) -> None:
    assert shown_by(for_markdown(text)) == for_terminal(text)
    assert shown_by(f"before\n{for_markdown(text)}").removeprefix("before\n") == for_terminal(text)


@settings(derandomize=True, deadline=None, max_examples=tries(100))
@given(TEXTS, TEXTS)
def test_a_cell_of_a_table_stays_one_cell(first: str, second: str) -> None:
    table = "\n".join(markdown_lines(Table("t", ("a", first), ((second, "end"), ("x", "y")), texts=2)))
    rendered = MARKDOWN.render(table)
    assert [rendered.count(f"<{tag}") for tag in ("th>", "td>", "a ", "img", "code")] == [2, 4, 0, 0, 0]


@settings(derandomize=True, deadline=None, max_examples=tries(200))
@given(TEXTS)
@example("\u202egnp.exe")
@example("\x9b31m")
def test_a_terminal_gets_nothing_that_it_acts_on(text: str) -> None:
    shown = for_terminal(text)
    assert "\n" not in shown
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert for_terminal(shown) == shown


def test_words_of_every_script_stay_as_they_are() -> None:
    for text in ("Grüße, 世界", "ما هو الحل الأفضل؟", "می\u200cخواهم", "👩\u200d👩\u200d👧 why?", "x ≠ y — “so”"):
        assert for_terminal(text) == text == for_csv(text)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "|cmd", "'=1", '"=1'])
def test_a_spreadsheet_takes_a_formula_for_text(text: str) -> None:
    assert for_csv(text).startswith("'")
    assert for_csv(f"a{text}")[0] == "a"


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"


URLS = {
    "ftp://me:secret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "https://host/pairs.tsv?token=secret": "https://host/pairs.tsv",
    "https://host/pairs.tsv#secret": "https://host/pairs.tsv",
    "zip://pairs.tsv::ftp://me:secret@host/a.zip": "zip://pairs.tsv::ftp://host/a.zip",
    "simplecache::https://me:secret@host/a?key=secret": "simplecache::https://host/a",
    "ftp://me:sec/ret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "ftp://me:s@cret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "ftp://me:s?cret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "ftp://me:sec::ret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "ftp://secret@host/pairs.tsv": "ftp://host/pairs.tsv",
    "s3://bucket/a@b.tsv": "s3://bucket/a@b.tsv",
    "/home/me@work/pairs.tsv": "/home/me@work/pairs.tsv",
    "memory://bucket/pairs.tsv": "memory://bucket/pairs.tsv",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_shown_without_credentials(url: str) -> None:
    assert without_credentials(url) == URLS[url]
    assert redacted(f"can't reach '{url}': no such host") == f"can't reach '{URLS[url]}': no such host"
    assert reason_of(OSError(f"can't reach {url} now")) == f"can't reach {URLS[url]} now"
    assert has_password(url) == (":" in url.partition("//")[2].rpartition("@")[0])


def test_credentials_are_known_as_they_are_written_and_as_they_are_meant() -> None:
    found = credentials("zip://a::ftp://me:se%2Fcret@host/a.zip?sig=abc&x=1")
    assert {"me", "se%2Fcret", "se/cret", "abc"} <= set(found)
    assert credentials("/a/b@c") == credentials("s3://bucket/key") == []
