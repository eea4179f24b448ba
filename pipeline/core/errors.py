"""The one exception that a user is meant to read."""


class PipelineError(Exception):
    """Something that the user can put right.

    The message is one line that names the thing, the value and the way out. Assets turn it into a
    `dagster.Failure` and the command line into its last line, both without a traceback.
    """


_REASON_LENGTH = 200
_EXCERPT_LENGTH = 60


def excerpt(text: str) -> str:
    """A user's text as a message may show it: quoted, in one line, at most 60 characters of it."""
    return repr(text if len(text) <= _EXCERPT_LENGTH else text[: _EXCERPT_LENGTH - 1] + "…")


def reason_of(error: BaseException) -> str:
    """What a library's error says, in one line of at most 200 characters; its type where it says nothing."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 1] + "…"
