"""How far an export is from the model that it was made from, and whether that is near enough: values alone."""

from dataclasses import dataclass

from pipeline.core.values import FrozenModel
from pipeline.exporting.options import ExportPrecision, ParityLimits


class Parity(FrozenModel):
    """An export beside the model that it was made from, on the same questions and pairs.

    Attributes:
        questions: how many were embedded by both.
        min_cosine, mean_cosine: between the two embeddings of a question.
        pairs: labelled pairs that both were measured on; 0 where there were none of both classes.
        ap_of_model, ap_of_export: average precision by cosine; None without pairs.
    """

    questions: int
    min_cosine: float
    mean_cosine: float
    pairs: int
    ap_of_model: float | None
    ap_of_export: float | None

    @property
    def ap_loss(self) -> float | None:
        """What the export loses; below 0 where it gains."""
        if self.ap_of_model is None or self.ap_of_export is None:
            return None
        return self.ap_of_model - self.ap_of_export


@dataclass(frozen=True)
class Verdict:
    """Whether an export may be used.

    Attributes:
        value: the figure that was looked at; None where it couldn't be measured.
        threshold: the bound that it was held against.
        said: in a sentence.
    """

    passed: bool
    value: float | None
    threshold: float
    said: str


def judge(parity: Parity, precision: ExportPrecision, limits: ParityLimits) -> Verdict:
    """Whether an export is near enough: fp32 by its embeddings, int8 by the average precision that it loses."""
    if precision == "fp32":
        return Verdict(
            parity.min_cosine >= limits.min_cosine,
            parity.min_cosine,
            limits.min_cosine,
            f"the lowest cosine to the model's own embedding is {parity.min_cosine:.6f} over {parity.questions:,} "
            f"questions; at least {limits.min_cosine:g} is asked for",
        )
    if (loss := parity.ap_loss) is None:
        return Verdict(
            False,
            None,
            limits.max_ap_loss,
            "there are no labelled pairs of both classes, so nothing says what the int8 export loses",
        )
    return Verdict(
        loss <= limits.max_ap_loss,
        loss,
        limits.max_ap_loss,
        f"its average precision is {parity.ap_of_export:.4f}, the model's {parity.ap_of_model:.4f}, on "
        f"{parity.pairs:,} pairs: a loss of {loss:+.4f}; at most {limits.max_ap_loss:g} is accepted",
    )
