"""Choose the precision of computations by what the hardware supports."""

from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.core.errors import SettingError
from pipeline.models.options import PrecisionChoice

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Hardware:
    """The device and the precision of a training.

    Attributes:
        device: a torch device name, as `resolve_device` gives.
        precision: of forward passes in training; weights are fp32 always.
    """

    device: str
    precision: Precision


def resolve_precision(wanted: PrecisionChoice, device: str) -> Precision:
    """`auto` takes bf16 (autocast; weights stay fp32) where it is faster than fp32.

    Raises:
        PipelineError: when bf16 is wanted where it would be emulated.
    """
    if wanted == "bf16" and not has_bf16(device):
        raise SettingError(
            f"precision 'bf16' would be emulated on this {device}, slower than fp32: use `auto` or `fp32`",
            precision=wanted,
            device=device,
        )
    if wanted == "auto":
        return "bf16" if is_faster_in_bf16(device) else "fp32"
    return wanted


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware: CUDA from Ampere on; CPUs with AVX-512-bf16 or AMX."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


def is_faster_in_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 faster than fp32: CUDA from Ampere on; CPUs with AMX; AMD's with AVX-512-bf16.

    Intel's without AMX, or with AMX hidden by a hypervisor, have the instructions of AVX-512-bf16 too, but are slower
    with them than in fp32 (docs/training.md, "Speed").
    """
    if device != "cpu":
        return has_bf16(device)
    features = torch.cpu.get_capabilities()
    is_intel = str(features.get("cpu_name", "")).startswith("Intel")
    return bool(features.get("amx_bf16") or (features.get("avx512_bf16") and not is_intel))


def has_tf32(device: str) -> bool:
    """Whether the device has TF32, for what autocast leaves in fp32: CUDA from Ampere on."""
    return device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
