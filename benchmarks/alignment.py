"""The study `misaligned` aligned, beside the same scan undisturbed: what was found, how far off, and what it costs the map.

python benchmarks/alignment.py [SEED ...]
"""

import sys

from validation import analyze, load_study, score, simulate
from validation.alignment_scores import alignment_scores

UNDISTURBED = {
    "stage.runout_um": 0,
    "stage.energy_shift_um": 0,
    "stage.center_offset_px": 0,
    "optics.magnification_change": 0,
    "camera.ring_pattern": 0,
    "camera.zingers": 0,
    "monochromator.offset_eV": 0,
    "standards.LFP.energy_offset_eV": 0,
    "standards.FP.energy_offset_eV": 0,
    "analysis.prepare.zinger_sigma": 0,
    "analysis.align.shifts": False,
    "analysis.align.rings": False,
    "analysis.align.energy": False,
    "analysis.align.magnification": "stated",
}
NAMES = ("shifts", "center", "magnification", "energy_offset")
UNITS = {"shifts": "px", "center": "px", "magnification": "", "energy_offset": "eV"}


def aligned_and_scored(changes):
    """Scores of the map and of the alignment of `misaligned` with `changes`."""
    study = load_study("misaligned", changes)
    simulation = simulate(study, threads=2)
    found = analyze(simulation.scan, simulation.standards, study.analysis, threads=2)
    return score(simulation.truth, found.map) | alignment_scores(study, simulation.scan, found.alignment)


def main() -> None:
    print(
        "| seed | shifts (px rms) | sigma | axis (px) | sigma | magnification | sigma | energy (eV) | sigma | phase_rmse "
        "| undisturbed | ratio | pull_std |\n|" + "---|" * 13
    )
    for seed in map(int, sys.argv[1:] or ["1", "2", "3"]):
        found, best = aligned_and_scored({"seed": seed}), aligned_and_scored({"seed": seed} | UNDISTURBED)
        cells = []
        for name in NAMES:
            ending = f"_{UNITS[name]}" if UNITS[name] else ""
            cells += [f"{found[f'{name}_{what}{ending}']:.2g}" for what in ("error", "sigma")]
        ratio = found["phase_rmse"] / best["phase_rmse"]
        cells += [f"{found['phase_rmse']:.4f}", f"{best['phase_rmse']:.4f}", f"{ratio:.3f}", f"{found['pull_std']:.3f}"]
        print(f"| {seed} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
