#!/usr/bin/env bash
# One would guess: `mine_hard_negatives` never hands out a text as the negative of that same text; the positives of a row
#   are left out, and so is its anchor.
# What happens: only the known positives are left out. In pairs of duplicate questions a question stands on both sides: (A, B)
#   and (B, C), or each pair in both orders as one does for a symmetric relation. The candidates then hold the anchor's own
#   text, which is the nearest of all, with a cosine of 1: with both orders EVERY mined negative is the anchor itself. A
#   margin takes them out only by luck of the positive's score; `max_score=0.999` does.
# Versions: sentence-transformers 6.2.0, torch 2.13.0, transformers 5.23.0, datasets 5.2.0.
# Source: util/hard_negatives.py masks positives alone; no issue on it was found.
# Why it matters: a triplet (A, B, A) asks the model to push a question away from itself, which no training can; its loss
#   stays high, the training reports success, and the mined file has to be read by eye to see it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 transformers==5.23.0 accelerate==1.15.0 sentence-transformers==6.2.0 datasets==5.2.0
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" TOKENIZERS_PARALLELISM=false CUDA_VISIBLE_DEVICES=""
cat > seen.py <<'P'
import contextlib, io, logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import sentence_transformers, torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from sentence_transformers.util import mine_hard_negatives
from tokenizers import Tokenizer, models, pre_tokenizers
print("sentence-transformers", sentence_transformers.__version__)

chain = [
    ("how to learn python", "best way to learn python"), ("best way to learn python", "which python course is best"),
    ("how to cook rice", "way of cooking rice"), ("capital of france", "which city is the capital of france"),
    ("is the moon flat", "is the moon flat or round"), ("how to lose weight", "which way to lose weight is best"),
]
words = sorted({word for pair in chain for text in pair for word in text.split()})
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
torch.manual_seed(0)
model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=32)], device="cpu")

def mined(pairs, **more):
    rows = Dataset.from_dict({"anchor": [a for a, _ in pairs], "positive": [b for _, b in pairs]})
    with contextlib.redirect_stderr(io.StringIO()):
        found = mine_hard_negatives(
            rows, model, num_negatives=1, range_max=4, output_format="triplet", verbose=False, **more)
    return [(row["anchor"], row["positive"], row["negative"]) for row in found]

def itself(triplets):
    return sum(anchor == negative for anchor, _, negative in triplets)

both = chain + [(b, a) for a, b in chain]
once, twice, capped = mined(chain), mined(both), mined(both, max_score=0.999)
print(f"pairs in one order: {itself(once)} of {len(once)} negatives are the anchor:",
      [t for t in once if t[0] == t[2]])
print(f"pairs in both orders: {itself(twice)} of {len(twice)} negatives are the anchor, for example {twice[0]}")
print(f"the same with max_score=0.999: {itself(capped)} of {len(capped)}")
if not (itself(once) == 1 and itself(twice) == len(twice) == 12 and itself(capped) == 0 < len(capped)):
    sys.exit("differs from what is stated")
print("mine_hard_negatives gives a question itself as its hard negative")
P
"$work/venv/bin/python" seen.py
