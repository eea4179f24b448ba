#!/usr/bin/env bash
# One would guess: `encode(..., precision="int8")` and `model.similarity` go together: dot products of int8 vectors are integers
#   in the thousands, and the nearest question is still the nearest.
# What happens: with the similarity "dot" the products are summed in int8 itself and wrap at 8 bits, without a warning. A
#   question's score with itself is some number from -128 to 127 like any stranger's; `semantic_search` and
#   `paraphrase_mining_embeddings` with `dot_score` rank by that noise. uint8, binary and ubinary do the same. (With
#   "cosine" the same call raises.) Cast to float32, the ranking of the quantised vectors is right.
# Versions: sentence-transformers 6.2.0, torch 2.13.0, numpy 2.4.6.
# Source: seen by running; a matrix product of int8 tensors, or numpy arrays, has the type int8.
# Why it matters: "dot" is the similarity of models trained for retrieval, and int8 the advertised way of storing a corpus
#   at a quarter of its size; the numbers look like scores.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 transformers==5.23.0 sentence-transformers==6.2.0
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" TOKENIZERS_PARALLELISM=false CUDA_VISIBLE_DEVICES=""
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import sentence_transformers, torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from sentence_transformers.util import dot_score, semantic_search
from tokenizers import Tokenizer, models, pre_tokenizers
print("sentence-transformers", sentence_transformers.__version__, "torch", torch.__version__)
texts = [f"what{i} is{i} the{i} way{i}" for i in range(200)]
words = sorted({word for text in texts for word in text.split()})
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
torch.manual_seed(0)
model = SentenceTransformer(
    modules=[StaticEmbedding(tokenizer, embedding_dim=64)], device="cpu", similarity_fn_name="dot")

def own_is_best(scores):
    return float((scores.argmax(dim=1) == torch.arange(len(texts))).float().mean())

seen = {}
for precision in ("float32", "int8", "uint8", "binary", "ubinary"):
    vectors = model.encode(texts, precision=precision)
    scores = model.similarity(vectors, vectors)
    seen[precision] = own_is_best(scores)
    print(f"{precision}: scores of type {scores.dtype}, from {scores.min():.1f} to {scores.max():.1f}; first question with "
          f"itself {scores[0, 0]:.1f}; questions whose own text is the nearest: {seen[precision]:.1%}")
whole = torch.tensor(model.encode(texts, precision="int8"))
cast = own_is_best(model.similarity(whole.float(), whole.float()))
hits = semantic_search(whole, whole, top_k=1, score_function=dot_score)
searched = sum(hit[0]["corpus_id"] == i for i, hit in enumerate(hits)) / len(texts)
print(f"int8 cast to float32: {cast:.1%}; semantic_search over int8: {searched:.1%}")
if not (seen.pop("float32") == 1 and cast == 1 and max(seen.values()) < 0.1 and searched < 0.1):
    sys.exit("differs from what is stated")
print("dot products of int8 embeddings wrap around silently, and the nearest question is anyone")
P
"$work/venv/bin/python" seen.py
