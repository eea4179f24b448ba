"""Which sentence-embedding model is meant, and how it makes embeddings: small values that travel instead of weights."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pipeline.core.errors import SettingError, excerpt
from pipeline.core.values import Stored, StoredValue, Upgrade

_FEWEST_TOKENS = 4
"""Tokens of a question in addition to the prompt: two special ones, and two to tell questions apart."""


class ModelProperties(Stored):
    """How a model makes embeddings, as a look at it has found.

    Attributes:
        modules: what it is made of, in order, such as `Transformer (BertModel)`.
        chosen_for: what the folder holds where it doesn't name the modules, so that the library chose them, such as
            `CrossEncoder`; empty where it names them.
        dimensions: of an embedding.
        dimensions_before_cut: of an embedding before the model cuts it (`truncate_dim`); None where it doesn't.
        max_seq_length: tokens that a question is cut to, those of the prompt included; None for a model without limit.
        stated_length: the limit in its files if the model has fewer positions; None otherwise.
        positions: most tokens that it has positions for; None where there is no bound.
        unit_length: whether embeddings have length 1.
        prompt: the text before each question; empty for none.
        prompt_tokens: how many tokens it has.
        other_prompts: names of prompts that are used only by who names them.
        similarity: the one that its files name.
    """

    modules: tuple[str, ...]
    chosen_for: str = ""
    dimensions: int
    dimensions_before_cut: int | None = None
    max_seq_length: int | None
    stated_length: int | None = None
    positions: int | None = None
    unit_length: bool
    prompt: str = ""
    prompt_tokens: int = 0
    other_prompts: tuple[str, ...] = ()
    similarity: str = "cosine"

    @property
    def remarks(self) -> list[str]:
        """What a person should know who takes the model for an ordinary one, a sentence each."""
        said = []
        if self.chosen_for:
            said.append(
                f"The files are those of a {self.chosen_for} model and don't say how to make embeddings: the library "
                f"chose {', '.join(self.modules)}."
            )
        if not self.unit_length:
            said.append("The embeddings don't have length 1: compare them by cosine.")
        if self.prompt:
            said.append(f"The prompt {excerpt(self.prompt)} stands before each question, in training as in reports.")
        if self.other_prompts:
            said.append(
                f"The prompts {', '.join(self.other_prompts)} are not used: the model's default_prompt_name names none "
                "of them."
            )
        if self.stated_length:
            said.append(
                f"Questions are cut to {self.max_seq_length:,} tokens, as the model has positions for no more; its "
                f"files say {self.stated_length:,}."
            )
        if self.dimensions_before_cut:
            said.append(
                f"The embeddings are the first {self.dimensions:,} of {self.dimensions_before_cut:,} dimensions "
                "(truncate_dim)."
            )
        if self.similarity != "cosine":
            said.append(
                f"The model's files name the similarity {self.similarity}; it is trained, measured and compared by "
                "cosine."
            )
        return said


PROBE_QUESTIONS = [
    "How do I learn to play the guitar?",
    "How do I bake bread?",
    "What is the best way to learn guitar?",
    "Why?",
    "Was kostet eine Fahrkarte nach Zürich?",
    "如何学习编程？",
    "",
    "Is it true that " + "the more one reads, the more one forgets, and " * 40 + "why?",
]
"""Questions that show whether a model gives sound embeddings: short and long ones, with and without letters that most
tokenizers know, and two that begin with the same words."""

DIFFERENT = 4
"""The first of them are English and short. Every model gives them different embeddings."""

CARD_FILES = ("README.md",)
"""Files of a model folder that don't make the model: its card is completed when results are known."""


class ModelInfo(StoredValue):
    """A sentence-embedding model: its name, where it is stored, and what it contains.

    Attributes:
        kind: `bundled` (in an installed package), `folder`, `hub`, or `fine_tuned` (a folder that we made).
        name: what people call it; for the hub its id.
        location: the folder on this machine, the hub id, or `<scheme>://…` for a model that a compute backend
            stores (see `pipeline.core.locations`).
        revision: the hub commit; None elsewhere.
        version: the commit of a hub model, else the hash of the model's files.
        properties: what its inspection found; None for a model that was not inspected, as in earlier releases.
    """

    stored_name: ClassVar[str] = "ModelReference"
    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {**fields, "properties": None}}

    kind: Literal["bundled", "folder", "hub", "fine_tuned"]
    name: str
    location: str
    revision: str | None = None
    version: str
    properties: ModelProperties | None = None

    @property
    def data_version(self) -> str:
        """The commit of a hub model, else the hash of the model's files."""
        return self.version

    @property
    def label(self) -> str:
        """How an error names it: by its folder, if it has one of the user's; else by its name."""
        return self.location if self.kind == "folder" else self.name

    def require_length(self, max_seq_length: int | None) -> None:
        """Refuse a limit that the model can't have. A model that was not inspected is not checked.

        Raises:
            PipelineError: when the model has fewer positions, or its prompt leaves no room.
        """
        if self.properties:
            require_length(self.label, max_seq_length, self.properties.positions, self.properties.prompt_tokens)


def require_length(label: str, max_seq_length: int | None, positions: int | None, prompt_tokens: int) -> None:
    """Refuse a limit beyond a model's positions, or within its prompt; None is the model's own.

    Raises:
        PipelineError: for such a limit.
    """
    if max_seq_length is None:
        return
    if positions is not None and max_seq_length > positions:
        raise SettingError(
            f"max_seq_length is {max_seq_length:,}, but {label} has positions for {positions:,} tokens only: set it to "
            f"at most {positions:,}, or leave it empty",
            max_seq_length=max_seq_length,
            model=label,
        )
    if prompt_tokens and max_seq_length < prompt_tokens + _FEWEST_TOKENS:
        raise SettingError(
            f"max_seq_length is {max_seq_length:,}, but the prompt of {label} alone has {prompt_tokens:,} tokens: set "
            f"it to at least {prompt_tokens + _FEWEST_TOKENS:,}, or leave it empty",
            max_seq_length=max_seq_length,
            model=label,
        )
