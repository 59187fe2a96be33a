"""Methods side by side on the named studies, seed by seed, as `txm-twin compare` does, in one table.

    python benchmarks/methods.py [STUDY ...] [--seeds N] [--python PYTHON]

PYTHON is that of an environment with scikit-image, algotom and PyXAS, whose adapters (examples/) then take part in `tiny`. A
difference is the method's less that of `image`, ± half of its 95 % interval.
"""

import argparse
from pathlib import Path

from validation.files import versions
from validation.methods import parse_method
from validation.replicates.compare import compare
from validation.study import load_study

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OURS = ["image", "projection", "joint"]
THEIRS = {
    "scikit-image iradon": f"engine={EXAMPLES / 'skimage_iradon.py'}:engine",
    "algotom fbp": f"engine={EXAMPLES / 'algotom_fbp.py'}:engine",
    "PyXAS fit": f"fit={EXAMPLES / 'pyxas_fit.py'}:fit",
}
STUDIES = ["tiny", "default", "low-dose"]
SCORES = ("phase_rmse", "phase_bias_interior", "bulk_fraction_error", "pull_std")


def cell(one):
    if not one.count:
        return ""
    return f"{one.mean:.4g}" if one.count < 2 else f"{one.mean:.4g} ± {one.error:.1g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=STUDIES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--python")
    arguments = parser.parse_args()
    print(f"| study | method | {' | '.join(SCORES)} | phase_rmse less image |")
    print("|---|---|" + "---|" * (len(SCORES) + 1))
    for name in arguments.studies:
        named = {text: text for text in OURS}
        if arguments.python and name == "tiny":
            named |= THEIRS
        methods = [parse_method(text, 3600.0, arguments.python or "python3") for text in named.values()]
        found = compare(load_study(name), methods, arguments.seeds, threads=2)
        for label, text in named.items():
            less = found.difference(text, "phase_rmse")
            told = "" if text == "image" else f"{less.mean:+.4f} ± {less.half_width:.4f}{' *' if less.is_telling else ''}"
            cells = " | ".join(cell(found.score(text, score)) for score in SCORES)
            print(f"| `{name}` | {label} | {cells} | {told} |", flush=True)
        for failure in found.failures:
            print(failure)
    print("\n" + "; ".join(f"{name} {version}" for name, version in versions().items()))


if __name__ == "__main__":
    main()
