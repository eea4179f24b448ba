#!/usr/bin/env bash
# One would guess: `semantic_search_usearch` and `semantic_search_faiss` of sentence-transformers return, under the key "score",
#   the same thing: larger is more similar, as in `semantic_search`.
# What happens: with float32 the score of usearch is a cosine DISTANCE (the same question: 0.0) where faiss gives the inner
#   product (1.0). With an int8 corpus the score of usearch is the dot product (1.0) if rescoring is on, and a negative
#   integer without a scale if it is off. With ubinary both give Hamming distances (0.0) without rescoring and, with it, the
#   dot product with bits (about 3 here). So one field turns around by backend, precision and `rescore`.
# Versions: sentence-transformers 6.2.0, faiss-cpu 1.15.1, usearch 2.26.6, torch 2.13.0.
# Source: util/quantization.py hands on the distances of usearch; the docs call the field a score.
# Why it matters: `if hit["score"] >= 0.85` on the quicker backend keeps the questions that have nothing in common and drops
#   every duplicate, and a change of precision moves the same threshold to another scale.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 transformers==5.23.0 sentence-transformers==6.2.0 faiss-cpu==1.15.1 usearch==2.26.6
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" TOKENIZERS_PARALLELISM=false CUDA_VISIBLE_DEVICES=""
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import numpy as np
import sentence_transformers
from importlib.metadata import version
from sentence_transformers.util.quantization import quantize_embeddings, semantic_search_faiss, semantic_search_usearch
print("sentence-transformers", sentence_transformers.__version__, "faiss", version("faiss-cpu"), "usearch", version("usearch"))
random = np.random.default_rng(0)
vectors = random.normal(size=(500, 64)).astype(np.float32)
vectors[1] = vectors[0] + 0.2 * vectors[1]
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
print(f"cosine of the query to itself {vectors[0] @ vectors[0]:.3f}, to its duplicate {vectors[0] @ vectors[1]:.3f}")

def scores(search, precision, rescore):
    corpus = quantize_embeddings(vectors, precision)
    hits = search(vectors[:1], corpus, corpus_precision=precision, calibration_embeddings=vectors, top_k=500, rescore=rescore)[0][0]
    of = {hit["corpus_id"]: round(hit["score"], 3) for hit in hits}
    return of[0], of[1], round(hits[-1]["score"], 3)

seen = {}
for name, search, precisions in (
    ("faiss", semantic_search_faiss, ("float32", "uint8", "ubinary")),
    ("usearch", semantic_search_usearch, ("float32", "int8", "ubinary")),
):
    for precision in precisions:
        for rescore in (True, False):
            found = seen[name, precision, rescore] = scores(search, precision, rescore)
            print(f"{name}, {precision}, rescore={rescore}: itself {found[0]}, duplicate {found[1]}, last {found[2]}; "
                  f"larger is {'nearer' if found[0] > found[2] else 'FARTHER'}")
falls = {key: found[0] > found[2] for key, found in seen.items()}
kept = [score >= 0.7 for score in seen["usearch", "float32", False]]
print("usearch, float32, score >= 0.7 keeps itself, the duplicate, the last of 500:", kept)
if not (falls["faiss", "float32", False] and not falls["usearch", "float32", False] and falls["usearch", "int8", True]
        and not falls["usearch", "int8", False] and not falls["faiss", "ubinary", False] and falls["faiss", "ubinary", True]
        and seen["usearch", "float32", False][0] == 0 and kept == [False, False, True]):
    sys.exit("differs from what is stated")
print('the field "score" is a similarity or a distance by backend, precision and rescore')
P
"$work/venv/bin/python" seen.py
