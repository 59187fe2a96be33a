"""Engines: from sinograms to slices, and the noise with them."""
