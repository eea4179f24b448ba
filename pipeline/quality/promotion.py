"""Which model is promoted: what a candidate must hold against the model in production."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeGuard

from pipeline.core.errors import PipelineError
from pipeline.core.locks import locked
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.comparison import Comparison, NoComparison
from pipeline.quality.findings import Finding, skipped
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import (
    InProduction,
    ProductionModel,
    UnreadableRecord,
    current_production,
)


@dataclass(frozen=True)
class Candidate:
    """A model that might go into production, with its report and the run that trained it."""

    model: FineTunedModel
    report: EvaluationReport
    run_id: str

    def __post_init__(self) -> None:
        for what, reported, its in (
            ("model version", self.report.model.version, self.model.model.version),
            ("training split", self.report.train_version, self.model.train_version),
            ("dataset", self.report.origin.dataset_version, self.model.origin.dataset_version),
        ):
            if reported != its:
                raise PipelineError(
                    f"the report doesn't belong to the model: its {what} is {reported}, the model's {its}",
                    make_again="report",
                )

    def is_in(self, current: InProduction) -> bool:
        """Whether this very model, with this very report, is in production already."""
        return (
            isinstance(current, ProductionModel)
            and current.model.data_version == self.model.data_version
            and current.report.data_version == self.report.data_version
        )

    def promoted(
        self, current: InProduction, now: datetime, is_rollback: bool, current_sha256: str | None = None
    ) -> ProductionModel:
        """The record that puts it into production, in place of the current one, whose file has this hash."""
        previous = None
        if current is not None:
            previous = current.version if isinstance(current, UnreadableRecord) else current.data_version
        return ProductionModel(
            model=self.model,
            report=self.report,
            run_id=self.run_id,
            promoted_at=now.isoformat(timespec="seconds"),
            is_rollback=is_rollback,
            previous=previous,
            previous_sha256=current_sha256,
        )


@dataclass(frozen=True)
class Decision:
    """What became of a candidate.

    Attributes:
        word: for people.
        record: what is in production now; None where the candidate was refused.
        current: what was in production before.
        findings: by the name of the rule.
        compared: with what was in production before; None where no comparison was asked for.
    """

    word: Literal["promoted", "rolled back", "confirmed", "refused"]
    record: ProductionModel | None
    current: InProduction
    findings: Mapping[str, Finding]
    compared: Comparison | NoComparison | None = None

    @property
    def against(self) -> dict[str, Finding]:
        """The findings that speak against the candidate."""
        return {name: finding for name, finding in self.findings.items() if not finding.passed}


_MOST_TRIES = 20


Challenge = Callable[[ProductionModel], Comparison | NoComparison]
"""Compares the candidate with a model in production; it may measure that one, which takes a while."""


def promote(
    store: VersionStore,
    asset: str,
    candidate: Candidate,
    rules: PromotionRules,
    challenge: Challenge,
    run_id: str,
    now: datetime,
) -> Decision:
    """Judge a candidate against what is in production, and record it there if it is accepted.

    Two at once can't both replace the same record: the second is judged against the first one's (see
    `VersionStore.replace`).

    Args:
        run_id: the run that promotes.

    Raises:
        PipelineError: when a model that was chosen by hand can't be taken, or others are promoted all the time.
    """
    for _ in range(_MOST_TRIES):
        state, current = store.state(asset), current_production(store, asset)
        # Others can promote meanwhile: a comparison may take minutes.
        compared = challenge(current) if _is_challenged(current, candidate, rules) else None
        with locked(store.folder(asset)):
            if store.state(asset) != state:
                continue
            decision = Decision("refused", None, current, judge(candidate, current, rules, compared), compared)
            if decision.against:
                if rules.run_id:
                    raise PipelineError("; ".join(finding.said for finding in decision.against.values()))
                return decision
            if isinstance(current, ProductionModel) and candidate.is_in(current):
                store.note_run(asset, store.resolve(asset).model_copy(update={"run_id": run_id}))
                return replace(decision, word="confirmed", record=current)
            record = candidate.promoted(current, now, bool(rules.run_id), _hash_of_current(store, asset))
            if store.replace(asset, state, store.write(asset, record, run_id)):
                return replace(decision, word="rolled back" if rules.run_id else "promoted", record=record)
    raise PipelineError(f"others have promoted {_MOST_TRIES} models meanwhile: try again")


def _hash_of_current(store: VersionStore, asset: str) -> str | None:
    try:
        return store.resolve(asset).sha256
    except PipelineError:
        return None


_BY_GAIN_ALONE = "set `on_other_eval_pairs: replace` to go by the gain over the baseline alone"


def judge(
    candidate: Candidate, current: InProduction, rules: PromotionRules, compared: Comparison | NoComparison | None
) -> Mapping[str, Finding]:
    """What speaks for and against the candidate, by the name of the rule; it is accepted if all of them pass.

    Args:
        compared: with the model in production; None where no comparison is asked for.
    """
    return {
        "gain_over_baseline": _gain(candidate, rules),
        "not_worse_than_current": _not_worse(candidate, current, rules, compared),
        "same_kind_of_data": _same_kind(candidate, current, rules),
    }


def _is_challenged(current: InProduction, candidate: Candidate, rules: PromotionRules) -> TypeGuard[ProductionModel]:
    """Whether the candidate is held against what is in production."""
    return _reason_against_comparing(candidate, current, rules) is None


def _gain(candidate: Candidate, rules: PromotionRules) -> Finding:
    if rules.run_id:
        return skipped(f"run {rules.run_id} was chosen by hand", rules.min_ap_gain)
    gain = candidate.report.ap_gain
    if gain is None:
        return Finding(False, None, rules.min_ap_gain, "the report has no baseline: measure the model again")
    return Finding(
        gain.estimate >= rules.min_ap_gain and gain.low > 0,
        gain.estimate,
        rules.min_ap_gain,
        f"average precision gains {gain.signed} over the baseline; at least {rules.min_ap_gain:+g}, with an interval "
        "above 0, is asked for",
    )


def _reason_against_comparing(candidate: Candidate, current: InProduction, rules: PromotionRules) -> str | None:
    """Why the candidate is not held against what is in production; None where it is."""
    if rules.run_id:
        return f"run {rules.run_id} was chosen by hand"
    if not isinstance(current, ProductionModel):
        return "nothing is in production yet" if current is None else current.said
    if candidate.is_in(current):
        return "this model is in production already"
    if _is_real_after_generated(candidate, current):
        return f"the one in production is of {_kind(current.model)}, which real pairs replace"
    return None


def _not_worse(
    candidate: Candidate, current: InProduction, rules: PromotionRules, compared: Comparison | NoComparison | None
) -> Finding:
    bound = -rules.max_ap_loss
    if isinstance(compared, Comparison):
        # Within the tolerance, but surely worse, would be a step down each time.
        difference = compared.difference
        return Finding(
            difference.estimate >= bound and difference.high >= 0,
            difference.estimate,
            bound,
            f"{compared.said}; at most {rules.max_ap_loss:g} less is accepted, and an interval that reaches 0",
        )
    reason = compared.reason if compared else _reason_against_comparing(candidate, current, rules)
    if compared is None and (rules.run_id or not isinstance(current, UnreadableRecord)):
        return skipped(str(reason), bound)
    if rules.on_other_eval_pairs == "replace":
        return skipped(f"they can't be compared: {reason}. `on_other_eval_pairs: replace` goes by the gain", bound)
    return Finding(False, None, bound, f"they can't be compared: {reason}; {_BY_GAIN_ALONE}")


def _same_kind(candidate: Candidate, current: InProduction, rules: PromotionRules) -> Finding:
    if current is None:
        return skipped("nothing is in production yet", 0)
    if isinstance(current, UnreadableRecord):
        return skipped(current.said, 0)
    new, old = _kind(candidate.model), _kind(current.model)
    if _is_real_after_generated(candidate, current):
        return skipped(f"{new} replaces {old}", 0)
    differs = candidate.model.origin.synthetic != current.model.origin.synthetic
    if differs and rules.allow_other_kind_of_data:
        return skipped(f"{new} replaces {old}, and `allow_other_kind_of_data` is set", 0)
    return Finding(
        not differs,
        int(differs),
        0,
        f"the new model is of {new}, the one in production of {old}"
        + ("; set `allow_other_kind_of_data` if that is meant" if differs else ""),
    )


def _is_real_after_generated(candidate: Candidate, current: ProductionModel) -> bool:
    """Whether someone's own pairs come after those of a first try, which nobody wants to keep."""
    return current.model.origin.synthetic and not candidate.model.origin.synthetic


def _kind(model: FineTunedModel) -> str:
    return f"{model.origin.source} ({'generated' if model.origin.synthetic else 'real'} pairs)"
