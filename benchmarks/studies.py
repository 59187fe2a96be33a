"""The README's table of scores: every built-in study with seed 1, and the measured spectra where they are given.

python benchmarks/studies.py [--spectra DIR]
"""

import argparse
from pathlib import Path

from validation import analyze, load_study, score, simulate

STUDIES = (
    *("tiny", "default", "clean", "low-dose", "initial", "partial", "middle", "end", "electrode-2d", "operando-2d"),
    *("isotropic", "domino", "solid-solution", "pure-lfp", "wrong-standard"),
)
COLUMNS = (
    "phase_rmse",
    "phase_rmse_interior",
    "phase_bias_interior_LFP",
    "phase_bias_interior_FP",
    "bulk_fraction_error",
    "pull_std",
    "coverage_68",
)


def row(label: str, name: str, changes: dict[str, object]) -> str:
    study = load_study(name, changes)
    simulation = simulate(study, threads=2)
    result = analyze(simulation.scan, simulation.standards, study.analysis, threads=2)
    scores = score(simulation.truth, result.map)
    cells = ["" if (value := scores[column]) is None else f"{value:.4f}" for column in COLUMNS]
    if not study.beam.shot_noise:
        cells[-2:] = ["", ""]  # sigma of a scan without noise means nothing
    return f"| `{label}` | " + " | ".join([*cells, f"{simulation.dose_MGy:,.0f}"]) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=Path, help="folder with LFP_FeK_norm.txt and FP_FeK_norm.txt")
    folder = parser.parse_args().spectra
    head = ["study", *COLUMNS, "dose (MGy)"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name in STUDIES:
        print(row(name, name, {}), flush=True)
    if folder:
        sample = {f"species.{name}.spectrum": str(folder / f"{name}_FeK_norm.txt") for name in ("LFP", "FP")}
        for standards in ("sample", "parametric"):
            changes = sample | {f"standards.{name}.spectrum": standards for name in ("LFP", "FP")}
            words = "measured" if standards == "sample" else "parametric"
            for name in ("clean", "default"):
                print(row(f"{name}, measured sample, {words} standards", name, changes), flush=True)
