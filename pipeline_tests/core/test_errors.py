"""What an error says to a user: one line, at most so long, and no advice about settings that don't exist here."""

import pytest

from pipeline.core.errors import PipelineError, reason_of


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "The repository contains custom code. Please pass the argument `trust_remote_code=True` to allow it.",
            "The repository contains custom code",
        ),
        (
            "size mismatch for embeddings (you can use ignore_mismatched_sizes=True to load it anyway)",
            "size mismatch for embeddings",
        ),
        ("Too wide. Consider setting `block_size` to a larger value!", "Too wide"),
        ("No such file", "No such file"),
    ],
)
def test_advice_of_libraries_is_left_out(said: str, kept: str) -> None:
    assert reason_of(ValueError(said)) == kept


def test_an_error_that_says_nothing_or_only_advises_is_named_by_its_type() -> None:
    assert reason_of(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert reason_of(RuntimeError("Please set `trust_remote_code=True`.")) == "RuntimeError"


def test_a_reason_and_an_error_are_one_line_of_bounded_length_without_credentials() -> None:
    long = "can't reach https://me:secret@example.org/pairs.tsv?token=secret \n" + "x" * 1_000_000
    for line, most in ((reason_of(ValueError(long)), 200), (str(PipelineError(long)), 300)):
        assert len(line) <= most
        assert len(line.splitlines()) == 1
    assert "secret" not in reason_of(ValueError(long))
