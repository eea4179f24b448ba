#!/usr/bin/env bash
# One would guess: torchmetrics' average precision and F1 of cosine scores are those of scikit-learn, whatever the batches.
# What happens: each `update` looks whether all of its scores lie in [0, 1]. A batch that holds one negative cosine is taken
#   for logits and squeezed by a sigmoid, the next batch isn't, and both are ranked in one list: the AP of the same 1,000
#   scores changes with the batch size, and is right only in one single batch. `BinaryF1Score(threshold=0.8)` never
#   predicts a duplicate in such a batch, since a sigmoid of a cosine is at most 0.73: not even in a single batch is it
#   right.
# Versions: torchmetrics 1.9.0, torch 2.13.0, scikit-learn 1.9.1.
# Source: Lightning-AI/torchmetrics#1604, #2195 (open) speak of logits; for cosines the sigmoid is never right.
# Why it matters: a few cosines below 0 are usual where negatives are drawn at random; the AP that picks the best epoch then
#   depends on the evaluation's batch size, and comparing it with another library's AP looks like a gain or a loss.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torchmetrics==1.9.0 scikit-learn==1.9.1
cd "$work"
cat > seen.py <<'P'
import sys
import numpy as np
import sklearn, torch, torchmetrics
from sklearn.metrics import average_precision_score, f1_score
from torchmetrics.classification import BinaryAveragePrecision, BinaryF1Score
print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__, "scikit-learn", sklearn.__version__)
random = np.random.default_rng(0)
labels = random.integers(0, 2, 1000)
cosines = np.clip(0.55 + 0.15 * (2 * labels - 1) + 0.2 * random.normal(size=1000), -1, 1).astype(np.float32)
exact, exact_f1 = average_precision_score(labels, cosines), f1_score(labels, cosines > 0.8)
print(f"{(cosines < 0).mean():.1%} of the cosines are negative; scikit-learn: AP {exact:.4f}, F1 at 0.8 {exact_f1:.4f}")
precision, f1 = {}, {}
for size in (1000, 100, 32):
    metrics = BinaryAveragePrecision(), BinaryF1Score(threshold=0.8)
    for start in range(0, 1000, size):
        for metric in metrics:
            metric.update(torch.tensor(cosines[start:start + size]), torch.tensor(labels[start:start + size]))
    precision[size], f1[size] = (float(metric.compute()) for metric in metrics)
    print(f"batches of {size}: AP {precision[size]:.4f}, F1 at 0.8 {f1[size]:.4f}")
if not (abs(precision[1000] - exact) < 1e-4 and precision[32] < precision[100] - 0.005 < exact - 0.01
        and f1[1000] == 0 and 0 < f1[32] < exact_f1 - 0.1):
    sys.exit("differs from what is stated")
print("the same scores have another AP for every batch size, and an F1 of 0 in one batch")
P
"$work/venv/bin/python" seen.py
