"""Tables of formatted cells, as Markdown and for a terminal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.core.foreign_text import for_markdown, for_terminal


@dataclass(frozen=True)
class Table:
    """A table of formatted cells.

    Attributes:
        caption: what it shows, for readers of the table alone.
        texts: the number of leading columns with text; the others have numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


def markdown_lines(table: Table) -> Iterator[str]:
    """A table in GitHub's Markdown, with numbers aligned right."""
    return _lines(table, for_markdown)


def terminal_lines(table: Table) -> Iterator[str]:
    """The same for a terminal, without backslashes."""
    return _lines(table, for_terminal)


def _lines(table: Table, shown: Callable[[str], str]) -> Iterator[str]:
    yield _line(table.header, shown)
    yield "|" + "".join("---|" if column < table.texts else "--:|" for column in range(len(table.header)))
    for row in table.rows:
        yield _line(row, shown)


def _line(cells: tuple[str, ...], shown: Callable[[str], str]) -> str:
    return "|" + "".join(f" {text} |" if (text := shown(cell)) else " |" for cell in cells)
