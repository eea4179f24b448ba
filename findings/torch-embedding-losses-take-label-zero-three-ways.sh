#!/usr/bin/env bash
# One would guess: PyTorch's losses for pairs take the labels 0 and 1 of "is_duplicate", or refuse labels other than 1 and -1.
# What happens: nothing is checked, and 0 means something else in each. `CosineEmbeddingLoss` gives a pair labelled 0 the loss
#   0 and the gradient 0: only duplicates are trained, and the loss falls to 0 as all vectors become one. `HingeEmbeddingLoss`
#   adds both of its branches for 0, so that the two gradients cancel within the margin and beyond it the pair is pulled
#   together like a duplicate. `MarginRankingLoss` gives the constant margin, without a gradient.
# Versions: torch 2.13.0.
# Source: the docs name 1 and -1 only; pytorch/pytorch#23782 and #49917 note the missing check of CosineEmbeddingLoss.
# Why it matters: the label column of every set of duplicate questions is 0 or 1, and the falling loss looks like success.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
cd "$work"
cat > seen.py <<'P'
import sys, warnings
warnings.filterwarnings("ignore")
import torch
from torch.nn import CosineEmbeddingLoss, HingeEmbeddingLoss, MarginRankingLoss
print("torch", torch.__version__)

def slope(loss, value):
    value = torch.tensor([value], requires_grad=True)
    result = loss(value)
    return round(float(result), 3), round(float(torch.autograd.grad(result, value)[0]) + 0.0, 3)

zero = torch.tensor([0.0])
hinge = HingeEmbeddingLoss(margin=1.0)
seen = {
    "HingeEmbeddingLoss, distance 0.3": slope(lambda distance: hinge(distance, zero), 0.3),
    "HingeEmbeddingLoss, distance 1.5": slope(lambda distance: hinge(distance, zero), 1.5),
    "MarginRankingLoss": slope(lambda score: MarginRankingLoss(margin=0.1)(score, torch.tensor([0.4]), zero), 0.9),
}
for name, (loss, gradient) in seen.items():
    print(f"{name}, label 0: loss {loss}, gradient {gradient}")

def trained(negative):
    torch.manual_seed(0)
    questions = torch.nn.Embedding(40, 8)
    pairs = torch.randint(0, 40, (200, 2))
    labels = torch.where(pairs[:, 0] % 4 == pairs[:, 1] % 4, 1, negative)
    optimizer = torch.optim.Adam(questions.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = CosineEmbeddingLoss()(questions(pairs[:, 0]), questions(pairs[:, 1]), labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        cosine = torch.nn.functional.cosine_similarity(questions(pairs[:, 0]), questions(pairs[:, 1]))
    return float(loss), float(cosine[labels == 1].mean()), float(cosine[labels != 1].mean())

for negative in (-1, 0):
    print("CosineEmbeddingLoss with {} for a different question: loss {:.4f}, mean cosine of duplicates {:.3f}, of others "
          "{:.3f}".format(negative, *trained(negative)))
right, wrong = trained(-1), trained(0)
gradient = torch.autograd.functional.jacobian(
    lambda x: CosineEmbeddingLoss()(x, torch.tensor([[1.0, 0.2]]), zero), torch.tensor([[1.0, 0.0]]))
if not (seen == {"HingeEmbeddingLoss, distance 0.3": (1.0, 0.0), "HingeEmbeddingLoss, distance 1.5": (1.5, 1.0),
                 "MarginRankingLoss": (0.1, 0.0)}
        and not gradient.any() and wrong[0] < 0.001 and wrong[2] > right[2] + 0.05):
    sys.exit("differs from what is stated")
print("pairs labelled 0 train nothing with CosineEmbeddingLoss, and its loss still falls to 0")
P
"$work/venv/bin/python" seen.py
