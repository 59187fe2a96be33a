"""Many runs of a study: methods compared, errors budgeted, sigma calibrated, scores kept as a baseline."""
