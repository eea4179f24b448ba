"""How lines are printed: as they are, at any width, with nothing in them that a terminal would act on."""

from rich.console import Console

from pipeline.core.foreign_text import visible


def say(console: Console, line: str) -> None:
    """Print one line, which may hold the names of files and models."""
    console.print(visible(line), soft_wrap=True, highlight=False, markup=False)
