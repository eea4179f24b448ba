"""The bodies of requests and answers, from which the OpenAPI description is made."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.serving.options import MAX_CHARACTERS, MAX_FOUND

_NO_BLANK = r"[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""Pattern of a text with a character that Python does not call a blank; regex dialects differ about `\\S`."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a question must not be blank")
    return text


Question = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="A question. Known questions are compared without regard to case and surrounding blanks.",
        json_schema_extra={"pattern": _NO_BLANK},
    ),
    AfterValidator(_not_blank),
]
Prior = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Share of duplicates among your pairs. Empty: as on the dev split.",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CompareRequest(_Body):
    """Pairs to compare."""

    pairs: list[tuple[Question, Question]] = Field(
        min_length=1,
        description="Pairs of questions.",
        examples=[[["How do I learn Python?", "Best way into Python?"]]],
    )
    precision: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Decide by the threshold with this precision on the dev split. Empty: by that of the best F1.",
    )
    prior: Prior = None


class Compared(_Body):
    """The decision about a pair."""

    cosine: float
    probability: float | None = Field(
        description="Probability that they are duplicates; null for a model without a decision."
    )
    same: bool | None = Field(
        description="Whether the cosine reaches the threshold; null for a model without a decision."
    )


class _Decided(_Body):
    model: str = Field(description="Version of the model that answered.")
    threshold: float | None = Field(description="Minimum cosine for a duplicate.")
    prior: float | None = Field(description="Share of duplicates that the probabilities assume.")


class CompareAnswer(_Decided):
    """The decisions about the pairs, in their order."""

    results: list[Compared]


class SearchRequest(_Body):
    """Questions to search for among the known ones."""

    questions: list[Question] = Field(
        min_length=1, description="Questions.", examples=[["How can I learn Python quickly?"]]
    )
    top: int = Field(default=10, ge=1, le=MAX_FOUND, description="Maximum known questions to find for each.")
    prior: Prior = None


class FoundQuestion(Compared):
    """A known question that was found."""

    question: str


class SearchAnswer(_Decided):
    """The nearest known questions of each question, in the order of the request, the most similar first."""

    results: list[list[FoundQuestion]]


class QuestionsRequest(_Body):
    """Questions to add or to remove."""

    questions: list[Question] = Field(min_length=1, examples=[["How do I reset my password?"]])


class AddAnswer(_Body):
    """Result of adding. The questions are on the disk, and searches find them."""

    added: int = Field(description="Number of new questions.")
    already_known: int


class RemoveAnswer(_Body):
    """Result of removing."""

    removed: int
    unknown: int = Field(description="Number of questions that were not known.")


class About(_Body):
    """The model and the questions that the service answers with."""

    problem: str | None = Field(
        description="Why a newer model or question set can't be loaded; null where all is well."
    )
    model: str = Field(description="Version of the model that answers.")
    description: str = Field(description="Where the model is from.")
    has_decision: bool = Field(description="Whether the model carries a decision; without one there are only cosines.")
    known_questions: int = Field(description="Number of known questions.")
    corpus: str = Field(description="Source of the known questions; empty where all were added.")
    search: str = Field(description="How they are searched: `exact` or `index`.")
    recall: float = Field(description="Share of the nearest questions that the search finds, measured on a sample.")
    # The names of earlier releases, until the next one.
    trouble: str | None = Field(description="Use `problem`.", deprecated=True)
    said: str = Field(description="Use `description`.", deprecated=True)
    decides: bool = Field(description="Use `has_decision`.", deprecated=True)
    questions: int = Field(description="Use `known_questions`.", deprecated=True)


class Health(_Body):
    """The state of the service."""

    status: str = Field(description="`ok`, `ending`, or `outdated` where a newer model can't be loaded.")
    about: About | None = Field(description="Details; null without the token, where one is needed.")


class ErrorAnswer(_Body):
    """Why a request was refused."""

    detail: str = Field(description="One line that names the problem and the way out.")
