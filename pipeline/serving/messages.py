"""What requests and answers of the service look like: the OpenAPI description is made of these."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.serving.options import MOST_CHARACTERS, MOST_FOUND

_NO_BLANK = r"[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""Pattern of a text that has more than blanks, of those that Python calls blank: dialects differ about `\\S`."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a question must not be blank")
    return text


Question = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="A question. Upper and lower case, and blanks around it, make no difference to what is known.",
        json_schema_extra={"pattern": _NO_BLANK},
    ),
    AfterValidator(_not_blank),
]
Prior = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Share of duplicates among the pairs that you ask about. Empty: as on the dev split.",
    ),
]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CompareRequest(_Message):
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
        description="Decide by the threshold that has this precision on the dev split. Empty: that of the best F1.",
    )
    prior: Prior = None


class Compared(_Message):
    """What was decided about a pair."""

    cosine: float
    probability: float | None = Field(description="That both ask the same; null for a model without a decision.")
    same: bool | None = Field(description="Whether the cosine reaches the threshold; null likewise.")


class _Answer(_Message):
    model: str = Field(description="Version of the model that answered.")
    threshold: float | None = Field(description="Cosine from which on two questions are the same.")
    prior: float | None = Field(description="Share of duplicates that the probabilities assume.")


class CompareAnswer(_Answer):
    """What was decided about the pairs, in their order."""

    results: list[Compared]


class SearchRequest(_Message):
    """Questions to search for."""

    questions: list[Question] = Field(
        min_length=1, description="New questions.", examples=[["How can I learn Python quickly?"]]
    )
    top: int = Field(default=10, ge=1, le=MOST_FOUND, description="Known questions to find for each, at most.")
    prior: Prior = None


class FoundQuestion(Compared):
    """A known question that was found."""

    question: str


class SearchAnswer(_Answer):
    """For each question of the request, in their order, the nearest known questions, the most similar first."""

    results: list[list[FoundQuestion]]


class QuestionsRequest(_Message):
    """Questions to add or to remove."""

    questions: list[Question] = Field(min_length=1, examples=[["How do I reset my password?"]])


class AddAnswer(_Message):
    """What became of questions to add. They are on the disk, and are found from now on."""

    added: int = Field(description="Questions that are known from now on.")
    already_known: int


class RemoveAnswer(_Message):
    """What became of questions to remove."""

    removed: int
    unknown: int = Field(description="Questions that were not known.")


class About(_Message):
    """What the service answers with."""

    trouble: str | None = Field(description="Why another model that is there can't be taken up.")
    model: str = Field(description="Version of the model that answers.")
    said: str = Field(description="Which model that is.")
    decides: bool = Field(description="Whether the model carries a decision: without one there are cosines only.")
    questions: int = Field(description="Known questions.")
    corpus: str = Field(description="Where they are from; empty where all were added.")
    search: str = Field(description="`exact`, or by an `index`.")
    recall: float = Field(description="Share of the nearest questions that the search finds, by a sample.")


class Health(_Message):
    """How the service is."""

    status: str = Field(description="`ok`; `ending`; `outdated` where another model is there that can't be taken up.")
    about: About | None = Field(description="What it answers with. Null for who lacks the token, where one is needed.")


class ErrorAnswer(_Message):
    """Why a request was not answered."""

    detail: str = Field(description="One line that names what is wrong, and the way out.")
