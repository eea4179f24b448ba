"""Which model is in production: what a candidate must hold, and the record of what was promoted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel, Reference
from pipeline.core.storage import content_version
from pipeline.evaluation.report import EvaluationReport
from pipeline.quality.rules import Finding, skipped


class PromotionRules(BaseModel):
    """What a model must hold to become the one in production."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str | None = Field(
        default=None,
        min_length=8,
        max_length=36,
        pattern="^[0-9a-f-]+$",
        description="Roll back: put what this earlier run made into production, whatever its figures (the first 8 "
        "characters of its id are enough). Empty: the newest model, if it is accepted.",
    )
    min_ap_gain: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Least gain in average precision over the baseline; its 95 % interval must lie above 0 too.",
    )
    max_ap_loss: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="How much less average precision than the current model's is accepted, on the same eval pairs.",
    )
    on_other_eval_pairs: Literal["refuse", "replace"] = Field(
        default="refuse",
        description="When the current model was measured on other eval pairs, so that the two can't be compared: "
        "`refuse`, or `replace` it by a model that gains enough over its own baseline.",
    )
    allow_other_kind_of_data: bool = Field(
        default=False,
        description="Let a model of generated pairs replace one of real pairs, or the other way round.",
    )


class ProductionModel(Reference):
    """The model in production, and how it came there. The chain of `previous` is the history.

    Attributes:
        report: the measurement that it was accepted on.
        run_id: the run that trained it.
        promoted_at: ISO 8601, UTC.
        is_rollback: chosen by hand, whatever its figures.
        previous: data version of the record that this one replaced; None for the first.
    """

    model: FineTunedModel
    report: EvaluationReport
    run_id: str
    promoted_at: str
    is_rollback: bool
    previous: str | None

    @property
    def data_version(self) -> str:
        """Hash of what is in production, and since when."""
        return content_version(
            [self.model.data_version, self.report.data_version, self.run_id, self.promoted_at, self.previous]
        )


@dataclass(frozen=True)
class Candidate:
    """A model that might go into production, with its report and the run that trained it."""

    model: FineTunedModel
    report: EvaluationReport
    run_id: str

    def __post_init__(self) -> None:
        if self.report.model.version != self.model.model.version:
            raise PipelineError(
                f"post_train_eval_report is about model version {self.report.model.version}, but the model is "
                f"{self.model.model.version}: rematerialise post_train_eval_report"
            )

    def is_in(self, current: ProductionModel | None) -> bool:
        """Whether this very model, with this very report, is in production already."""
        return (
            current is not None
            and current.model.data_version == self.model.data_version
            and current.report.data_version == self.report.data_version
        )

    def promoted(self, current: ProductionModel | None, now: datetime, is_rollback: bool) -> ProductionModel:
        """The record that puts it into production."""
        return ProductionModel(
            model=self.model,
            report=self.report,
            run_id=self.run_id,
            promoted_at=now.isoformat(timespec="seconds"),
            is_rollback=is_rollback,
            previous=current.data_version if current else None,
        )


def judge(candidate: Candidate, current: ProductionModel | None, rules: PromotionRules) -> Mapping[str, Finding]:
    """What speaks for and against the candidate, by the name of the rule; it is accepted if all of them pass."""
    return {
        "gain_over_baseline": _gain(candidate, rules),
        "not_worse_than_current": _not_worse(candidate, current, rules),
        "same_kind_of_data": _same_kind(candidate, current, rules),
    }


def _gain(candidate: Candidate, rules: PromotionRules) -> Finding:
    if rules.run_id:
        return skipped(f"run {rules.run_id} was chosen by hand", rules.min_ap_gain)
    gain = candidate.report.ap_gain
    if gain is None:
        return Finding(False, None, rules.min_ap_gain, "the report has no baseline: rematerialise it")
    return Finding(
        gain.estimate >= rules.min_ap_gain and gain.low > 0,
        gain.estimate,
        rules.min_ap_gain,
        f"average precision gains {gain.signed} over the baseline; at least {rules.min_ap_gain:+g}, with an interval "
        "above 0, is asked for",
    )


def _not_worse(candidate: Candidate, current: ProductionModel | None, rules: PromotionRules) -> Finding:
    bound = -rules.max_ap_loss
    if rules.run_id:
        return skipped(f"run {rules.run_id} was chosen by hand", bound)
    if current is None:
        return skipped("nothing is in production yet", bound)
    mine, theirs = candidate.report, current.report
    for what, new, old in (
        ("eval data version", mine.eval_version, theirs.eval_version),
        ("kind of threshold", mine.threshold_kind, theirs.threshold_kind),
    ):
        if new != old:
            said = f"the {what} is {new} for the new model and {old} for the one in production (run {current.run_id})"
            if rules.on_other_eval_pairs == "replace":
                return skipped(f"{said}, and `on_other_eval_pairs` is replace", bound)
            return Finding(
                False,
                None,
                bound,
                f"they can't be compared: {said}; rematerialise production_model with `on_other_eval_pairs: replace` "
                "to go by the gain over the baseline alone",
            )
    difference = mine.cosine.ap - theirs.cosine.ap
    return Finding(
        difference >= bound,
        difference,
        bound,
        f"average precision is {mine.cosine.ap:.4f}, that of the model in production {theirs.cosine.ap:.4f} on the "
        f"same pairs; at most {rules.max_ap_loss:g} less is accepted",
    )


def _same_kind(candidate: Candidate, current: ProductionModel | None, rules: PromotionRules) -> Finding:
    if current is None:
        return skipped("nothing is in production yet", 0)
    new, old = (
        f"{origin.source} ({'generated' if origin.synthetic else 'real'} pairs)"
        for origin in (candidate.model.origin, current.model.origin)
    )
    differs = candidate.model.origin.synthetic != current.model.origin.synthetic
    if differs and rules.allow_other_kind_of_data:
        return skipped(f"{new} replaces {old}, and `allow_other_kind_of_data` is set", 0)
    return Finding(
        not differs,
        int(differs),
        0,
        f"the new model is of {new}, the one in production of {old}"
        + ("; set `allow_other_kind_of_data` of production_model if that is meant" if differs else ""),
    )
