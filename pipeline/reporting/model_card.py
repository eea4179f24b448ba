"""The README.md of a fine-tuned model: data, recipe and results, with no row of the training data in it."""

from huggingface_hub import EvalResult, ModelCardData

from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.reporting.markdown import results_markdown

_TEMPLATE = """\
---
{metadata}
---

# {title}

A sentence-embedding model fine-tuned from `{base}` to tell duplicate questions from others:
two questions that ask the same get a higher cosine similarity than two that don't.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{folder}")
embeddings = model.encode(["How do I learn Python?", "What is the best way to learn Python?"])
print(model.similarity(embeddings, embeddings))
```

## Embeddings

{embeddings}

## Data

| | |
|---|---|
| source | {source} |
| training pairs | {train_pairs:,} (data version `{train_version}`) |
| dev split | data version `{dev_version}` |

## Recipe

| knob | value |
|---|---|
{recipe}

{steps:,} optimiser steps ({pair_visits:,} pair visits) in {seconds:,.0f} s on {device}, {precision}; the weights are
those of step {kept_step:,}. {truncated:,} distinct questions were cut to the model's limit.

## Results

{results}
"""


def model_card(result: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport] | None = None) -> str:
    """The card's text, with the metadata block that the Hugging Face hub reads.

    Args:
        reports: the baseline's and the fine-tuned model's, once both exist; until then the card has the results
            on the dev split, and says so.
    """
    name = f"{result.base_model.name} fine-tuned on {result.origin.source}"
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
        # A folder is no id that others could follow.
        base_model=result.base_model.name if result.base_model.kind != "folder" else None,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction"],
        model_name=name if eval_results else None,
        eval_results=eval_results or None,
    )
    return _TEMPLATE.format(
        metadata=data.to_yaml(),
        title=name,
        base=result.base_model.name,
        folder=result.model.name,
        embeddings=_embeddings(result.model),
        source=result.origin.source,
        train_pairs=result.train_pairs,
        train_version=result.train_version,
        dev_version=result.dev_version,
        recipe="\n".join(f"| {knob} | {value} |" for knob, value in result.recipe.items()),
        steps=result.steps,
        seconds=result.seconds,
        device=result.device,
        precision=result.precision,
        pair_visits=result.pair_visits,
        kept_step=result.kept_step,
        truncated=result.truncated_questions,
        results=_results(result, reports),
    )


def _embeddings(model: ModelInfo) -> str:
    """How to use them, in sentences."""
    if (properties := model.properties) is None:
        return "Compare them by cosine."
    limit = properties.max_seq_length
    length = f"Questions are cut to {limit:,} tokens." if limit else "Questions may have any length."
    return " ".join([f"{properties.dimensions:,} dimensions. {length}", *properties.remarks])


def _results(result: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport] | None) -> str:
    if reports:
        return results_markdown(reports[1])
    if not result.dev_evaluations:
        return "Not measured yet."
    rows = "\n".join(f"| {e.epoch:g} | {e.step:,} | {e.average_precision:.4f} |" for e in result.dev_evaluations)
    return f"On the dev split, cosine average precision:\n\n| epoch | step | AP |\n|---|---|---|\n{rows}"
