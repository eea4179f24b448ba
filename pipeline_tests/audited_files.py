"""A file of question pairs, read or refused in one short line."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import AuditedPairs, load_audited


def audited(path: Path, **settings: Any) -> AuditedPairs:
    """The pairs of a file, and the account of its rows."""
    return load_audited(PairSource(source="file", path=str(path), **settings))


def refusal(path: Path, **settings: Any) -> str:
    """Why a file is refused: one line of at most 280 characters."""
    with pytest.raises(PipelineError) as caught:
        audited(path, **settings)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert len(message) <= 280, message
    return message
