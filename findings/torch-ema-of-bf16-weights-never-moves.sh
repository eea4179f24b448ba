#!/usr/bin/env bash
# One would guess: an exponential moving average of the weights, `AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))`,
#   follows a bf16 model as it follows an fp32 one, a little more coarsely.
# What happens: the average is kept in the model's own dtype. A step of 0.001 of the way is less than half of the last bit
#   that bf16 has, so it is rounded away each time: after 5,000 updates not one weight of the average has moved from the
#   first model, while fp32 has gone 99 % of the way. fp16 comes to a halt at about 40 %. With a decay of 0.99 bf16 stops
#   far from the goal. No warning; the averaged model is a valid model: the untrained one.
# Versions: torch 2.13.0.
# Source: seen by running; the docs of torch.optim.swa_utils don't speak of dtypes.
# Why it matters: models are loaded in bf16 to save memory, and the EMA is what is evaluated and published: its AP is that of
#   the base model, which reads as "the fine-tuning gained nothing".
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
cd "$work"
cat > seen.py <<'P'
import sys, warnings
warnings.filterwarnings("ignore")
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
print("torch", torch.__version__)

@torch.no_grad()
def moved(dtype, decay, updates=5000):
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 64).to(dtype)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.update_parameters(model)
    start = model.weight.clone()
    model.weight.mul_(0.5)
    for _ in range(updates):
        average.update_parameters(model)
    weight = average.module.weight
    way = ((weight - start).float().norm() / (model.weight - start).float().norm()).item()
    return round(way, 3), int((weight != start).sum())

seen = {}
for decay in (0.999, 0.99):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        way, changed = seen[decay, dtype] = moved(dtype, decay)
        print(f"decay {decay}, {dtype}: the average went {way:.1%} of the way, {changed} of 4096 weights changed")
if not (seen[0.999, torch.bfloat16] == (0, 0) and seen[0.999, torch.float32][0] > 0.99
        and seen[0.999, torch.float16][0] < 0.6 and seen[0.99, torch.bfloat16][0] < 0.8):
    sys.exit("differs from what is stated")
print("the moving average of a bf16 model is its first state for ever")
P
"$work/venv/bin/python" seen.py
