"""Which model is promoted: how a candidate is judged, and compared with the model in production."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeGuard

from pipeline.core.errors import BusyError, MismatchError, PipelineError, SettingError, counted
from pipeline.core.locks import locked
from pipeline.core.store import VersionStore
from pipeline.core.values import Interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import (
    InProduction,
    ProductionModel,
    UnreadableRecord,
    current_production,
)
from pipeline.quality.rules import Finding, skipped


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
                raise MismatchError(
                    f"the report doesn't belong to the model: its {what} is {reported}, the model's {its}",
                    make_again="report",
                    of_report=reported,
                    of_model=its,
                )

    def is_in(self, current: InProduction) -> bool:
        """Whether this model, with this report, is in production already."""
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
class Comparison:
    """Two models by cosine average precision on the same pairs.

    Attributes:
        pairs: number of eval pairs that neither was trained or chosen on.
        left_out: number of the other eval pairs.
        candidate, current: average precision of each.
        difference: candidate minus current, with the 95 % interval of the bootstrap of `EvaluationReport`.
        measured_now: whether the model in production was measured for this; its own report may have the scores.
    """

    pairs: int
    left_out: int
    candidate: float
    current: float
    difference: Interval
    measured_now: bool

    @property
    def message(self) -> str:
        """The comparison in a sentence."""
        left_out = f" ({self.left_out:,} that one of them was trained on left out)" if self.left_out else ""
        measured = ", measured now" if self.measured_now else ""
        return (
            f"on {counted(self.pairs, 'eval pair')}{left_out} average precision is {self.candidate:.4f}, that of the "
            f"model in production {self.current:.4f}{measured}: {self.difference.signed}"
        )


@dataclass(frozen=True)
class NoComparison:
    """Two models that can't be compared, and why."""

    reason: str


@dataclass(frozen=True)
class Promotion:
    """What became of a candidate.

    Attributes:
        record: what is in production now; None if the candidate was refused.
        current: what was in production before.
        findings: by the name of the rule.
        compared: the comparison with what was in production before; None if none was asked for.
    """

    outcome: Literal["promoted", "rolled back", "confirmed", "refused"]
    record: ProductionModel | None
    current: InProduction
    findings: Mapping[str, Finding]
    compared: Comparison | NoComparison | None = None

    @property
    def failed(self) -> dict[str, Finding]:
        """The findings against the candidate."""
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
) -> Promotion:
    """Judge a candidate against what is in production, and record it there if it is accepted.

    Two at once can't both replace the same record: the second is judged against the first one's (see
    `VersionStore.replace`).

    Args:
        run_id: the run that promotes.

    Raises:
        SettingError: when a model that was chosen by hand can't be taken.
        BusyError: when other runs keep promoting models.
    """
    for _ in range(_MOST_TRIES):
        state, current = store.state(asset), current_production(store, asset)
        # Others can promote meanwhile: a comparison may take minutes.
        compared = challenge(current) if _is_challenged(current, candidate, rules) else None
        with locked(store.folder(asset)):
            if store.state(asset) != state:
                continue
            promotion = Promotion("refused", None, current, judge(candidate, current, rules, compared), compared)
            if promotion.failed:
                if rules.run_id:
                    raise SettingError(
                        "; ".join(finding.message for finding in promotion.failed.values()),
                        run_id=rules.run_id,
                        rules=list(promotion.failed),
                    )
                return promotion
            if isinstance(current, ProductionModel) and candidate.is_in(current):
                store.note_run(asset, store.resolve(asset).model_copy(update={"run_id": run_id}))
                return replace(promotion, outcome="confirmed", record=current)
            record = candidate.promoted(current, now, bool(rules.run_id), _hash_of_current(store, asset))
            if store.replace(asset, state, store.write(asset, record, run_id)):
                return replace(promotion, outcome="rolled back" if rules.run_id else "promoted", record=record)
    raise BusyError(f"other runs promoted {_MOST_TRIES} models meanwhile: try again", asset=asset)


def _hash_of_current(store: VersionStore, asset: str) -> str | None:
    try:
        return store.resolve(asset).sha256
    except PipelineError:
        return None


_BY_GAIN_ALONE = "set `on_other_eval_pairs: replace` to go by the gain over the baseline alone"


def judge(
    candidate: Candidate, current: InProduction, rules: PromotionRules, compared: Comparison | NoComparison | None
) -> Mapping[str, Finding]:
    """The findings on a candidate by the name of the rule. It is accepted if all of them pass.

    Args:
        compared: the comparison with the model in production; None if none is asked for.
    """
    return {
        "gain_over_baseline": _gain(candidate, rules),
        "not_worse_than_current": _not_worse(candidate, current, rules, compared),
        "same_kind_of_data": _same_kind(candidate, current, rules),
    }


def _is_challenged(current: InProduction, candidate: Candidate, rules: PromotionRules) -> TypeGuard[ProductionModel]:
    """Whether the candidate is compared with what is in production."""
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
        f"average precision gains {gain.signed} over the baseline; at least {rules.min_ap_gain:+g} is required, with "
        "an interval above 0",
    )


def _reason_against_comparing(candidate: Candidate, current: InProduction, rules: PromotionRules) -> str | None:
    """Why the candidate is not compared with what is in production; None if it is."""
    if rules.run_id:
        return f"run {rules.run_id} was chosen by hand"
    if not isinstance(current, ProductionModel):
        return "nothing is in production yet" if current is None else current.message
    if candidate.is_in(current):
        return "this model is in production already"
    if _is_real_after_generated(candidate, current):
        return f"the one in production was trained on {_kind(current.model)}, which real pairs replace"
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
            f"{compared.message}; the accepted loss is at most {rules.max_ap_loss:g}, with an interval that reaches 0",
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
        return skipped(current.message, 0)
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
        f"the new model was trained on {new}, the one in production on {old}"
        + ("; set `allow_other_kind_of_data` if that is meant" if differs else ""),
    )


def _is_real_after_generated(candidate: Candidate, current: ProductionModel) -> bool:
    """Whether real pairs follow the generated pairs of a first try, which nobody wants to keep."""
    return current.model.origin.synthetic and not candidate.model.origin.synthetic


def _kind(model: FineTunedModel) -> str:
    return f"{model.origin.source} ({'generated' if model.origin.synthetic else 'real'} pairs)"
