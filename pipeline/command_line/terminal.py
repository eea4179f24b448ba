"""How lines are printed: as they are, at any width, with nothing in them that a terminal would act on."""

from rich.console import Console

from pipeline.core.foreign_text import visible


def say(console: Console, line: str) -> None:
    """Print one line, which may hold the names of files and models."""
    console.print(visible(line), soft_wrap=True, highlight=False, markup=False)


def say_sentence(console: Console, sentence: str) -> None:
    """Print a sentence, broken between words at the width of a terminal; elsewhere as one line."""
    console.print(visible(sentence), soft_wrap=not console.is_terminal, highlight=False, markup=False)
