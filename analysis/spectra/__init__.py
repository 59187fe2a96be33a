"""Spectra and what they are made of."""
