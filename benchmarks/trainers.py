"""The two trainers that benchmarks compare: sentence-transformers' own, and this project's without a run folder."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import OnlineContrastiveLoss
from transformers import PrinterCallback, TrainerCallback

from pipeline.core.progress import ignore
from pipeline.models.packing import packed_attention, tokenize
from pipeline.models.precision import Hardware, Precision
from pipeline.question_pairs.schema import PairTable
from pipeline.training.batches import BatchPlan, PairCollator, TrainingPairs, packed_features
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.model import padded_features, set_dropout
from pipeline.training.recipe import Recipe
from pipeline.training.trainer import PairTrainer

NEVER = 10**9
"""Steps between two logs, so that there are none."""


@contextmanager
def stock_trainer(
    model: SentenceTransformer,
    table: PairTable,
    recipe: Recipe,
    precision: Precision,
    device: str,
    callbacks: Sequence[TrainerCallback] = (),
) -> Iterator[SentenceTransformerTrainer]:
    """Yield a `SentenceTransformerTrainer` as in its documentation, for one epoch with OnlineContrastiveLoss."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=recipe.batch_size,
                learning_rate=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                warmup_steps=recipe.warmup_of(-(-len(table) // recipe.batch_size)),
                max_grad_norm=recipe.max_grad_norm,
                seed=recipe.seed,
                bf16=precision == "bf16",
                use_cpu=device == "cpu",
                dataloader_pin_memory=device == "cuda",
                dataloader_num_workers=2 if device == "cuda" else 0,
                save_strategy="no",
                report_to="none",
                logging_steps=NEVER,
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict(
                {
                    "sentence1": table.pairs["question1"].tolist(),
                    "sentence2": table.pairs["question2"].tolist(),
                    "label": table.labels,
                }
            ),
            loss=OnlineContrastiveLoss(model, margin=recipe.margin),
            callbacks=list(callbacks),
        )
        trainer.remove_callback(PrinterCallback)
        yield trainer


@contextmanager
def engine_trainer(
    model: SentenceTransformer,
    table: PairTable,
    recipe: Recipe,
    precision: Precision,
    device: str,
    is_packed: bool = True,
) -> Iterator[PairTrainer]:
    """Yield this project's trainer for one epoch, without evaluations."""
    pairs = TrainingPairs.of(table)
    index = pairs.index
    if recipe.dropout is not None:
        set_dropout(model, recipe.dropout)
    tokens = tokenize(model, index.texts)
    lengths = tokens.lengths[index.first] + tokens.lengths[index.second]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if is_packed:
            featurize = packed_features(tokens, stack.enter_context(packed_attention(model)).first_position)
        else:
            featurize = padded_features(model, index.texts)
        yield PairTrainer(
            model,
            recipe,
            BatchPlan.draw(lengths, 1, recipe.batch_size, None, recipe.seed),
            PairCollator(pairs, tokens.lengths, featurize),
            Hardware(device, precision),
            CheckpointStore(Path(folder), "benchmark", 1),
            table.take(np.arange(0)),
            ignore,
        )
