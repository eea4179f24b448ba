"""sentence-transformers' trainer, fed with planned batches of pairs, and evaluated on the dev split.

The library's trainer does what it is good at: optimiser, schedule, accumulation, processes, callbacks, checkpoints.
Replaced are the data path (`batches`), the loss's forward pass (`losses`) and the moments of evaluation.
"""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from pipeline.core.errors import TrainingError
from pipeline.core.progress import (
    Advanced,
    CheckpointSaved,
    DevEvaluated,
    DevEvaluationAdvanced,
    OnProgress,
    ProgressEvent,
    TrainingAdvanced,
    TrainingStep,
)
from pipeline.evaluation.measurement import SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.pair_scores import evaluate_pairs
from pipeline.models.embedding import SIMILARITY, to_device
from pipeline.models.precision import Hardware, has_tf32
from pipeline.question_pairs.schema import PairTable
from pipeline.training import distributed
from pipeline.training.averaging import WeightAverage
from pipeline.training.batches import BatchPlan, PairCollator, PairIndices, PlannedBatches
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.losses import PairLoss
from pipeline.training.model import Evaluation, reopened
from pipeline.training.recipe import Recipe

_LOGS = 100
"""Points of the loss curve: enough to draw it, few enough not to slow a GPU down."""

_CUDA_LOADERS = 2
"""Processes that prepare batches while a GPU computes; a CPU has nothing to overlap."""


DECIDING = f"eval_{SIMILARITY}_ap"
"""The metric that decides which checkpoint is the best, and when patience is exhausted, as the library logs it."""


class PairTrainer(SentenceTransformerTrainer):
    """Trains on a plan's batches.

    Attributes:
        plan: the batches of the whole training; for the trainer they are one epoch.
        trained_model: the model, which the trainer itself may wrap for several processes.
        average: the moving average of the weights, if there is one.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        recipe: Recipe,
        plan: BatchPlan,
        collator: PairCollator,
        hardware: Hardware,
        store: CheckpointStore,
        dev: PairTable,
        on_progress: OnProgress,
    ) -> None:
        self.plan = plan
        self.trained_model = model
        self.average = WeightAverage(model, recipe.average_decay) if recipe.average_decay else None
        self._collator = collator
        evaluations = plan.evaluation_steps(recipe.evaluations_per_epoch) if len(dev) else frozenset()
        super().__init__(
            model=model,
            args=_arguments(recipe, store.staging, plan.steps, hardware),
            loss=PairLoss(model, recipe, hardware.precision),
            evaluator=_DevEvaluator(dev, plan, on_progress) if len(dev) else None,
            callbacks=[_Watcher(store, self, recipe, evaluations, on_progress)],
        )
        # It would print each log entry to standard output; the watcher reports them as events.
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The plan's batches, shared out among the processes."""
        loader = DataLoader(
            PairIndices(len(self.plan.order)),
            batch_sampler=PlannedBatches(self.plan),
            collate_fn=self._collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        # Batches come in multiples of the processes; none is to be filled up with repeated pairs.
        self.accelerator.even_batches = False
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def collect_features(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """What the loss is given: the features, and the rest of the batch."""
        return inputs["features"], inputs

    def largest_batch(self) -> np.ndarray:
        """Pair indices of the batch with most tokens."""
        tokens = np.concatenate([[0], np.cumsum(self._collator.tokens(self.plan.order))])
        return self.plan.batch(int(np.argmax(np.diff(tokens[self.plan.ends], prepend=0))))

    def forward_backward(self, indices: np.ndarray) -> None:
        """The gradients of one batch, added to those that are there."""
        batch = self._collator(indices)
        inputs = {**to_device(batch, self.args.device), "features": to_device(batch["features"], self.args.device)}
        self.compute_loss(self.model, inputs).backward()

    def load_weights(self, checkpoint: Path) -> None:
        """Take the weights of a checkpoint, and their average where there is one."""
        self.trained_model.load_state_dict(reopened(checkpoint).state_dict())
        if self.average:
            self.average.load(checkpoint)

    def restore(self, checkpoint: Path) -> None:
        """Take weights and history from the checkpoint of a training that has ended."""
        self.load_weights(checkpoint)
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate the averaged model, where there is one."""
        with self.average.applied() if self.average else nullcontext():
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        return metrics

    def evaluations(self) -> list[Evaluation]:
        """(epoch, step, metrics on the dev split) of each evaluation, those before a resumption included."""
        return [
            (self.plan.epoch_after(entry["step"]), entry["step"], _metrics_of(entry))
            for entry in self.state.log_history
            if DECIDING in entry
        ]

    def losses(self) -> list[tuple[int, float]]:
        """(step, mean loss since the step before), as logged."""
        return [(int(e["step"]), float(e["loss"])) for e in self.state.log_history if "loss" in e]


class _Arguments(SentenceTransformerTrainingArguments):
    """The library would put several GPUs of one process under DataParallel, which can't cut these batches up.
    `torchrun` starts a process for each GPU."""

    @property
    def n_gpu(self) -> int:
        """How many GPUs this process uses."""
        return min(int(super().n_gpu), 1)


def _arguments(recipe: Recipe, staging: Path, total_steps: int, hardware: Hardware) -> _Arguments:
    device, precision = hardware.device, hardware.precision
    return _Arguments(
        output_dir=str(staging),
        # The plan holds all epochs.
        num_train_epochs=1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_of(total_steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused" if device in ("cpu", "cuda") else "adamw_torch",
        # Autocast is the loss's, around the training's forward pass alone: evaluation stays in fp32.
        tf32=True if precision != "fp32" and has_tf32(device) else None,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        dataloader_num_workers=_CUDA_LOADERS if device == "cuda" else 0,
        # The watcher asks for evaluations; they come before a checkpoint at the same step, so that it holds them.
        eval_strategy="no",
        save_strategy="steps",
        save_steps=recipe.save_steps,
        logging_steps=max(1, total_steps // _LOGS),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )


class _DevEvaluator(SentenceEvaluator):
    """Evaluates the model in training on the dev split, with the metrics of the reports."""

    def __init__(self, dev: PairTable, plan: BatchPlan, on_progress: OnProgress) -> None:
        super().__init__()
        self.primary_metric = f"{SIMILARITY}_ap"
        self._dev = dev
        self._plan = plan
        self._on_progress = on_progress

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        # With several processes the library calls this in the first one, and broadcasts the result.
        metrics = evaluate_pairs(model, self._dev, on_progress=self._advanced)
        self._on_progress(DevEvaluated(self._plan.epoch_after(steps), steps, metrics[SIMILARITY].ap))
        return {
            f"{name}_{metric}": value
            for name, values in metrics.items()
            for metric, value in values.model_dump().items()
        }

    def _advanced(self, event: ProgressEvent) -> None:
        if isinstance(event, Advanced):
            self._on_progress(DevEvaluationAdvanced(event.done, event.total))


def _metrics_of(entry: Mapping[str, Any]) -> dict[str, SimilarityMetrics]:
    """The metrics in an entry of the trainer's log history, where each key has the prefix `eval_`."""
    return {
        name: SimilarityMetrics(**{metric: entry[f"eval_{name}_{metric}"] for metric in SimilarityMetrics.model_fields})
        for name in SIMILARITIES
    }


def dev_scores(log_history: list[dict[str, Any]]) -> list[float]:
    """Average precision on the dev split, evaluation after evaluation."""
    return [float(entry[DECIDING]) for entry in log_history if DECIDING in entry]


def is_out_of_patience(scores: list[float], patience: int | None) -> bool:
    """Whether the last `patience` evaluations brought no new best."""
    return patience is not None and bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= patience


class _Watcher(TrainerCallback):
    """Turns the trainer's callbacks into progress events, evaluations and complete checkpoints; stops a training
    that has diverged or no longer improves."""

    def __init__(
        self,
        store: CheckpointStore,
        trainer: PairTrainer,
        recipe: Recipe,
        evaluation_steps: frozenset[int],
        on_progress: OnProgress,
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._recipe = recipe
        self._evaluation_steps = evaluation_steps
        self._on_progress = on_progress
        self._clock = _Clock()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._clock.begin(int(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = int(state.global_step)
        if self._trainer.average:
            self._trainer.average.update()
        if step in self._evaluation_steps:
            control.should_evaluate = True
        if self._clock.stepped(step):
            self._on_progress(TrainingAdvanced(step, self._trainer.plan.steps))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._clock.evaluated()
        *before, score = dev_scores(state.log_history)
        if self._recipe.load_best_model_at_end and score > max(before, default=-math.inf):
            control.should_save = True
        if is_out_of_patience([*before, score], self._recipe.patience):
            control.should_training_stop = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        if "loss" not in logs:
            return
        loss, step, plan = float(logs["loss"]), int(state.global_step), self._trainer.plan
        if not math.isfinite(loss):
            raise TrainingError(
                f"the training diverged: the loss is {loss} at step {step:,}; lower learning_rate "
                f"(now {args.learning_rate:g}) or max_grad_norm",
                loss=loss,
                step=step,
            )
        since, seconds = self._clock.reported(step)
        rate = (plan.pairs_after(step) - plan.pairs_after(since)) / seconds
        evaluations = sum(planned >= step for planned in self._evaluation_steps)
        left = self._clock.seconds_of(plan.steps - step, evaluations)
        learning_rate = float(logs["learning_rate"])
        self._on_progress(TrainingStep(step, plan.steps, plan.epoch_after(step), loss, learning_rate, rate, left))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = int(state.global_step)
        staged = self._store.staging / f"checkpoint-{step}"
        last = state.log_history[-1] if state.log_history else {}
        score = float(last[DECIDING]) if DECIDING in last and last["step"] == step else None

        def commit() -> Path:
            if self._trainer.average:
                self._trainer.average.save(staged)
            return self._store.commit(staged, step, score)

        distributed.wait()
        path = distributed.from_main(commit)
        self._clock.paused()
        self._on_progress(CheckpointSaved(step, str(path)))


class _Clock:
    """Measures how long steps and evaluations take, each without the other and without the writing of checkpoints."""

    _SECONDS_BETWEEN_EVENTS = 1.0

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, step: int) -> None:
        """The training begins, or goes on, after this step."""
        now = time.perf_counter()
        self._step = self._first = self._reported = step
        self._since, self._event_at = now, now
        self._seconds = self._seconds_at_report = self._evaluation_seconds = 0.0

    def stepped(self, step: int) -> bool:
        """Note a step; tells whether it is time for an event."""
        now = time.perf_counter()
        self._seconds += now - self._since
        self._step, self._since = step, now
        if now - self._event_at < self._SECONDS_BETWEEN_EVENTS:
            return False
        self._event_at = now
        return True

    def reported(self, step: int) -> tuple[int, float]:
        """The step of the report before this one, and the seconds that the steps since then took."""
        before, seconds = self._reported, self._seconds - self._seconds_at_report
        self._reported, self._seconds_at_report = step, self._seconds
        self._event_at = time.perf_counter()
        return before, seconds

    def evaluated(self) -> None:
        """Note the end of an evaluation, which began after the last step."""
        self._evaluation_seconds = time.perf_counter() - self._since
        self.paused()

    def paused(self) -> None:
        """Leave out the time since the last step."""
        self._since = time.perf_counter()

    def seconds_of(self, steps: int, evaluations: int) -> float:
        """Estimated seconds of a number of steps and evaluations."""
        return steps * self._seconds / (self._step - self._first) + evaluations * self._evaluation_seconds
