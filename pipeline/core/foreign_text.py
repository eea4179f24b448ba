"""Foreign text, which others wrote: questions, names of files and models, URLs, messages of libraries.

Before it is shown, it passes `for_terminal`, `for_markdown`, `for_csv` or `for_chat`; pages of HTML escape the result
of `for_terminal` with their template engine. Each returns one line that shows the text and does nothing: no control
code, no direction override, no markup, no link, no image, no formula.
"""

import re
from urllib.parse import unquote

_INVISIBLE = re.compile(
    # Control codes, line and paragraph separators, direction overrides, invisible signs and half characters. The two
    # joiners of emoji and of Persian, U+200C and U+200D, stay.
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#$~&!])")
_BEGINS_A_BLOCK = re.compile(r"^(?:[-+](?= |$)|[-=:](?=[-=: ]*$)|\d+(?=[.)](?: |$)))")
_BEGINS_A_LINK = re.compile(r"(://|(?<![\w])www(?=\.)|@)", re.IGNORECASE)
_WORD_JOINER = "&#8288;"
BEGINS_A_FORMULA = r"^[\s'\"]*[=+\-@|%＝＋－＠]"
"""Pattern of texts that a spreadsheet would compute."""


def visible(text: str) -> str:
    """Text whose control codes and invisible signs are seen as `\\x1b` or `\\u202e`, as Python writes them."""
    return _INVISIBLE.sub(lambda found: _written(found[0]), text)


def for_terminal(text: str) -> str:
    """Text for a terminal: one line, with single spaces."""
    return visible(" ".join(text.split()))


def for_markdown(text: str) -> str:
    """Text for GitHub's Markdown, which shows it unchanged in one line, also in a cell of a table.

    Backslashes escape markup, and an invisible word joiner prevents links: the extension that makes links of addresses
    runs after backslashes are removed.
    """
    escaped = _MARKUP.sub(r"\\\1", for_terminal(text))
    escaped = _BEGINS_A_BLOCK.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", escaped)
    return _BEGINS_A_LINK.sub(_without_link, escaped)


def for_csv(text: str) -> str:
    """Text for a spreadsheet, with an apostrophe before what it would compute."""
    shown = for_terminal(text)
    return f"'{shown}" if re.match(BEGINS_A_FORMULA, shown) else shown


def for_chat(text: str) -> str:
    """Text for a chat message, between backticks: it doesn't end the code, mention anybody or make a link.

    Slack finds mentions and links, which have angle brackets, inside code too.
    """
    return for_terminal(text).translate(_CHAT)


_CHAT = str.maketrans({"`": "'", "<": "‹", ">": "›"})


def shortened(text: str, length: int) -> str:
    """The head of a text, at most `length` characters, with an ellipsis where it was cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _written(character: str) -> str:
    """A character as Python's escape sequence."""
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _without_link(found: re.Match[str]) -> str:
    return f":{_WORD_JOINER}//" if found[0] == "://" else found[0] + _WORD_JOINER


# --- URLs, which may contain credentials ------------------------------------------------------------------------

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,31}"
_LINK_OF_A_CHAIN = re.compile(rf"::(?={_SCHEME}(?:://|::|$))")
"""Between the URLs of a chain, such as `zip://pairs.csv::ftp://host/pairs.zip`."""

_URL = re.compile(rf"((?<![A-Za-z0-9+.-]){_SCHEME}://)([^\s'\"<>]*)")


def without_credentials(location: str) -> str:
    """A location without users, passwords and queries, which may contain a token; also a chain of URLs."""
    return "::".join(_plain(part) for part in _LINK_OF_A_CHAIN.split(location))


def credentials(location: str) -> list[str]:
    """Users, passwords and values of queries in a URL or a chain of them, encoded and decoded."""
    found: list[str] = []
    for part in _LINK_OF_A_CHAIN.split(location):
        user, _, query = _parts(part)
        found += [*user.split(":", 1), *re.split(r"[&;=]", query), query]
    return [text for written in found for text in {written, unquote(written)} if text]


def has_password(location: str) -> bool:
    """Whether a URL, or one of a chain, contains a password."""
    return any(":" in _parts(part)[0] for part in _LINK_OF_A_CHAIN.split(location))


def redacted(text: str) -> str:
    """A sentence whose URLs have no credentials; see `without_credentials`."""
    return _URL.sub(lambda found: without_credentials(found[0]), text)


def _plain(part: str) -> str:
    scheme, separator, _ = part.partition("://")
    return f"{scheme}://{_parts(part)[1]}" if separator else part


def _parts(part: str) -> tuple[str, str, str]:
    """(user and password, host and path, query and fragment) of one URL; a plain path is its own path.

    A password may contain a slash or a question mark that should have been encoded: text with a colon before the last
    `@` counts as user and password.
    """
    _, separator, rest = part.partition("://")
    if not separator:
        return "", part, ""
    before, at, after = rest.rpartition("@")
    if not at or not (":" in before or "/" not in before):
        before, after = "", rest
    path, *query = re.split(r"[?#]", after, maxsplit=1)
    return before, path, query[0] if query else ""
