"""What the core is given: voice activity detection, resampling, the model, micro-batches."""
