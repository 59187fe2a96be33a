"""Throughput of the linear combination: ours (amounts, sigma, chi2) against pyxas `fit_2D_xanes_non_iter` (amounts, cost).

    python benchmarks/fits.py --pyxas PYTHON [--repeats 7] [--large]

PYTHON is that of an environment with pyxas. Both fit two standards and a constant to the same float32 spectra, in turn, and the
best time of each counts. pyxas fits the 1.6e7 spectra of `--large` whole, as it is called, which takes about 14 GB, and in pieces
of 1e6. Times are this machine's; compare ratios.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.spectra.combination import Constraint, design_matrix, linear_combination
from instrument.attenuation import attenuation_per_um
from instrument.xanes import parametric
from phantom import FP, LFP

SHARED = 100  # spectra whose amounts are compared
PYXAS = """
import json, sys, time
import numpy as np
from pyxas.xanes_util import fit_2D_xanes_non_iter
folder, repeats, piece = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
mu, energies, standards = (np.load(f"{folder}/{name}.npy") for name in ("mu", "energies", "standards"))
table = {f"ref{i}": np.column_stack([energies, row]) for i, row in enumerate(standards)}
best = float("inf")
for _ in range(repeats):
    start = time.perf_counter()
    for low in range(0, mu.shape[1], piece):
        found = fit_2D_xanes_non_iter(mu[:, None, low : low + piece], energies, table)
        if low == 0:
            first = found[0][:, 0, :100].tolist()
        del found
    best = min(best, time.perf_counter() - start)
print(json.dumps({"best": best, "amounts": first}))
"""


def write_spectra(folder: Path, energies: np.ndarray, spectra: int) -> np.ndarray:
    """Noisy mixtures and their variance, a block at a time; the standards (species, energy)."""
    rng = np.random.default_rng(0)
    standards = np.array(
        [
            attenuation_per_um(species.formula, LFP.iron_mol_cm3, energies, parametric(name)(energies))
            for name, species in (("LFP", LFP), ("FP", FP))
        ]
    )
    shape = (len(energies), spectra)
    mu, variance = (np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape) for name in ("mu", "variance"))
    for low in range(0, spectra, 10**6):
        part = slice(low, min(low + 10**6, spectra))
        x, sigma = rng.random((2, part.stop - low), dtype=np.float32)
        sigma = 0.002 * (0.5 + sigma)
        noise = rng.standard_normal((len(energies), part.stop - low), dtype=np.float32)
        mu[:, part] = standards.T.astype(np.float32) @ np.stack([1 - x, x]) + sigma * noise
        variance[:, part] = sigma**2
    np.save(folder / "energies.npy", energies)
    np.save(folder / "standards.npy", standards)
    return standards


def ours(
    mu: np.ndarray, variance: np.ndarray, design: np.ndarray, repeats: int, constraint: Constraint
) -> tuple[float, np.ndarray]:
    best = float("inf")
    weights = np.ones(len(mu))
    for _ in range(repeats):
        start = time.perf_counter()
        found = linear_combination(mu, variance, design, weights, 2, constraint)
        sigma = np.sqrt(np.einsum("iin->in", found.covariance))
        best = min(best, time.perf_counter() - start)
        amounts = found.amounts[:, :SHARED]
        del found, sigma
    return best, amounts


def theirs(python: str, folder: Path, repeats: int, piece: int, threads: int | None) -> tuple[float, np.ndarray]:
    one = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)} if threads else {}
    command = [python, "-c", PYXAS, str(folder), str(repeats), str(piece)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **one})
    found = json.loads(done.stdout.splitlines()[-1])
    return found["best"], np.array(found["amounts"])


def compare(python: str, energies: np.ndarray, spectra: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        standards = write_spectra(folder, energies, spectra)
        design = design_matrix(standards, energies, "constant")
        for threads in (1, None):
            rows = {}
            for piece in sorted({min(spectra, 10**6), spectra}):
                rows[f"pyxas, {piece:.1e} at a time"], other = theirs(python, folder, repeats, piece, threads)
            mu, variance = (np.load(folder / f"{name}.npy") for name in ("mu", "variance"))
            with threadpool_limits(threads):
                mine, amounts = ours(mu, variance, design, repeats, "free")
                bounded, _ = ours(mu, variance, design, repeats, "nonnegative")
            del mu, variance
            assert np.abs(amounts - other).max() < 1e-3, "the two do not fit the same"
            print(f"{spectra:.1e} spectra of {len(energies)} points, BLAS threads: {threads or 'as many as it likes'}")
            for label, seconds in (("ours, free", mine), ("ours, nonnegative", bounded), *rows.items()):
                rate = spectra / seconds / 1e6
                print(
                    f"  {label:28s} {seconds:8.4f} s {rate:8.2f} million a second; ours, free: {seconds / mine:.1f}", flush=True
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyxas", required=True, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    hand = np.array([7090, 7110, 7120, 7123, 7126, 7128, 7131, 7134, 7140, 7155, 7180.0])
    compare(arguments.pyxas, hand, 260_000, 5 * arguments.repeats)
    if arguments.large:
        compare(arguments.pyxas, np.linspace(7095, 7185, 31), 16_000_000, arguments.repeats)
