"""Whole analyses with one thing wrong each."""

from mutant import Mutant

PIPELINES: list[Mutant] = []
