"""Makes an int8 graph of an fp32 one, by onnxruntime's dynamic quantisation.

The weights of matrix products are 8-bit by output channel, activations are scaled when they are computed. Weights use
7 of the 8 bits: the instructions of CPUs without VNNI add two products in 16 bits, which 8-bit ones overflow. Tables of
embeddings stay fp32: looking up takes no time, and their rounding costs most of the precision (docs/export.md).
"""

import logging
from pathlib import Path

_ADVICE = "Please consider to run pre-processing before quantization"


def quantize(source: Path, target: Path, external_data: bool = False) -> None:
    """Write the int8 graph of an fp32 one.

    Args:
        external_data: the weights go into a file beside it, as those of more than 2 GB must.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    root.addFilter(_is_no_advice)
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=external_data,
        )
    finally:
        root.removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    """The pre-processing would fuse what torch's exporter has fused already."""
    return _ADVICE not in record.getMessage()
