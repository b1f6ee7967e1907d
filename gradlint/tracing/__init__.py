"""Built model → executed `torch.fx` graph."""
