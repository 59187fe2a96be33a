"""What clipping costs before the logarithm: counts at the dark level or below it, or rays brighter than the flat, set to a limit.

    python benchmarks/clipping.py

The study `tiny` with few photons, the same scans as recorded and clipped; means over three seeds, ± standard error. Iron is the
sum of all amounts within the particle grown by two voxels, over the truth's.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation

from validation import analyze, load_study, simulate
from validation.replicates.replicate import estimate
from validation.scores import overlay

SEEDS = range(1, 4)
PHOTONS = (5, 20, 100, 1000)  # detected


def at_dark(scan):
    """Counts at or below the dark level become one count above it, as before a logarithm that would fail."""
    dark = np.asarray(scan.darks).mean(axis=1, keepdims=True)
    return replace(scan, projections=np.maximum(scan.projections, dark + 1))


def at_flat(scan):
    """Rays brighter than the flat become as bright: no negative optical depth."""
    return replace(scan, projections=np.minimum(scan.projections, np.asarray(scan.flats).mean(axis=1, keepdims=True)))


CLIPPED = {"as recorded": lambda scan: scan, "at the dark level": at_dark, "at the flat": at_flat}


def main():
    print("| detected photons | clipped | iron found / true |")
    print("|---|---|---|")
    for photons in PHOTONS:
        found = {name: [] for name in CLIPPED}
        for seed in SEEDS:
            changes = {
                "beam.photons_per_pixel": photons,
                "camera.efficiency": 1.0,
                "camera.read_noise_adu": 2.0,
                "camera.gain_adu": 1.0,
            }
            study = load_study("tiny", changes | {"seed": seed})
            simulation = simulate(study, threads=2)
            for name, clip in CLIPPED.items():
                made = analyze(clip(simulation.scan), simulation.standards, study.analysis, threads=2).map
                pair = overlay(simulation.truth, made)
                near = binary_dilation(pair.truth.iron >= 0.5, iterations=2)
                iron = pair.result.iron[near].sum() / pair.truth.iron[near].sum()
                found[name].append(iron)
        for name, rows in found.items():
            one = estimate(rows)
            print(f"| {photons} | {name} | {one.mean:.3f} ± {one.error:.3f} |", flush=True)


if __name__ == "__main__":
    main()
