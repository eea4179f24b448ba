"""Fine-tunes a model with sentence-transformers' own trainer, and leaves a sealed run folder."""

import math
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from sentence_transformers.sentence_transformer.losses import OnlineContrastiveLoss
from transformers import PrinterCallback, TrainerCallback

from pipeline.embedding_models import (
    describe_device,
    load_model,
    model_folder_version,
    quiet_libraries,
    resolve_device,
)
from pipeline.errors import PipelineError
from pipeline.evaluation.evaluate import evaluate_pairs
from pipeline.evaluation.metrics import SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.reports import EPOCH_RESULTS_FILE_NAME, csv_row, csv_text
from pipeline.finetuning.checkpoints import CheckpointStore
from pipeline.finetuning.model_card import write_model_card
from pipeline.finetuning.recipe import Recipe
from pipeline.finetuning.run_folder import RunFolder
from pipeline.progress import CheckpointSaved, DevEvaluated, OnProgress, TrainingStep, ignore
from pipeline.question_pairs.schema import PairTable
from pipeline.references import FineTunedModel, ModelReference
from pipeline.storage import write_text

SLOW_SECONDS = 12 * 3600
"""A training on a CPU that would take longer is refused unless `allow_slow` says otherwise."""

_PROBE_BATCHES = 4
_PROBE_FROM_STEPS = 500
"""Shorter trainings are not worth an estimate: even at 10 s a step they end within the bound."""

_DEV_BATCH_SIZE = 64
_LOGS = 100
"""Points of the loss curve: enough to draw it, few enough not to slow a GPU down."""


def fine_tune(
    train: PairTable,
    dev: PairTable,
    base_model: ModelReference,
    recipe: Recipe,
    run_folder: RunFolder,
    on_progress: OnProgress = ignore,
) -> FineTunedModel:
    """Fine-tune `base_model` and seal the run folder; resume where an interrupted run of the same training stopped.

    On a CPU the same arguments give the same weights, bit for bit, on the same machine.

    Args:
        train: pairs to learn from.
        dev: pairs to watch on after each epoch; may be empty.

    Raises:
        PipelineError: when the data or the device doesn't suit, the training diverges, the folder holds another
            training, or a CPU would need more than 12 hours and `allow_slow` is not set.
    """
    if len(train) < recipe.batch_size:
        raise PipelineError(
            f"train_split has {len(train):,} pairs, fewer than one batch of {recipe.batch_size}: lower batch_size or "
            "bring more pairs"
        )
    if len(dev) and dev.positive_rate in (0, 1):
        raise PipelineError(
            f"all {len(dev):,} pairs of dev_split have the same label, so nothing can be measured on them: raise "
            "dev_fraction, or set it to 0"
        )
    fingerprint = recipe.fingerprint(train.data_version, dev.data_version, base_model.version)
    if finished := run_folder.sealed_result(fingerprint):
        return finished
    quiet_libraries()
    device = resolve_device(recipe.device)
    model = load_model(base_model, device, recipe.max_seq_length)
    # Keeps the library from embedding examples for a card of its own, which is not used.
    model.model_card_data.widget = [{"source_sentence": "A question?", "sentences": ["Another question?"]}]
    store = CheckpointStore(run_folder.checkpoints, fingerprint, recipe.keep_checkpoints)
    store.clear_staging()
    resume_from = store.newest()
    steps_per_epoch = math.ceil(len(train) / recipe.batch_size)
    total_steps = steps_per_epoch * recipe.epochs

    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(recipe, store.staging, total_steps, steps_per_epoch if len(dev) else None, device),
        train_dataset=Dataset.from_dict(
            {
                "sentence1": train.pairs["question1"].tolist(),
                "sentence2": train.pairs["question2"].tolist(),
                "label": train.labels,
            }
        ),
        loss=OnlineContrastiveLoss(model, margin=recipe.margin),
        evaluator=_DevEvaluator(dev, on_progress) if len(dev) else None,
        callbacks=[_Watcher(store, on_progress, recipe.batch_size)],
    )
    # It would print each log entry to standard output; the watcher reports them as events.
    trainer.remove_callback(PrinterCallback)
    if device == "cpu" and not recipe.allow_slow and total_steps > _PROBE_FROM_STEPS:
        _refuse_if_slow(trainer, total_steps)
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    seconds = time.perf_counter() - start

    history = trainer.state.log_history
    epochs = [
        (entry["epoch"], entry["step"], _DevEvaluator.metrics_of(entry))
        for entry in history
        if _DevEvaluator.KEY in entry
    ]
    result = FineTunedModel(
        model=_save(model, run_folder.model(base_model.name), epochs),
        base_model=base_model,
        run_folder=str(run_folder.path),
        recipe=recipe.model_dump(),
        train_version=train.data_version,
        dev_version=dev.data_version,
        origin=train.origin,
        train_pairs=len(train),
        steps=int(trainer.state.global_step),
        seconds=seconds,
        device=describe_device(device),
        dev_average_precision=[metrics["cosine"].ap for _, _, metrics in epochs],
        losses=[(int(entry["step"]), float(entry["loss"])) for entry in history if "loss" in entry],
    )
    write_model_card(result)
    run_folder.seal(result, fingerprint)
    return result


def _arguments(
    recipe: Recipe, staging: Path, total_steps: int, eval_steps: int | None, device: str
) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=str(staging),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup_steps(total_steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch",
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        # Evaluated and saved by steps, in this order at the same step: a checkpoint at the end of an epoch then
        # holds that epoch's result, and a resumed run lacks none.
        eval_strategy="steps" if eval_steps else "no",
        eval_steps=eval_steps,
        save_strategy="steps",
        save_steps=recipe.checkpoint_steps,
        logging_steps=max(1, total_steps // _LOGS),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )


def _refuse_if_slow(trainer: SentenceTransformerTrainer, total_steps: int) -> None:
    """Time a few batches forwards and backwards, without a trace in weights or random state."""
    seconds = []
    with torch.random.fork_rng(devices=[]):
        for _, batch in zip(range(_PROBE_BATCHES), trainer.get_train_dataloader(), strict=False):
            start = time.perf_counter()
            trainer.compute_loss(trainer.model, batch).backward()
            seconds.append(time.perf_counter() - start)
    trainer.model.zero_grad()
    # The first batch also pays for memory and threads.
    estimate = statistics.median(seconds[1:] or seconds) * total_steps
    if estimate > SLOW_SECONDS:
        raise PipelineError(
            f"{total_steps:,} steps on this CPU would take about {estimate / 3600:.0f} hours: use a GPU, set "
            "train_limit or fewer epochs, or set allow_slow: true"
        )


def _save(
    model: SentenceTransformer, folder: Path, epochs: list[tuple[float, int, dict[str, SimilarityMetrics]]]
) -> ModelReference:
    """Write the model folder whole: it takes its name when all is in it."""
    staged = folder.with_name(f".{folder.name}.staged")
    for leftover in (staged, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(str(staged), create_model_card=False)
    if epochs:
        rows = [csv_row(metrics, epoch, step) for epoch, step, metrics in epochs]
        write_text(staged / "eval" / EPOCH_RESULTS_FILE_NAME, csv_text(rows))
    staged.rename(folder)
    return ModelReference(
        kind="fine_tuned", name=folder.name, location=str(folder), version=model_folder_version(folder)
    )


class _DevEvaluator(SentenceEvaluator):
    """Evaluates the model in training on the dev split, with the metrics of the reports."""

    KEY = "eval_cosine_ap"

    def __init__(self, dev: PairTable, on_progress: OnProgress) -> None:
        super().__init__()
        self.primary_metric = "cosine_ap"
        self._dev = dev
        self._on_progress = on_progress

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        metrics = evaluate_pairs(model, self._dev, _DEV_BATCH_SIZE)
        self._on_progress(DevEvaluated(epoch, steps, metrics["cosine"].ap))
        return {
            f"{name}_{metric}": value
            for name, values in metrics.items()
            for metric, value in values.model_dump().items()
        }

    @staticmethod
    def metrics_of(entry: dict[str, Any]) -> dict[str, SimilarityMetrics]:
        """The metrics in an entry of the trainer's log history, where each key bears the prefix `eval_`."""
        return {
            name: SimilarityMetrics(
                **{metric: entry[f"eval_{name}_{metric}"] for metric in SimilarityMetrics.model_fields}
            )
            for name in SIMILARITIES
        }


class _Watcher(TrainerCallback):
    """Turns the trainer's callbacks into progress events and published checkpoints, and stops a diverged training."""

    def __init__(self, store: CheckpointStore, on_progress: OnProgress, batch_size: int) -> None:
        self._store = store
        self._on_progress = on_progress
        self._batch_size = batch_size
        self._last = (0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._last = (state.global_step, time.perf_counter())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise PipelineError(
                f"the training diverged: the loss is {loss} at step {state.global_step:,}; lower learning_rate "
                f"(now {args.learning_rate:g}) or max_grad_norm"
            )
        now = time.perf_counter()
        rate = (state.global_step - self._last[0]) * self._batch_size / (now - self._last[1])
        self._last = (state.global_step, now)
        learning_rate = float(logs["learning_rate"])
        self._on_progress(
            TrainingStep(state.global_step, state.max_steps, float(state.epoch), loss, learning_rate, rate)
        )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        path = self._store.publish(self._store.staging / f"checkpoint-{step}", step)
        self._on_progress(CheckpointSaved(step, str(path)))
