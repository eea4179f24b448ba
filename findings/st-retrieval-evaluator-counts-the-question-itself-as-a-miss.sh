#!/usr/bin/env bash
# One would guess: `InformationRetrievalEvaluator` leaves a query's own document (the same id, the same text) out of its results,
#   as BEIR and MTEB do for the duplicate-question tasks; or refuses ids that are in both.
# What happens: where the queries are questions of the corpus, each finds itself first, which isn't in its set of relevant
#   documents and counts as a miss: a model that puts every duplicate right behind the question has an accuracy@1,
#   precision@1 and recall@1 of 0 and an MRR of 0.5, and can't get better. With the queries taken out of the corpus by hand
#   it has 1 in each.
# Versions: sentence-transformers 6.2.0, torch 2.13.0.
# Source: a note in evaluation/information_retrieval.py says that TREC, BEIR and MTEB skip such a hit and that this class
#   does not; its docs don't.
# Why it matters: "which older question does this one repeat" is evaluated over one pool of questions; the figures are half
#   of what they should be, and the best epoch may be another one, since what moves is the second place.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 transformers==5.23.0 sentence-transformers==6.2.0
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" TOKENIZERS_PARALLELISM=false CUDA_VISIBLE_DEVICES="" TQDM_DISABLE=1
cat > seen.py <<'P'
import logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import sentence_transformers, torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers
print("sentence-transformers", sentence_transformers.__version__, "torch", torch.__version__)
questions = {f"{topic}{side}": f"topic{topic} topic{topic} wording{side}{topic}" for topic in range(20) for side in "ab"}
queries = {number: text for number, text in questions.items() if number.endswith("a")}
relevant = {number: {number[:-1] + "b"} for number in queries}
words = sorted({word for text in questions.values() for word in text.split()})
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
torch.manual_seed(0)
model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=256)], device="cpu")

def figures(corpus):
    found = InformationRetrievalEvaluator(
        queries, corpus, relevant, accuracy_at_k=[1], precision_recall_at_k=[1], mrr_at_k=[10], map_at_k=[10], ndcg_at_k=[10])(model)
    wanted = "accuracy@1", "precision@1", "recall@1", "mrr@10", "map@10", "ndcg@10"
    return {name: round(found[f"cosine_{name}"], 3) for name in wanted}

pool = figures(questions)
others = figures({number: text for number, text in questions.items() if number not in queries})
print("queries are questions of the corpus:", pool)
print("the queries taken out of the corpus:", others)
if not (pool["accuracy@1"] == pool["precision@1"] == pool["recall@1"] == 0 and pool["mrr@10"] == 0.5 and set(others.values()) == {1.0}):
    sys.exit("differs from what is stated")
print("the question itself, found first, is counted as a miss")
P
"$work/venv/bin/python" seen.py
