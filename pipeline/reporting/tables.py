"""Tables, and text that Markdown shows as it is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>|#$~&])")


@dataclass(frozen=True)
class Table:
    """A table of formatted cells.

    Attributes:
        caption: what it shows, for readers who don't see where it stands.
        texts: how many of the first columns hold text; the others hold numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return _MEANS_SOMETHING.sub(r"\\\1", " ".join(text.split()))


def table_lines(table: Table) -> Iterator[str]:
    """A table in GitHub's Markdown, numbers flush right."""
    yield f"| {' | '.join(table.header)} |"
    yield "|" + "".join("---|" if column < table.texts else "--:|" for column in range(len(table.header)))
    for row in table.rows:
        yield f"| {' | '.join(escaped(cell) for cell in row)} |"
