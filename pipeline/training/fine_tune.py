"""Fine-tune a model: from pairs and a recipe to a finished run folder with the model and its manifest."""

import gc
import logging
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from pipeline.core.errors import InputError, ResourceError, SettingError
from pipeline.core.progress import DevEvaluated, LogLine, OnProgress, TrainingResumed, ignore
from pipeline.evaluation.pair_scores import evaluate_pairs
from pipeline.models.embedding import SIMILARITY
from pipeline.models.fine_tuned import DevEvaluation, FineTunedModel
from pipeline.models.loading import describe_device, quiet_libraries, resolve_device
from pipeline.models.precision import Hardware, resolve_precision
from pipeline.question_pairs.schema import PairTable
from pipeline.training import distributed, soup
from pipeline.training.batches import BatchPlan, TrainingPairs
from pipeline.training.checkpoints import CheckpointStore, lost_best
from pipeline.training.job import TrainingJob
from pipeline.training.manifest import DamagedRunError
from pipeline.training.model import Evaluation, load_to_train, prepared, reopened, save_model, set_dropout
from pipeline.training.recipe import Recipe
from pipeline.training.reuse import checkpoint_fingerprint
from pipeline.training.run_folder import RunFolder
from pipeline.training.teacher import target_vectors
from pipeline.training.trainer import PairTrainer, dev_scores, is_out_of_patience

_logger = logging.getLogger(__name__)

SLOW_SECONDS = 12 * 3600
"""A training on a CPU that would take longer is refused unless `allow_slow` says otherwise."""

_PROBE_BATCHES = 4
_PROBE_FROM_STEPS = 500
"""Shorter trainings are not worth an estimate: even at 10 s a step they end within the bound."""

_FIRST_BUDGET = {"cpu": 32_768, "mps": 32_768, "cuda": 262_144}
"""Tokens of a forward pass that `auto` tries first. Activations of a 12-layer, 384-wide BERT take about 0.2 MB a token
in bf16: 50 GB of a GPU's memory, or 6 GB of a laptop's."""

_SMALLEST_BUDGET = 64


def fine_tune(job: TrainingJob, run_folder: RunFolder, on_progress: OnProgress = ignore) -> FineTunedModel:
    """Train, and leave the model, its checkpoints and a manifest in `run_folder`.

    A folder that is finished already gives its result, if its files are what was written; one with checkpoints of the
    same training goes on from the newest that is whole. On a CPU the same arguments give the same weights, bit for bit,
    on the same machine, whether the training was interrupted or not.

    Raises:
        PipelineError: when the data, the device or the memory doesn't suit, the training diverges, the folder holds
            another training, or a CPU would need more than 12 hours and `allow_slow` is not set.
    """
    if finished := distributed.from_main(lambda: _finished(run_folder, job.fingerprint, on_progress)):
        return finished
    pairs, hardware = _prepare(job, on_progress)
    if job.recipe.soup_size == 1:
        return _train_one(job, pairs, hardware, run_folder, on_progress)
    plan, results = soup.members(job.recipe), list[FineTunedModel]()
    for member in plan:
        on_progress(LogLine(member.description))
        folder, one = member.folder_in(run_folder), replace(job, recipe=member.recipe)
        progress = soup.counted_through(on_progress, member, sum(result.steps for result in results))
        result = distributed.from_main(partial(_finished, folder, one.fingerprint, progress))
        results.append(result or _train_one(one, pairs, hardware, folder, progress, member.share))
    return distributed.from_main(partial(_finish_soup, job, plan, run_folder, results, on_progress))


def _prepare(job: TrainingJob, on_progress: OnProgress) -> tuple[TrainingPairs, Hardware]:
    """The training pairs, with the vectors of a teacher where there is one, and what they are trained on."""
    quiet_libraries()
    pairs = TrainingPairs.of(job.train)
    _require_enough_pairs(job, len(pairs))
    device = resolve_device(job.recipe.device)
    hardware = Hardware(device, resolve_precision(job.recipe.precision, device))
    if job.teacher:
        vectors = target_vectors(job.teacher, job.base_model, pairs.index.texts, device, on_progress)
        pairs = replace(pairs, vectors=vectors)
    return pairs, hardware


def _train_one(
    job: TrainingJob,
    pairs: TrainingPairs,
    hardware: Hardware,
    run_folder: RunFolder,
    on_progress: OnProgress,
    share: float = 1.0,
) -> FineTunedModel:
    """Train in batches as large as the memory allows; `share` is this training's part of all that is to be done."""
    recipe, device = job.recipe, hardware.device
    for budget in _budgets(recipe.token_budget or _FIRST_BUDGET[device]):
        try:
            with _session(job, pairs, hardware, budget, run_folder, on_progress) as session:
                _try_largest_batch(session.trainer)
                if recipe.token_budget and budget < recipe.token_budget:
                    raise ResourceError(
                        f"out of memory with token_budget {recipe.token_budget:,} on {describe_device(device)}: "
                        f"{budget:,} fits; set that, or leave token_budget empty (auto)",
                        token_budget=recipe.token_budget,
                        fits=budget,
                    )
                if device == "cpu" and not recipe.allow_slow and session.plan.steps > _PROBE_FROM_STEPS:
                    _refuse_if_slow(session.trainer, share)
                seconds = _train(session, recipe, on_progress)
                # Nothing is decided with a member of a soup.
                decided_on = job.dev if share == 1 else None
                return distributed.from_main(
                    partial(_finish, session, job, run_folder, seconds, decided_on, on_progress)
                )
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if distributed.processes() > 1:
                # The others go on with batches of the first size; they can't be called back.
                raise ResourceError(
                    f"out of memory with {budget:,} tokens in a forward pass in one of {distributed.processes()} "
                    f"processes: set token_budget to {budget // 2:,}",
                    token_budget=budget,
                    processes=distributed.processes(),
                ) from error
            _logger.warning("out of memory with %s tokens in a forward pass: trying half as many", f"{budget:,}")
        _release_memory()
    raise ResourceError(
        f"out of memory on {describe_device(device)} even with {_SMALLEST_BUDGET} tokens in a forward pass: free "
        "memory, or choose a smaller base model",
        token_budget=_SMALLEST_BUDGET,
    )


def _finish_soup(
    job: TrainingJob,
    plan: list[soup.Member],
    run_folder: RunFolder,
    results: list[FineTunedModel],
    on_progress: OnProgress,
) -> FineTunedModel:
    """Save the averaged weights with their decision, then the manifest, and remove the single models."""
    recipe = job.recipe
    states = [reopened(Path(result.model.location)).state_dict() for result in results]
    model = load_to_train(job.base_model, resolve_device(recipe.device), recipe)
    model.load_state_dict(soup.averaged(states))
    steps, epoch = sum(result.steps for result in results), float(recipe.epochs * recipe.soup_size)
    evaluations: list[Evaluation] = []
    if len(job.dev):
        metrics = evaluate_pairs(model, job.dev, on_progress=on_progress)
        evaluations = [(epoch, steps, metrics)]
        on_progress(DevEvaluated(epoch, steps, metrics[SIMILARITY].ap))
    folder = run_folder.model(job.base_model.name)
    saved, decision = save_model(model, folder, job.base_model, evaluations, job.dev, on_progress)
    result = results[0].model_copy(
        update={
            "model": saved,
            "run_folder": str(run_folder.path),
            "recipe": recipe.model_dump(),
            "pair_visits": sum(each.pair_visits for each in results),
            "steps": steps,
            "kept_step": steps,
            "seconds": sum(each.seconds for each in results),
            "dev_evaluations": [*soup.joined_evaluations(plan, results), *_dev_evaluations(evaluations)],
            "losses": soup.joined_losses(results),
            "decision": decision,
        }
    )
    run_folder.finish(result, job.fingerprint)
    shutil.rmtree(run_folder.path / soup.SOUP, ignore_errors=True)
    return result


def _dev_evaluations(evaluations: list[Evaluation]) -> list[DevEvaluation]:
    return [
        DevEvaluation(epoch=epoch, step=step, average_precision=metrics[SIMILARITY].ap)
        for epoch, step, metrics in evaluations
    ]


def _finished(run_folder: RunFolder, fingerprint: str, on_progress: OnProgress) -> FineTunedModel | None:
    """The result of a finished folder. Where it is damaged, the training goes on from its checkpoints instead."""
    try:
        finished = run_folder.finished_result(fingerprint)
    except DamagedRunError as damage:
        on_progress(LogLine(f"{damage.message}: training again"))
        run_folder.manifest.unlink(missing_ok=True)
        return None
    if finished:
        on_progress(LogLine(f"this training is finished already: {run_folder.path}"))
    return finished


def _require_enough_pairs(job: TrainingJob, pairs: int) -> None:
    recipe, dev = job.recipe, job.dev
    if len(dev) and dev.positive_rate in (0, 1):
        raise InputError(
            f"all {len(dev):,} pairs of the dev split have the same label, so nothing can be measured on them: raise "
            "dev_fraction, or set it to 0",
            pairs=len(dev),
        )
    parts = distributed.processes() * recipe.gradient_accumulation_steps
    if pairs < max(recipe.batch_size, parts):
        raise InputError(
            f"the training split has {pairs:,} pairs, fewer than one batch of {recipe.batch_size}: lower "
            "batch_size or bring more pairs",
            pairs=pairs,
            batch_size=recipe.batch_size,
        )
    if recipe.batch_size % parts:
        raise SettingError(
            f"batch_size {recipe.batch_size} can't be shared out to {distributed.processes()} processes with "
            f"gradient_accumulation_steps {recipe.gradient_accumulation_steps}: choose a multiple of {parts}",
            batch_size=recipe.batch_size,
            parts=parts,
        )


def _budgets(first: int) -> Iterator[int]:
    """Yield token budgets, each half of the one before."""
    while first >= _SMALLEST_BUDGET:
        yield first
        first //= 2


def _release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class _Session:
    """All that a training with one token budget needs.

    Attributes:
        layout: `packed`, or `padded` with the reason.
        truncated_questions: see `FineTunedModel`.
    """

    trainer: PairTrainer
    store: CheckpointStore
    hardware: Hardware
    layout: str
    token_budget: int
    truncated_questions: int

    @property
    def plan(self) -> BatchPlan:
        """The batches of the whole training."""
        return self.trainer.plan


@contextmanager
def _session(
    job: TrainingJob,
    pairs: TrainingPairs,
    hardware: Hardware,
    token_budget: int,
    run_folder: RunFolder,
    on_progress: OnProgress,
) -> Iterator[_Session]:
    recipe = job.recipe
    model = load_to_train(job.base_model, hardware.device, recipe)
    if recipe.dropout is not None:
        set_dropout(model, recipe.dropout)
    with prepared(model, pairs) as ready:
        plan = BatchPlan.draw(
            ready.collator.tokens(np.arange(len(pairs))),
            recipe.epochs,
            recipe.batch_size,
            token_budget,
            recipe.seed,
            parts=distributed.processes() * recipe.gradient_accumulation_steps,
        )
        store = CheckpointStore(
            run_folder.checkpoints, checkpoint_fingerprint(job.fingerprint, plan.version), recipe.save_total_limit
        )
        trainer = PairTrainer(model, recipe, plan, ready.collator, hardware, store, job.dev, on_progress)
        yield _Session(trainer, store, hardware, ready.layout, token_budget, ready.truncated)


def _try_largest_batch(trainer: PairTrainer) -> None:
    """One forward and backward pass of the batch with most tokens, without a trace in weights or random state: a
    training that runs out of memory does so now and not in an hour."""
    with _untraced(trainer):
        trainer.forward_backward(trainer.largest_batch())


def _refuse_if_slow(trainer: PairTrainer, share: float) -> None:
    """Refuse a training that is too slow, as a few batches forwards and backwards show. `share`: see `_train_one`."""
    seconds = []
    with _untraced(trainer):
        for index in range(min(_PROBE_BATCHES, len(trainer.plan.ends))):
            start = time.perf_counter()
            trainer.forward_backward(trainer.plan.batch(index))
            seconds.append(time.perf_counter() - start)
    estimate = statistics.median(seconds) * len(trainer.plan.ends) / share
    if estimate > SLOW_SECONDS:
        raise ResourceError(
            f"{round(trainer.plan.steps / share):,} steps on this CPU would take about {estimate / 3600:.0f} hours: "
            "use a GPU, set train_limit or fewer epochs, or set allow_slow: true",
            steps=round(trainer.plan.steps / share),
            hours=estimate / 3600,
        )


@contextmanager
def _untraced(trainer: PairTrainer) -> Iterator[None]:
    was_training = trainer.model.training
    trainer.model.train()
    devices = [torch.cuda.current_device()] if trainer.args.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
    trainer.model.zero_grad()
    trainer.model.train(was_training)


def _train(session: _Session, recipe: Recipe, on_progress: OnProgress) -> float:
    """Train to the end, from the newest usable checkpoint if there is one; returns the seconds that it took."""
    resume_from = distributed.from_main(session.store.prepare)
    trainer = session.trainer
    if resume_from:
        on_progress(TrainingResumed(int(resume_from.name), session.plan.steps, str(resume_from)))
    start = time.perf_counter()
    if resume_from and _has_stopped(resume_from, recipe.patience):
        trainer.restore(resume_from)
    else:
        if resume_from and trainer.average:
            trainer.average.load(resume_from)
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    return time.perf_counter() - start


def _has_stopped(checkpoint: Path, patience: int | None) -> bool:
    """Whether the training ended at this checkpoint for want of improvement."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    return is_out_of_patience(dev_scores(state.log_history), patience)


def _finish(
    session: _Session,
    job: TrainingJob,
    run_folder: RunFolder,
    seconds: float,
    decided_on: PairTable | None,
    on_progress: OnProgress,
) -> FineTunedModel:
    """Save the kept weights with their decision, if any, then the manifest."""
    trainer, recipe = session.trainer, job.recipe
    evaluations, steps = trainer.evaluations(), int(trainer.state.global_step)
    best = _best(session.store, evaluations) if recipe.load_best_model_at_end and evaluations else None
    if best:
        trainer.load_weights(best)
    with trainer.average.applied() if trainer.average else nullcontext():
        model, decision = save_model(
            trainer.trained_model,
            run_folder.model(job.base_model.name),
            job.base_model,
            evaluations,
            decided_on,
            on_progress,
        )
    result = FineTunedModel(
        model=model,
        base_model=job.base_model,
        run_folder=str(run_folder.path),
        recipe=recipe.model_dump(),
        train_version=job.train.data_version,
        dev_version=job.dev.data_version,
        origin=job.train.origin,
        teacher_version=job.teacher.version if job.teacher else None,
        train_pairs=session.plan.pairs,
        pair_visits=session.plan.pairs_after(steps),
        steps=steps,
        kept_step=int(best.name) if best else steps,
        seconds=seconds,
        device=describe_device(session.hardware.device),
        precision=session.hardware.precision,
        layout=session.layout,
        token_budget=session.token_budget,
        truncated_questions=session.truncated_questions,
        dev_evaluations=_dev_evaluations(evaluations),
        losses=trainer.losses(),
        decision=decision,
    )
    session.store.discard_staging()
    run_folder.finish(result, job.fingerprint)
    return result


def _best(store: CheckpointStore, evaluations: list[Evaluation]) -> Path | None:
    """The checkpoint of the best evaluation, the first of equals.

    Raises:
        PipelineError: when it is damaged.
    """
    _, step, _ = max(evaluations, key=lambda evaluation: evaluation[2][SIMILARITY].ap)
    if (best := store.best()) is None or int(best.name) != step:
        raise lost_best(store.folder / str(step), "it is gone or has no readable manifest")
    return best
