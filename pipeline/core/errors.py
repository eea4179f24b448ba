"""The errors that a user is meant to read: one line each, a kind, and the values that the line names."""

import re
from collections.abc import Sequence
from typing import Literal, Self

from pipeline.core.foreign_text import redacted, shortened

Product = Literal["pairs", "splits", "base model", "model", "baseline report", "report"]
"""A product of the pipeline that an error asks to rebuild."""

_ADVICE: dict[str, str] = {
    "pairs": "read the question pairs again",
    "splits": "split the pairs again",
    "base model": "resolve the base model again",
    "model": "train the model again",
    "baseline report": "measure the base model again",
    "report": "measure the model again",
}

LONGEST_LINE = 300
"""Maximum characters of a line that a user is shown."""

_LONGEST_MESSAGE = 280
"""Leaves room for what precedes a message in its line: `Error: ` and the name of the step."""

_SHARE_OF_THE_START = 0.72
_LONG_PATH = re.compile(r"\S{55,}(?=\S{35})")
"""The part of a path of more than 90 characters that may be left out."""


class PipelineError(Exception):
    """Something that the user can put right.

    The message is one line that names the thing, the value and the way out. Dagster's steps turn it into a
    `dagster.Failure` and the command line into its last line, both without a traceback. A message of more than 280
    characters loses the beginning of long paths, and then its middle: the thing and the way out stay.

    Raise one of the kinds below. A kind says what sort of thing is wrong, so callers and tests need not read the line.

    Attributes:
        message: the line, without the advice that `make_again` stands for.
        make_again: what must be rebuilt: a `Product`, or the name of a stored asset. None where the message names
            another way out. Dagster's steps name the asset instead of the advice.
        values: what the line names, by name, such as `{"path": path, "row": 3}`.
    """

    def __init__(self, message: str, make_again: Product | str | None = None, **values: object) -> None:
        message = one_line(message, _LONGEST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.make_again = make_again
        self.values = values

    def prefixed(self, prefix: str) -> Self:
        """The same error, with a prefix to its line."""
        return type(self)(f"{prefix}{self.message}", self.make_again, **self.values)

    def __str__(self) -> str:
        if self.make_again is None:
            return self.message
        return one_line(f"{self.message}: {_ADVICE.get(self.make_again, f'rebuild {self.make_again}')}")


class SettingError(PipelineError):
    """A setting or an argument is refused, or two of them contradict each other."""


class InputError(PipelineError):
    """A file, a dataset or a text of the user can't be read, or doesn't hold what is needed."""


class NotFoundError(PipelineError):
    """Something that is named, or that must have been made before, doesn't exist."""


class DamagedError(PipelineError):
    """Stored bytes are not the bytes that were written."""


class MismatchError(PipelineError):
    """Two things don't belong together, such as a report and another model's threshold."""


class ModelError(PipelineError):
    """A model can't be loaded or used for what is asked."""


class TrainingError(PipelineError):
    """A training failed, such as by a loss that is not finite."""


class ResourceError(PipelineError):
    """Memory, disk space, time or a limit is not enough."""


class NotInstalledError(PipelineError):
    """An optional dependency is missing."""


class UnavailableError(PipelineError):
    """Another service, such as the hub, Modal or object storage, can't be reached or refuses."""


class BusyError(PipelineError):
    """Another process holds what is needed."""


_REASON_LENGTH = 200
_MAX_READ = 4_000
"""Maximum characters that are read of a library's message, which may have megabytes."""

_EXCERPT_LENGTH = 60
_MOST_LISTED = 12
_LONGEST_LISTING = 120
_LONGEST_EXCERPT = 80
"""Maximum characters of a quoted excerpt, in which an unprintable character takes several."""

_IS_ADVICE = re.compile(
    r"^\W*(?:please|try|consider|alternatively|use|set|pass|increase|enable|specify|make sure|see|check out|you (?:can|"
    r"may|might|should|need|could|will)|if you|to (?:fix|disable|enable|ignore|silence|avoid|resolve|use))\b",
    re.IGNORECASE,
)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """The text in one line of printable characters. A longer one loses the beginning of long paths, then its middle."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(text) <= longest:
        return text
    text = _LONG_PATH.sub("…", text)
    if len(text) <= longest:
        return text
    start = int(longest * _SHARE_OF_THE_START)
    return f"{text[:start].rstrip()} … {text[len(text) - (longest - start - 3) :].lstrip()}"


def excerpt(text: str) -> str:
    """A user's text for a message: quoted, in one line, at most 60 characters of it."""
    shown = repr(shortened(text, _EXCERPT_LENGTH))
    return shown if len(shown) <= _LONGEST_EXCERPT else f"{shown[: _LONGEST_EXCERPT - 2]}…{shown[0]}"


def listing(names: Sequence[str]) -> str:
    """The first names, as many as fit in a line, and how many more there are."""
    shown: list[str] = []
    for name in names[:_MOST_LISTED]:
        # Surrounding blanks and control characters can be seen only in quotes.
        is_plain = name.isprintable() and name == name.strip() and len(name) <= len(excerpt(name))
        text = name if is_plain else excerpt(name)
        if shown and sum(map(len, shown)) + len(text) > _LONGEST_LISTING:
            break
        shown.append(text)
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def counted(number: int, what: str) -> str:
    """A number and its noun, as in `1 row` or `2,000 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def reason_of(error: BaseException) -> str:
    """The message of a library's error, in one line of at most 200 characters; its type where it has none.

    The library's advice is left out, as its parameters are no settings of this project, and so are credentials of URLs.
    """
    message = " ".join(str(error)[:_MAX_READ].split())
    line = _without_advice(redacted(message)) or type(error).__name__
    return shortened(line, _REASON_LENGTH)


def _without_advice(line: str) -> str:
    """The line without the sentences and brackets that give advice."""
    line = re.sub(r"\s*\(([^()]*)\)", lambda found: "" if _IS_ADVICE.search(found[1]) else found[0], line)
    sentences = re.split(r"(?<=[.!?;])\s+", line)
    return " ".join(sentence for sentence in sentences if not _IS_ADVICE.search(sentence)).rstrip(" .;")
