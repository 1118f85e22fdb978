"""The optimiser on four real models, beside torch.compile and onnxruntime's defaults."""
