"""How close an export is to its model, and whether that is close enough."""

from dataclasses import dataclass

from pipeline.core.values import FrozenModel
from pipeline.exporting.options import ExportPrecision, ParityLimits


class Parity(FrozenModel):
    """An export compared with its model on the same questions and pairs.

    Attributes:
        questions: the number of questions that both embedded.
        min_cosine, mean_cosine: between the two embeddings of a question.
        pairs: the number of labelled pairs that both were measured on; 0 if there were none of both classes.
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
        """Average precision that the export loses; negative if it gains."""
        if self.ap_of_model is None or self.ap_of_export is None:
            return None
        return self.ap_of_model - self.ap_of_export


@dataclass(frozen=True)
class ParityCheck:
    """Whether an export may be used.

    Attributes:
        value: the figure that decides; None if it couldn't be measured.
        threshold: its bound.
        message: the result in a sentence.
    """

    passed: bool
    value: float | None
    threshold: float
    message: str


def check_parity(parity: Parity, precision: ExportPrecision, limits: ParityLimits) -> ParityCheck:
    """Check an fp32 export by its embeddings, and an int8 export by the average precision that it loses."""
    if precision == "fp32":
        return ParityCheck(
            parity.min_cosine >= limits.min_cosine,
            parity.min_cosine,
            limits.min_cosine,
            f"the lowest cosine to the model's own embedding is {parity.min_cosine:.6f} over {parity.questions:,} "
            f"questions; the minimum is {limits.min_cosine:g}",
        )
    if (loss := parity.ap_loss) is None:
        return ParityCheck(
            False,
            None,
            limits.max_ap_loss,
            "there are no labelled pairs of both classes to measure the loss of the int8 export on",
        )
    return ParityCheck(
        loss <= limits.max_ap_loss,
        loss,
        limits.max_ap_loss,
        f"its average precision is {parity.ap_of_export:.4f}, the model's {parity.ap_of_model:.4f}, on "
        f"{parity.pairs:,} pairs: a loss of {loss:+.4f}; the maximum is {limits.max_ap_loss:g}",
    )
