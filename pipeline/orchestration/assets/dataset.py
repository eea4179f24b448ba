"""The question pairs: the whole dataset, and its three sides."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.core.store import VersionStore
from pipeline.core.tables import markdown_lines
from pipeline.orchestration.asset_values import store_together
from pipeline.orchestration.assets.common import OWNERS, readable, table_metadata
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from pipeline.question_pairs.audit import Audit

GROUP = "dataset"


class DatasetConfig(PairSource, StepConfig):
    """Where the question pairs come from."""


class SplitConfig(SplitPlan, StepConfig):
    """How the pairs are divided."""


@dg.asset(group_name=GROUP, kinds={"parquet", "pandas"}, owners=OWNERS, code_version="1")
def raw_quora_dataset(config: DatasetConfig) -> dg.MaterializeResult[PairTable]:
    """Question pairs with a label: do both ask the same?

    Read from the bundled sample (generated, so that a fresh clone works without a download), from your own files in
    any format that Quora's pairs are published in, or from the Hugging Face hub. Rows keep the order of their source.
    The `account` says what became of each row, and which pairs are repeated or contradict each other.

    **Next:** materialise the splits, or choose your own pairs with `source: file` and `path` in the Launchpad.
    """
    from pipeline.question_pairs.sources import load_audited

    with one_line_failures():
        pairs = load_audited(config)
    return dg.MaterializeResult(
        value=pairs.table,
        data_version=dg.DataVersion(pairs.table.data_version),
        metadata=readable({**table_metadata(pairs.table), **_account(pairs.audit)}),
    )


def _account(audit: "Audit") -> dict[str, Any]:
    """Numbers under stable keys, which Dagster plots over the materialisations, and all of them in a table."""
    return {
        "pairs_read": audit.read,
        "pairs_rejected": sum(audit.rejected.values()),
        "pairs_dropped": sum(audit.dropped.values()),
        **({"pairs_corrected": sum(audit.corrected.values())} if audit.corrected else {}),
        **{f"corrections_{kind.replace(' ', '_')}": count for kind, count in audit.corrections.items()},
        **{f"pairs_{kind.replace(' ', '_')}": count for kind, count in audit.found.items()},
        **audit.facts,
        "account": dg.MetadataValue.md("\n".join(markdown_lines(audit.table))),
    }


def _side(description: str) -> dg.AssetOut:
    return dg.AssetOut(
        description=description,
        group_name=GROUP,
        kinds={"parquet", "pandas"},
        owners=OWNERS,
        code_version="1",
        dagster_type=dg.Any,
    )


@dg.multi_asset(
    name="splits",
    outs={
        "train_split": _side("The pairs that the model learns from.\n\n**Next:** materialise `fine_tuned_model`."),
        "dev_split": _side(
            "Pairs set aside from training: the best checkpoint and the thresholds are chosen on them. Empty with "
            "`dev_fraction: 0`, as in the reference system.\n\n"
            "**Next:** materialise `fine_tuned_model`."
        ),
        "eval_split": _side(
            "The pairs that both reports are measured on. Training never sees them.\n\n"
            "**Next:** materialise `baseline_eval_report`; its slices show how much the split gives away."
        ),
    },
)
def splits(
    context: dg.AssetExecutionContext,
    config: SplitConfig,
    store: dg.ResourceParam[VersionStore],
    raw_quora_dataset: PairTable,
) -> Iterator[dg.MaterializeResult[PairTable]]:
    """Divide the dataset into training, dev and eval pairs.

    `question_disjoint` keeps every question on one side, so that the eval figure is honest. `question_hash` does so
    too, and never trains on a pair that was held out before, as the data grow. `reference`
    repeats `datasets.Dataset.train_test_split(test_size=0.1, seed=42)` row for row, for comparison with published
    results; questions are then on both sides. The three are published together or not at all.
    """
    from pipeline.question_pairs.splits import split_pairs

    with one_line_failures():
        sides = split_pairs(raw_quora_dataset, config)
    tables = {"train_split": sides.train, "dev_split": sides.dev, "eval_split": sides.eval}
    # All of them before Dagster hears of the first: a run that is killed in between leaves no mixture.
    store_together(store, tables, context.run.run_id)
    for name, table in tables.items():
        yield dg.MaterializeResult(
            asset_key=name,
            value=table,
            data_version=dg.DataVersion(table.data_version),
            metadata=readable({**table_metadata(table), "strategy": config.strategy, **sides.notes}),
        )
