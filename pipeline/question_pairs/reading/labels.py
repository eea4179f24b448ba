"""The words that mean duplicate or not duplicate in a column of labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import counted, listing

PLAIN_WORDS = frozenset({"1", "1.0", "true", "0", "0.0", "false"})
"""Labels that need no explanation."""

_DUPLICATE = frozenset({"1", "1.0", "true", "t", "yes", "y", "duplicate"})
_OTHER = frozenset({"0", "0.0", "false", "f", "no", "n", "not duplicate", "not_duplicate"})
"""`t` and `f` are PostgreSQL's, `duplicate` and `not_duplicate` the names of the classes in GLUE's QQP."""


def label_keys(texts: pa.Array) -> pa.Array:
    """Keys that are equal for the same labels, which ignore letter case and outer blanks."""
    return pc.utf8_lower(pc.utf8_trim_whitespace(texts))


@dataclass(frozen=True)
class LabelWords:
    """The labels of a source, in lower case and without outer blanks.

    Attributes:
        duplicate: those of duplicates.
        other: those of all other pairs.
    """

    duplicate: frozenset[str] = _DUPLICATE
    other: frozenset[str] = _OTHER

    @classmethod
    def of(cls, meanings: Mapping[str, int]) -> "LabelWords":
        """The known words and the user's own, which take precedence.

        Args:
            meanings: 1 for a word of duplicates, 0 for one of other pairs.
        """
        keys = label_keys(pa.array(meanings, pa.large_string())).to_pylist()
        own = dict(zip(keys, meanings.values(), strict=True))
        duplicate = frozenset(word for word, meaning in own.items() if meaning)
        other = frozenset(own) - duplicate
        return cls((_DUPLICATE - other) | duplicate, (_OTHER - duplicate) | other)

    def __contains__(self, word: str) -> bool:
        return word in self.duplicate or word in self.other

    def described(self, counts: Mapping[str, int]) -> str:
        """How often each word occurs and what it was taken for, or an empty text if all words are plain.

        Args:
            counts: how often each word occurs.
        """
        shown = sorted(word for word in counts if word not in PLAIN_WORDS or self._is_turned(word))
        return listing([f"{word} as {self._meaning(word)} in {counted(counts[word], 'pair')}" for word in shown])

    def _meaning(self, word: str) -> str:
        return "duplicate" if word in self.duplicate else "not duplicate"

    def _is_turned(self, word: str) -> bool:
        return (word in self.duplicate) != (word in _DUPLICATE)
