"""A model as an ONNX graph: making it, measuring what it lost, and running it without torch."""
