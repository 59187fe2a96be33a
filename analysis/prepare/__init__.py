"""Frames made fit for reconstruction."""
