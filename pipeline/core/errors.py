"""The one exception that a user is meant to read."""

from typing import Literal

from pipeline.core.foreign_text import redacted, shortened

Product = Literal["pairs", "splits", "base model", "model", "baseline report", "report"]
"""What the pipeline makes, as an error names what must be made again."""

_ADVICE: dict[str, str] = {
    "pairs": "read the question pairs again",
    "splits": "split the pairs again",
    "base model": "resolve the base model again",
    "model": "train the model again",
    "baseline report": "measure the base model again",
    "report": "measure the model again",
}


class PipelineError(Exception):
    """Something that the user can put right.

    The message is one line that names the thing, the value and the way out. Dagster's steps turn it into a
    `dagster.Failure` and the command line into its last line, both without a traceback.

    Attributes:
        message: the line, without the advice that `make_again` stands for.
        make_again: what must be made again: a `Product`, or the name of a stored asset. None where the message names
            another way out. Dagster's steps name the asset instead of the advice.
    """

    def __init__(self, message: str, make_again: Product | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.make_again = make_again

    def __str__(self) -> str:
        if self.make_again is None:
            return self.message
        return f"{self.message}: {_ADVICE.get(self.make_again, f'make {self.make_again} again')}"


_REASON_LENGTH = 200
_EXCERPT_LENGTH = 60


def excerpt(text: str) -> str:
    """A user's text as a message may show it: quoted, in one line, at most 60 characters of it."""
    return repr(shortened(text, _EXCERPT_LENGTH))


def reason_of(error: BaseException) -> str:
    """What a library's error says, in one line of at most 200 characters, without the credentials of URLs in it; its
    type where it says nothing."""
    line = redacted(" ".join(str(error).split())) or type(error).__name__
    return shortened(line, _REASON_LENGTH)
