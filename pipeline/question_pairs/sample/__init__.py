"""The bundled sample: question pairs that this project generates."""

from pipeline.question_pairs.sample.generator import bundled_sample

__all__ = ["bundled_sample"]
