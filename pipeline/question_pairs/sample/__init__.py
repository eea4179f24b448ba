"""The bundled sample: question pairs that this project generates."""
