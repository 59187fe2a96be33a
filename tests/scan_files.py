"""Tiny scans in every layout, for the tests of files."""

import h5py
import numpy as np

from instrument.files.scans import FORMATS
from instrument.measurement import Header, Measurement

READABLE = ("native", "fxi", "dxchange", "nxtomo")
START_S = 1.7684640e9


def a_header(energies=(7126.5, 7100.0, 7112.25), angles=5, rows=4, columns=6, flats=3, darks=2, series=False):
    n = len(energies)
    degrees = np.full(angles, 10.0) if series else np.linspace(-90, 90, angles)
    times = 7.0 + 100 * np.arange(n)[:, None] + 0.05 * np.arange(angles)
    pixels = 0.06 * np.asarray(energies) / energies[0]
    return Header(
        np.array(energies),
        np.deg2rad(degrees),
        times,
        pixels,
        (columns - 1) / 2,
        0.05 + 0.01 * np.arange(n),
        (rows, columns),
        flats,
        darks,
        START_S,
    )


def counts_of(header, seed=0):
    rng = np.random.default_rng(seed)
    ranges = {"projections": (300, 900), "flats": (900, 1000), "darks": (90, 110)}
    return {name: rng.integers(*ends, header.frames_shape(name)).astype(np.uint16) for name, ends in ranges.items()}


def write(folder, layout, header, counts=None):
    counts = counts or counts_of(header)
    with FORMATS[layout](folder, header) as scan:
        for i in range(len(header.energies_eV)):
            for k in range(0, len(header.angles_rad), 2):
                scan.projections[i, k : k + 2] = counts["projections"][i, k : k + 2]
            scan.flats[i] = counts["flats"][i]
            scan.darks[i] = counts["darks"][i]
    return counts


def order_of(layout, header):
    return np.arange(len(header.energies_eV)) if layout == "native" else np.argsort(header.energies_eV)


def same(scan: Measurement, header, counts, order):
    """Whether all that is read of a scan equals what was written."""
    return (
        np.allclose(scan.energies_eV, header.energies_eV[order], rtol=0, atol=1e-6)
        and np.allclose(scan.angles_rad, header.angles_rad, rtol=0, atol=1e-12)
        and np.allclose(scan.pixels_um, header.pixels_um[order], rtol=1e-12)
        and all(np.array_equal(getattr(scan, name)[...], counts[name][order]) for name in counts)
    )


def in_memory(header, counts):
    return header.measurement(counts["projections"], counts["flats"], counts["darks"])


def edited(folder, edit, number=None):
    """Applies `edit` to one HDF5 file of a folder, or to all."""
    for n, path in enumerate(sorted(folder.iterdir())):
        if number in (None, n):
            with h5py.File(path, "r+") as file:
                edit(file)


def put(file, name, value, **attributes):
    if name in file:
        del file[name]
    file[name] = value
    file[name].attrs.update(attributes)
