"""In which precision to compute, by what the machine can do."""

from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.core.errors import PipelineError
from pipeline.models.options import PrecisionChoice

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Hardware:
    """What computes, and how exactly.

    Attributes:
        device: a torch device name, as `resolve_device` gives.
        precision: of forward passes in training; weights are fp32 always.
    """

    device: str
    precision: Precision


def resolve_precision(wanted: PrecisionChoice, device: str) -> Precision:
    """`auto` takes bf16 (autocast; weights stay fp32) where the hardware multiplies it, else fp32.

    Raises:
        PipelineError: when bf16 is wanted where it would be emulated.
    """
    native = has_bf16(device)
    if wanted == "bf16" and not native:
        raise PipelineError(
            f"precision 'bf16' would be emulated on this {device}, slower than fp32: use `auto` or `fp32`"
        )
    return "fp32" if wanted == "fp32" or not native else "bf16"


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware: CUDA from Ampere on; CPUs with AVX-512-bf16 or AMX."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


def has_tf32(device: str) -> bool:
    """Whether the device has TF32, for what autocast leaves in fp32: CUDA from Ampere on."""
    return device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
