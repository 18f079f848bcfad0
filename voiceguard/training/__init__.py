"""Training, calibration, evaluation and export of the stress model (extra `training`)."""
