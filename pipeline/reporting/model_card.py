"""The README.md of a fine-tuned model: data, recipe and results, without rows of the training data."""

from huggingface_hub import EvalResult, ModelCardData

from pipeline.core.foreign_text import for_markdown
from pipeline.core.locations import remote_location
from pipeline.core.tables import Table, markdown_lines
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.decision import DECISION_FILE_NAME, Decision
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.reporting.rendering import results_markdown
from pipeline.reporting.sections import effective_settings
from pipeline.reporting.verdict import verdict

_TEMPLATE = """\
# {title}

A sentence-embedding model fine-tuned from {base} to tell duplicate questions from others:
two questions that ask the same get a higher cosine similarity than two that don't.
{verdict}
```python
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import cos_sim

{load}
first, second = model.encode(["How do I learn Python?", "What is the best way to learn Python?"])
cosine = cos_sim(first, second).item()
{tell}
```

In the project that trained it, `python -m pipeline compare`, `search` and `mine` use its `decision.json`
(see docs/use-the-model.md there).

## Embeddings

{embeddings}

## Data

| | |
|---|---|
| source | {source} |
| training pairs | {train_pairs:,} (data version `{train_version}`) |
| dev split | data version `{dev_version}` |

## Recipe

{recipe}

Settings that are empty or had no effect on this training are left out; `manifest.json` in the run folder has all.

{steps:,} optimiser steps ({pair_visits:,} pair visits) in {seconds:,.0f} s on {device}, {precision}; the weights are
those of step {kept_step:,}. {truncated:,} distinct questions were truncated to the model's limit.

## Decision

{decision}

## Results

{results}
"""

_DECISION = """\
Minimum cosine for a duplicate: **{threshold:.4f}**, the threshold with the best F1 on the dev split
(with the best accuracy: {accuracy:.4f}). The probability of a duplicate is
1 / (1 + exp(-({slope:.4f} × cosine {intercept:+.4f}))), if {positive_rate:.1%} of the pairs are duplicates, as on
the dev split ({pairs:,} pairs, data version `{version}`). Where duplicates are rarer, it is too high. `{file}` next to
the weights has these numbers, and a threshold for each precision."""


def model_card(result: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport] | None = None) -> str:
    """Return the card's file: the metadata block for the Hugging Face hub, and the text.

    Args:
        reports: of the baseline and the fine-tuned model. Without them the card has the results on the dev split.
    """
    name = _title(result)
    eval_results = [
        EvalResult(
            task_type="sentence-similarity",
            task_name="Duplicate question detection",
            dataset_type="question-pairs",
            dataset_name=report.origin.source,
            metric_type=f"cosine_{metric}",
            metric_name=f"Cosine {label}",
            metric_value=getattr(report.cosine, metric),
        )
        for report in (reports or ())[1:]
        for metric, label in (("ap", "AP"), ("accuracy", "accuracy"), ("f1", "F1"))
    ]
    data = ModelCardData(
        # Others can't resolve a local folder.
        base_model=result.base_model.name if result.base_model.kind != "folder" else None,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction"],
        model_name=name if eval_results else None,
        eval_results=eval_results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{model_card_text(result, reports)}"


def model_card_text(result: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport] | None = None) -> str:
    """Return the card's text alone, as Dagster shows it."""
    headline = verdict(reports[1]) if reports else None
    recipe = ((name, str(value)) for name, value in effective_settings(result).items())
    return _TEMPLATE.format(
        title=for_markdown(_title(result)),
        verdict=f"\n{headline}\n" if headline else "",
        base=for_markdown(result.base_model.name),
        load=_load(result.model),
        tell=_tell(result.decision),
        embeddings=_embeddings(result.model),
        source=for_markdown(result.origin.source),
        train_pairs=result.train_pairs,
        train_version=result.train_version,
        dev_version=result.dev_version,
        recipe="\n".join(markdown_lines(Table("Recipe", ("setting", "value"), tuple(recipe), texts=2))),
        steps=result.steps,
        seconds=result.seconds,
        device=for_markdown(result.device),
        precision=result.precision,
        pair_visits=result.pair_visits,
        kept_step=result.kept_step,
        truncated=result.truncated_questions,
        decision=_decision(result.decision),
        results=_results(result, reports),
    )


def _load(model: ModelInfo) -> str:
    """The line of the example that loads the model."""
    if remote_location(model.location):
        return f"model = SentenceTransformer({model.name!a})  # the folder of this card, once downloaded"
    return _line_that_loads(model.location)


def _line_that_loads(model: str) -> str:
    # As a Python literal in one line, it can end neither the string nor the code block.
    return f"model = SentenceTransformer({model!a})"


def card_on_hub(card: str, model: ModelInfo, repository: str) -> str:
    """Return the card with an example that loads the model from its repository, not from a local folder."""
    return card.replace(_line_that_loads(model.location), _line_that_loads(repository))


def _tell(decision: Decision | None) -> str:
    """The lines of the example that decide whether two questions are duplicates."""
    if decision is None:
        return 'print(f"cosine {cosine:.4f}")  # choose the minimum cosine for a duplicate yourself'
    return (
        f"threshold = {decision.threshold!r}  # best F1 on the dev split, from {DECISION_FILE_NAME}\n"
        'print(f"cosine {cosine:.4f}:", "duplicates" if cosine >= threshold else "not duplicates")'
    )


def _decision(decision: Decision | None) -> str:
    if decision is None:
        return "None: the model was trained without a dev split of both classes, or by an early release."
    calibration = decision.calibration
    return _DECISION.format(
        file=DECISION_FILE_NAME,
        threshold=decision.threshold,
        accuracy=decision.thresholds["cosine"].accuracy,
        slope=calibration.slope,
        intercept=calibration.intercept,
        positive_rate=calibration.positive_rate,
        pairs=decision.dev_pairs,
        version=decision.dev_version,
    )


def _title(result: FineTunedModel) -> str:
    return f"{result.base_model.name} fine-tuned on {result.origin.source}"


def _embeddings(model: ModelInfo) -> str:
    """How to use the embeddings, in sentences."""
    if (properties := model.properties) is None:
        return "Compare embeddings by cosine."
    limit = properties.max_seq_length
    length = f"Questions are truncated to {limit:,} tokens." if limit else "Questions may have any length."
    return " ".join([f"{properties.dimensions:,} dimensions. {length}", *map(for_markdown, properties.remarks)])


def _results(result: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport] | None) -> str:
    if reports:
        return results_markdown(reports[1])
    if not result.dev_evaluations:
        return "Not measured yet."
    rows = "\n".join(f"| {e.epoch:.2f} | {e.step:,} | {e.average_precision:.4f} |" for e in result.dev_evaluations)
    return f"On the dev split, cosine average precision:\n\n| epoch | step | AP |\n|---|---|---|\n{rows}"
